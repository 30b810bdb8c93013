"""The msgpack parser: what Python's msgpack wrote arrives with every type, what is cut or no MessagePack is dead."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from harness.audit import Poison, Row
from harness.formats import SAMPLES, Format, round_trip
from harness.world import World

GOOD = (SAMPLES / "types.msgpack").read_bytes()
POISON = {
    GOOD[:-1]: "not_msgpack",
    GOOD + b"\x00": "not_msgpack",
    b"\xc1": "not_msgpack",
    b"\xa2\xc3\x28": "invalid_utf8",
    b"": "empty",
    None: "null_value",
}
COLUMNS = {
    "id": "bigint",
    "huge": "numeric",
    "ratio": "double precision",
    "raw": "bytea",
    "created_at": "timestamptz",
    "list": "jsonb",
    "deep": {"type": "jsonb", "from": "nested.a"},
}
ROW: Row = {
    "id": 2**63 - 1,
    "huge": Decimal(2**64 - 1),
    "ratio": 0.1,
    "raw": b"\x00\xff",
    "created_at": datetime(2026, 11, 23, 4, 5, 6, 789123, UTC),
    "list": [1, -1, -200, 70000, None, True, "naïve"],
    "deep": {"b": {}},
}


def expected(record: RawRecord) -> Row | Poison:
    return Poison(POISON[record.value]) if record.value in POISON else ROW


def test_values_of_another_writer(world: World, tmp_path: Path) -> None:
    values = [GOOD, *POISON] * 20
    records = [Record(value=value, partition=index % 3) for index, value in enumerate(values)]
    sections = {"source": {"parser": "msgpack"}, "postgres": {"columns": COLUMNS}}
    books = round_trip(world, Format(sections, records, expected), tmp_path)
    assert (books.rows, books.dead) == (20, 20 * len(POISON))
