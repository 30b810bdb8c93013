"""The parquet parser: files of pyarrow become typed rows; what is cut or no file is one dead letter."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from harness.audit import Outcome, Poison
from harness.formats import SAMPLES, Format, round_trip
from harness.world import World

FILES = {codec: (SAMPLES / f"orders_{codec}.parquet").read_bytes() for codec in ("none", "snappy", "gzip", "zstd")}
POISON = {
    FILES["zstd"][:-100]: "not_parquet",
    FILES["none"][:4]: "not_parquet",
    b'{"no": "parquet"}': "not_parquet",
    b"": "empty",
    None: "null_value",
}
COLUMNS = {
    "id": "bigint",
    "amount": "numeric(30,4)",
    "created_at": "timestamptz",
    "day": "date",
    "raw": "bytea",
    "key": "uuid",
    "note": "text",
    "tags": "jsonb",
    "place": "jsonb",
}
TAGS = [["a", None, "b"], [], None, ["c"], ["d"]]
PLACES = [{"x": 1, "y": None}, None, {"x": 2, "y": 3}, None, None]
ROWS: list[Outcome] = [
    {
        "id": 2**63 - 1 - row,
        "amount": Decimal("-12345678901234567890.1234"),
        "created_at": datetime(2026, 11, 23, 4, 5, 6, 789123, UTC),
        "day": date(2026, 11, 23),
        "raw": b"\x00\xff",
        "key": UUID("0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70"),
        "note": None if row % 2 else "naïve",
        "tags": TAGS[row],
        "place": PLACES[row],
    }
    for row in range(5)
]


def expected(record: RawRecord) -> list[Outcome] | Poison:
    return Poison(POISON[record.value]) if record.value in POISON else ROWS


def test_files_of_another_writer(world: World, tmp_path: Path) -> None:
    values = [*FILES.values(), *POISON] * 10
    records = [Record(value=value, partition=index % 3) for index, value in enumerate(values)]
    sections = {"source": {"parser": "parquet"}, "postgres": {"columns": COLUMNS}}
    books = round_trip(world, Format(sections, records, expected), tmp_path)
    assert (books.rows, books.dead) == (10 * 4 * 5, 10 * len(POISON))
