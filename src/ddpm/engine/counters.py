"""What an engine has done with its records, read from its own metrics.

The supervisor asks this every few seconds. Which output a number belongs to is known by its path, its place in the
rendered configuration: everything behind the first entry of a `fallback` is a way to the dead letters, every other
output is a sink.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from ddpm.contract import Metric
from ddpm.engine.exposition import samples

RECEIVED = Metric.RECEIVED
SENT = "output_sent"
PARSER_WAITING = Metric.PARSER_WAITING
LETTERS_WAITING = Metric.LETTERS_WAITING
LETTERS_HELD = Metric.LETTERS_HELD
# What a sink counts, behind a prefix of its own.
COMMITTED = "_rows_committed"
DUPLICATES = "_duplicates_skipped"
WAITING = "_waiting"
WAITING_WHY = "_waiting_why"
NEVER_FOUND = "_column_never_found"
_OF_SINKS = (COMMITTED, DUPLICATES, WAITING, WAITING_WHY, NEVER_FOUND)

_NAMES = frozenset({RECEIVED, SENT, PARSER_WAITING, LETTERS_WAITING, LETTERS_HELD})

_DEAD_LETTER_PATH = re.compile(r"\.fallback\.[1-9][0-9]*$")


@dataclass(frozen=True, slots=True)
class SinkWait:
    """That a sink waits.

    Attributes:
        prefix: How the metrics of the sink begin.
        word: Why, as one word.
        why: What the sink says of it; None where it says nothing.

    """

    prefix: str
    word: str
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """Records since the engine started.

    Attributes:
        read: Received from the source, redeliveries included.
        written: Reached every sink. With several sinks it is the count of the one that has the fewest: a record
            that only some of them have is not written yet. Sinks of ddpm's count the rows that they committed, so that
            a redelivery that is known as such does not count there; other sinks count every record that they took.
        dead: Acknowledged by the dead-letter topic.
        duplicates: Redeliveries that a sink had already and skipped.
        waiting: The sinks that wait.
        parser_waiting: Why the parser waits, as one word; None while it does not.
        letters_waiting: Why dead letters wait, as one word; None while they do not.
        letters_held: The commonest code among the dead letters that the breaker holds back.
        never_found: The columns that no document had a value for, so far.

    """

    read: float
    written: float
    dead: float
    duplicates: float
    waiting: tuple[SinkWait, ...] = ()
    parser_waiting: str | None = None
    letters_waiting: str | None = None
    letters_held: str | None = None
    never_found: tuple[str, ...] = ()


def counters(text: str, prefixes: Collection[str]) -> Counters:
    """Read an engine's metrics; what the page does not say counts as 0. Never raises.

    Args:
        text: The page.
        prefixes: How the metrics of its sinks begin.

    """
    of_sinks = {prefix + name: (prefix, name) for prefix in prefixes for name in _OF_SINKS}
    read = dead = duplicates = 0.0
    sinks: dict[str, float] = {}
    committed: dict[str, float] = {}
    never_found: set[str] = set()
    waiting: dict[str, dict[str, float]] = {
        each: {} for each in (*prefixes, PARSER_WAITING, LETTERS_WAITING, LETTERS_HELD)
    }
    whys: dict[tuple[str, str], str] = {}
    for name, labels, value in samples(text, _NAMES | of_sinks.keys()):
        path = labels.get("path", "")
        prefix, meant = of_sinks.get(name, ("", name))
        if meant == RECEIVED:
            read += value
        elif meant == COMMITTED:
            committed[path] = value
        elif meant == DUPLICATES:
            duplicates += value
        elif meant == WAITING_WHY:
            whys |= {(prefix, labels.get("reason", "")): labels.get("text", "")} if value else {}
        elif meant == NEVER_FOUND:
            never_found |= {labels.get("column", "")} if value else set()
        elif meant == WAITING or name in waiting:
            of, reason = waiting[prefix or name], labels.get("reason") or labels.get("code", "")
            of[reason] = of.get(reason, 0) + value
        elif _DEAD_LETTER_PATH.search(path):
            dead += value
        else:
            sinks[path] = value
    # The engine leaves out every batch with one refused record; the plugins' own counters do not.
    written = min((sinks | committed).values(), default=0.0)
    words = {prefix: _most(waiting[prefix]) for prefix in prefixes}
    return Counters(
        read=read,
        written=written,
        dead=dead,
        duplicates=duplicates,
        waiting=tuple(
            SinkWait(prefix, word, whys.get((prefix, word)) or None)
            for prefix, word in words.items()
            if word is not None
        ),
        parser_waiting=_most(waiting[PARSER_WAITING]),
        letters_waiting=_most(waiting[LETTERS_WAITING]),
        letters_held=_most(waiting[LETTERS_HELD]),
        never_found=tuple(sorted(never_found)),
    )


def _most(waiting: dict[str, float]) -> str | None:
    reason = max(waiting, key=waiting.__getitem__, default="")
    return reason if waiting.get(reason, 0) > 0 else None
