"""Which letters a selection means."""

from datetime import UTC, datetime

import pytest

from ddpm.deadletters.index import DeadLetterIndex
from ddpm.deadletters.selection import Selection, moment
from ddpm.errors import ConfigError
from unit.deadletters.letters import NOW_MS, at, letter

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def chosen(selection: Selection) -> list[str]:
    kept = DeadLetterIndex()
    kept.add(letter(0))
    kept.add(letter(1, stage="sink", code="22P02"))
    kept.add(letter(2, stage="sink", code="23505"))
    return [str(entry.id) for entry in kept.entries("shop") if selection.takes(entry)]


@pytest.mark.parametrize(
    ("selection", "meant"),
    [
        (Selection(), ["0:0", "0:1", "0:2"]),
        (Selection(reasons=("not_json",)), ["0:0"]),
        (Selection(reasons=("sink",)), ["0:1", "0:2"]),
        (Selection(reasons=("sink/23505", "parse")), ["0:0", "0:2"]),
        (Selection(reasons=("parse/23505",)), []),
        (Selection(since_ms=NOW_MS + 1), ["0:1", "0:2"]),
        (Selection(until_ms=NOW_MS + 1), ["0:0"]),
        (Selection(since_ms=NOW_MS + 1, until_ms=NOW_MS + 2, reasons=("sink",)), ["0:1"]),
        (Selection(ids=frozenset({at(2), at(9)})), ["0:2"]),
        (Selection(ids=frozenset()), []),
        (Selection(patterns=("not JSON: expected a name at byte N",)), ["0:0", "0:1", "0:2"]),
        (Selection(patterns=("not JSON: expected a name at byte 1",)), []),
    ],
)
def test_all_that_is_said_must_be_true(selection: Selection, meant: list[str]) -> None:
    assert chosen(selection) == meant


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-23T08:00:00Z", datetime(2026, 11, 23, 8, tzinfo=UTC)),
        ("2026-11-23T08:00:00+02:00", datetime(2026, 11, 23, 6, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2h", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        (" 90 min ", datetime(2026, 11, 23, 10, 30, tzinfo=UTC)),
        ("1d", datetime(2026, 11, 22, 12, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_people_write_them(text: str, wanted: datetime) -> None:
    assert moment(text, NOW) == wanted.timestamp() * 1000


@pytest.mark.parametrize("text", ["", "yesterday", "25:00", "2026-13-01", "-1h", "1w"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a time"):
        moment(text, NOW)
