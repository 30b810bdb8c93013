"""The lines parser: a row a line of any text; what is not UTF-8 is a dead letter."""

from pathlib import Path

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from harness.audit import Outcome, Poison
from harness.formats import Format, round_trip
from harness.world import World

VALUES = [
    b'plain\n\twith "quotes" and \\backslash\n',
    "\u20ac 漢 😀\r\nsecond\r\n\r\nfourth".encode(),
    b"good\nbad \xff\ngood again",
    b"zero \x00 is refused by Postgres\nits neighbour is not",
    b"",
]


def expected(record: RawRecord) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for line in (record.value or b"").removesuffix(b"\n").split(b"\n") if record.value else []:
        if b"\xff" in line:
            outcomes.append(Poison("invalid_utf8"))
        elif b"\x00" in line:
            outcomes.append(Poison("22021"))
        else:
            outcomes.append({"line": line.removesuffix(b"\r").decode()})
    return outcomes


def test_lines_of_text(world: World, tmp_path: Path) -> None:
    records = [Record(value=value, partition=index % 3) for index, value in enumerate(VALUES * 20)]
    sections = {"source": {"parser": "lines"}, "postgres": {"columns": {"line": "text"}}}
    books = round_trip(world, Format(sections, records, expected), tmp_path)
    assert (books.rows, books.dead) == (9 * 20, 2 * 20)
