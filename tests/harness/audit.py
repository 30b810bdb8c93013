"""The auditor: compares a raw dump of the topic with the table and the dead letters, by offset and by value."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ddpm.broker.dump import RawRecord
from harness.world import World

# Partition, offset, and for parsers of many documents a record the place within it.
Place = tuple[int, int, int | None]
Row = dict[str, Any]


class Poison:
    """What `expected` answers for a record that belongs into the dead letters; `code` is its reason."""

    def __init__(self, code: str | None = None) -> None:
        self.code = code


Outcome = Row | Poison
Expected = Callable[[RawRecord], Outcome | list[Outcome]]


@dataclass(frozen=True)
class Books:
    """What the auditor found."""

    produced: int
    rows: int
    dead: int
    reasons: Counter[str]


def audit(world: World, expected: Expected, *, crashed: bool = False) -> Books:
    """Check that every record is in exactly one of table and dead letters, once, with its exact value.

    Args:
        world: Where to look.
        expected: The row's columns (identity left out) or `Poison` for a record as it was produced; a list of
            them where a record is many documents.
        crashed: Whether something was killed meanwhile: then a dead letter may have been written again.

    Raises:
        AssertionError: Naming the first records for which that is not so.

    """
    outcomes = [(record, expected(record)) for record in world.raw()]
    raw: dict[Place, RawRecord] = {}
    wanted: dict[Place, Outcome] = {}
    for record, outcome in outcomes:
        for index, one in enumerate(outcome) if isinstance(outcome, list) else [(None, outcome)]:
            place = (record.partition, record.offset, index)
            raw[place], wanted[place] = record, one
    rows = {(row["partition"], row["offset"], row.get("index")): _without_identity(row) for row in world.rows()}
    letters = world.dead()
    dead = {origin(letter): letter for letter in letters}
    good = {place for place, want in wanted.items() if not isinstance(want, Poison)}

    assert not _some(good - rows.keys() - dead.keys()), "lost: in neither table nor dead letters"
    assert not _some(rows.keys() - raw.keys()), "rows that nobody produced"
    assert not _some(rows.keys() & dead.keys()), "both in the table and in the dead letters"
    assert not _some(good & dead.keys()), f"good records in the dead letters: {_reasons(dead, good)}"
    assert not _some(raw.keys() - good - dead.keys()), "poison that is not in the dead letters"
    assert world.count() == len(rows), "a row is there twice"
    assert crashed or len(letters) == len(dead), "a dead letter is there twice"
    for place in good:
        assert rows[place] == wanted[place], f"{place}: another value than produced"
    for letter in letters:
        _check_letter(world, letter, raw[origin(letter)], wanted[origin(letter)])
    return Books(len(outcomes), len(rows), len(dead), Counter(code(letter) for letter in dead.values()))


def _check_letter(world: World, letter: RawRecord, record: RawRecord, want: Row | Poison) -> None:
    place = (record.partition, record.offset)
    assert (letter.value or b"") == (record.value or b""), f"{place}: the dead letter has other bytes"
    assert (letter.key or b"") == (record.key or b""), f"{place}: the dead letter has another key"
    found = headers(letter)
    assert found["__connect.errors.topic"] == world.topic.encode(), f"{place}: the dead letter names another origin"
    assert found["__connect.errors.exception.message"], f"{place}: a dead letter without a reason"
    assert (found.get("ddpm.errors.null_value") == b"true") == (record.value is None), f"{place}: empty or tombstone?"
    if isinstance(want, Poison) and want.code is not None:
        assert code(letter) == want.code, f"{place}: {found}"


def origin(letter: RawRecord) -> Place:
    """Where a dead letter came from."""
    found = headers(letter)
    index = found.get("ddpm.errors.index")
    return (
        int(found["__connect.errors.partition"]),
        int(found["__connect.errors.offset"]),
        None if index is None else int(index),
    )


def code(letter: RawRecord) -> str:
    """The short reason of a dead letter."""
    return headers(letter)["__connect.errors.exception.class.name"].decode()


def headers(letter: RawRecord) -> dict[str, bytes]:
    """The headers of a dead letter by name."""
    return {name: value or b"" for name, value in letter.headers}


def _without_identity(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("source", "partition", "offset", "index")}


def _some(places: set[Place]) -> list[Place]:
    return sorted(places, key=repr)[:10]


def _reasons(dead: dict[Place, RawRecord], places: set[Place]) -> list[dict[str, bytes]]:
    return [headers(dead[place]) for place in _some(places & dead.keys())[:3]]
