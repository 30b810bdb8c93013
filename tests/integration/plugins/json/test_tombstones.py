"""Records with a null value: skipped without a trace in the table or the dead letters, or passed on as null."""

from pathlib import Path

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from harness.audit import Outcome, Poison
from harness.formats import Format, round_trip
from harness.world import World


def test_many_that_are_skipped_are_neither_dead_nor_do_they_pause_the_pipeline(world: World, tmp_path: Path) -> None:
    records = [Record(value=None if number % 500 else b'{"id": 1}', key=b"k") for number in range(4000)]
    records.append(Record(value=b"", key=b"k"))

    def expected(record: RawRecord) -> list[Outcome] | Outcome:
        if record.value is None:
            return []
        return {"id": 1} if record.value else Poison("empty")

    sections = {
        "source": {"tombstones": "skip"},
        "postgres": {"columns": {"id": "bigint"}},
        "batching": {"count": 100},
        "dead_letter": {"breaker": {"share": 0.5, "records": 100}},
    }
    books = round_trip(world, Format(sections, records, expected), tmp_path)
    assert (books.rows, books.dead) == (8, 1)


def test_those_that_pass_are_rows_of_null_and_seen_by_mappings(world: World, tmp_path: Path) -> None:
    values = [b'{"id": 1}\n{"id": 2}', None, b"", b"null\n"]
    records = [Record(value=value, key=f"key {index}".encode()) for index, value in enumerate(values)]
    mapping = 'root = if this == null { {"key": @kafka_key} } else { this }'

    def expected(record: RawRecord) -> list[Outcome]:
        nothing: Outcome = {"id": None, "key": (record.key or b"").decode()}
        many: dict[bytes | None, list[Outcome]] = {
            b'{"id": 1}\n{"id": 2}': [{"id": 1, "key": None}, {"id": 2, "key": None}],
            None: [nothing],
            b"": [],
            b"null\n": [nothing],
        }
        return many[record.value]

    sections = {
        "source": {"parser": "ndjson", "tombstones": "pass", "compression": "auto"},
        "processors": [{"mapping": mapping}],
        "postgres": {"columns": {"id": "bigint", "key": "text"}},
    }
    books = round_trip(world, Format(sections, records, expected), tmp_path)
    assert (books.rows, books.dead) == (4, 0)


def test_without_processors_all_columns_of_the_document_are_null(world: World, tmp_path: Path) -> None:
    records = [Record(value=value) for value in (None, b'{"id": 1}', b"null")]

    def expected(record: RawRecord) -> Outcome:
        return Poison("not_an_object") if record.value == b"null" else {"id": 1 if record.value else None}

    sections = {"source": {"tombstones": "pass"}, "postgres": {"columns": {"id": "bigint"}}}
    books = round_trip(world, Format(sections, records, expected), tmp_path)
    assert (books.rows, books.dead) == (2, 1)
