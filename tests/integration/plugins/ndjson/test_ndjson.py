"""The ndjson parser: a row a line; a bad line is one dead letter of the whole record, which names it."""

import json
from decimal import Decimal
from pathlib import Path

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from harness.audit import Outcome, Poison
from harness.formats import Format, round_trip
from harness.world import World

RECORDS = 300
POISON = {b"\xff": "invalid_utf8", b'{"n":': "not_json", b'{"n": "none"}': "22P02"}


def expected(record: RawRecord) -> list[Outcome] | Poison:
    if record.value is None:
        return Poison("null_value")
    lines = [line.strip() for line in record.value.split(b"\n")]
    return [
        Poison(POISON[line]) if line in POISON else {"n": json.loads(line, parse_float=Decimal)["n"]}
        for line in lines
        if line
    ]


def test_lines_become_rows(world: World, tmp_path: Path) -> None:
    values: list[bytes | None] = []
    for number in range(RECORDS):
        lines = [b'{"n": %d.25}' % (2**53 + number + line) for line in range(number % 7)]
        if number % 10 == 3:
            lines.insert(1, list(POISON)[number // 10 % 3])
        values.append(b"\r\n\n".join(lines))
    records = [Record(value=value, partition=index % 3) for index, value in enumerate([*values, None])]
    sections = {"source": {"parser": "ndjson"}, "postgres": {"columns": {"n": "numeric"}}, "batching": {"count": 50}}
    books = round_trip(world, Format(sections, records, expected), tmp_path)
    assert (books.produced, books.dead) == (RECORDS + 1, RECORDS // 10 + 1)
    assert books.rows == sum(number % 7 for number in range(RECORDS))
