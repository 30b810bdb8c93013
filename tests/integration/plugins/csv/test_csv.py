"""The csv and tsv parsers: header or given columns, quoting, and rows of the wrong width."""

import csv
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from harness.audit import Outcome, Poison
from harness.formats import Format, round_trip
from harness.world import World

COLUMNS = {"id": "bigint", "amount": "numeric(12,2)", "at": "timestamptz", "note": "text"}
AT = datetime(2026, 11, 23, 4, 5, 6, 789123, UTC)
NOTES = ['with "quotes", commas', "two\nlines\tand a tab", "\u20ac 漢 \\N", ""]


def written(rows: list[list[str]], **dialect: Any) -> bytes:
    """Rows as Python's own writer puts them."""
    text = StringIO(newline="")
    csv.writer(text, **dialect).writerows(rows)
    return text.getvalue().encode()


def rows_of(number: int) -> list[list[str]]:
    return [[str(2**53 + number), "12.50", AT.isoformat(), note] for note in NOTES]


def good(number: int) -> list[Outcome]:
    return [{"id": 2**53 + number, "amount": Decimal("12.50"), "at": AT, "note": note or None} for note in NOTES]


@pytest.mark.parametrize(("parser", "delimiter"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
@pytest.mark.parametrize("header", [True, False])
def test_delimited_text(world: World, tmp_path: Path, parser: str, delimiter: str, header: bool) -> None:
    head = [list(COLUMNS)] if header else []
    samples: dict[bytes, list[Outcome] | Poison] = {
        written(head + rows_of(number), delimiter=delimiter): good(number) for number in range(50)
    }
    samples[written([*head, ["1", "2"], *rows_of(1)], delimiter=delimiter)] = [Poison("wrong_column_count"), *good(1)]
    samples[written([*head, *rows_of(2), ["1"] * 5], delimiter=delimiter)] = [*good(2), Poison("wrong_column_count")]
    samples[written([*head, ["x", "1", AT.isoformat(), ""], *rows_of(3)], delimiter=delimiter)] = [
        Poison("22P02"),
        *good(3),
    ]
    samples[written(head, delimiter=delimiter) + f'1{delimiter}"never closed'.encode()] = Poison("not_csv")
    samples[b"\xff"] = Poison("invalid_utf8")
    samples[b" \n"] = Poison("empty")

    def expected(record: RawRecord) -> list[Outcome] | Poison:
        return samples[record.value or b""]

    options: dict[str, object] = {} if parser == "tsv" else {"delimiter": delimiter}
    options |= {} if header else {"columns": list(COLUMNS)}
    sections = {"source": {"parser": parser, "options": options}, "postgres": {"columns": COLUMNS}}
    records = [Record(value=value, partition=index % 3) for index, value in enumerate(samples)]
    books = round_trip(world, Format(sections, records, expected), tmp_path)
    assert (books.rows, books.dead) == (53 * len(NOTES), 6)
