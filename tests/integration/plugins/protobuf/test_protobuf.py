"""The protobuf parser: a message that Google's own library wrote, by protoc's descriptor set."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from harness.audit import Poison, Row
from harness.formats import SAMPLES, Format, round_trip
from harness.world import World

GOOD = (SAMPLES / "order.protobuf").read_bytes()
POISON = {GOOD[:-1]: "not_protobuf", b"hello": "not_protobuf", b"\x1a\x02\xc3\x28": "not_protobuf", None: "null_value"}
COLUMNS = {
    "id": "bigint",
    "huge": "numeric",
    "name": "text",
    "raw": "bytea",
    "status": "text",
    "lines": "jsonb",
    "created_at": "timestamptz",
}
ROW: Row = {
    "id": 2**63 - 1,
    "huge": Decimal(2**64 - 1),
    "name": "naïve",
    "raw": b"\x00\xff",
    "status": "OPEN",
    "lines": [{"sku": "x", "count": 1}, {"sku": "y", "count": 0}],
    "created_at": datetime(2026, 11, 23, 4, 5, 6, 789123, UTC),
}


def expected(record: RawRecord) -> Row | Poison:
    return Poison(POISON[record.value]) if record.value in POISON else ROW


def test_messages_of_another_writer(world: World, tmp_path: Path) -> None:
    records = [Record(value=value, partition=index % 3) for index, value in enumerate([GOOD, *POISON] * 20)]
    options = {"descriptor_set": str(SAMPLES / "shop.pb"), "message": "shop.Order"}
    sections = {"source": {"parser": "protobuf", "options": options}, "postgres": {"columns": COLUMNS}}
    books = round_trip(world, Format(sections, records, expected), tmp_path)
    assert (books.rows, books.dead) == (20, 20 * len(POISON))
