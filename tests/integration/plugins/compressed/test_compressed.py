"""Compressed records: what other implementations pack arrives, bombs and cut records are dead."""

import gzip
from pathlib import Path

import pyarrow as pa
import snappy

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from harness.audit import Outcome, Poison
from harness.formats import SAMPLES, Format, round_trip
from harness.world import World

LINES = b"".join(b'{"n": %d}\n' % number for number in range(100))
PACKED = gzip.compress(LINES)
# The C libraries that most producers use, by pyarrow; Snappy's frames by the Rust library behind python-snappy.
FRAMES = {
    "gzip": PACKED,
    "zstd": pa.compress(LINES, codec="zstd", asbytes=True),
    "lz4": pa.compress(LINES, codec="lz4", asbytes=True),
    "snappy": snappy.StreamCompressor().add_chunk(LINES),
}
BLOCK = pa.compress(LINES, codec="snappy", asbytes=True)
BOMB = gzip.compress(b" " * 50_000_000)
POISON = {PACKED[:-5]: "not_compressed", b"\x1f\x8bhello": "not_compressed", BOMB: "too_large", None: "null_value"}


def expected(record: RawRecord) -> list[Outcome] | Poison:
    if record.value in POISON:
        return Poison(POISON[record.value])
    return [{"n": number} for number in range(100)]


def test_compressed_and_plain_records_side_by_side(world: World, tmp_path: Path) -> None:
    values = [*FRAMES.values(), LINES, *POISON] * 10
    records = [Record(value=value, partition=index % 3) for index, value in enumerate(values)]
    source = {"parser": "ndjson", "compression": "auto", "max_decompressed": "1MiB"}
    sections = {"source": source, "postgres": {"columns": {"n": "bigint"}}}
    books = round_trip(world, Format(sections, records, expected), tmp_path)
    assert (books.rows, books.dead) == (10 * (len(FRAMES) + 1) * 100, 10 * len(POISON))


def test_blocks_of_snappy_are_read_when_named(world: World, tmp_path: Path) -> None:
    records = [Record(value=value) for value in (BLOCK, FRAMES["snappy"])]
    sections = {
        "source": {"parser": "ndjson", "compression": "snappy"},
        "postgres": {"columns": {"n": "bigint"}},
    }
    books = round_trip(world, Format(sections, records, expected), tmp_path)
    assert (books.rows, books.dead) == (2 * 100, 0)


def test_a_compressed_file_of_another_writer(world: World, tmp_path: Path) -> None:
    packed = gzip.compress((SAMPLES / "orders_none.parquet").read_bytes())
    source = {"parser": "parquet", "compression": "gzip"}
    sections = {"source": source, "postgres": {"columns": {"id": "bigint"}}}
    rows: list[Outcome] = [{"id": 2**63 - 1 - row} for row in range(5)]
    books = round_trip(world, Format(sections, [Record(value=packed)], lambda _: rows), tmp_path)
    assert (books.rows, books.dead) == (5, 0)
