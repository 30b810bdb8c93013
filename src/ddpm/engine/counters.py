"""What an engine has done with its records, read from its own metrics.

The supervisor asks this every few seconds. Which output a number belongs to is told by its path, its place in the
rendered configuration: everything behind the first entry of a `fallback` is a way to the dead letters, every other
output is a sink.
"""

import re
from dataclasses import dataclass

from ddpm.engine.exposition import samples

RECEIVED = "kafka_records_received"
SENT = "output_sent"
COMMITTED = "postgres_copy_rows_committed"
DUPLICATES = "postgres_copy_duplicates_skipped"
WAITING = "postgres_copy_waiting"
WAITING_WHY = "postgres_copy_waiting_why"
KAFKA_SENT = "kafka_out_rows_committed"
KAFKA_WAITING = "kafka_out_waiting"
PARSER_WAITING = "parser_waiting"
LETTERS_WAITING = "dead_letter_waiting"
LETTERS_HELD = "dead_letter_held"
NEVER_FOUND = "postgres_copy_column_never_found"
_NAMES = frozenset(
    {
        RECEIVED,
        SENT,
        COMMITTED,
        DUPLICATES,
        WAITING,
        WAITING_WHY,
        KAFKA_SENT,
        KAFKA_WAITING,
        PARSER_WAITING,
        LETTERS_WAITING,
        LETTERS_HELD,
        NEVER_FOUND,
    }
)

_DEAD_LETTER_PATH = re.compile(r"\.fallback\.[1-9][0-9]*$")


@dataclass(frozen=True, slots=True)
class Counters:
    """Records since the engine started.

    Attributes:
        read: Received from the source, redeliveries included.
        written: Reached every sink. With several sinks it is the count of the one that has the fewest: a record
            that only some of them have is not written yet. Postgres counts the rows that it committed, so that a
            redelivery does not count there; other sinks count every record that they took.
        dead: Acknowledged by the dead-letter topic.
        duplicates: Redeliveries that Postgres had already and skipped.
        waiting: Why the Postgres sink waits, as one word; None while it does not.
        kafka_waiting: Why a kafka sink waits, as one word; None while none does.
        parser_waiting: Why the parser waits, as one word; None while it does not.
        letters_waiting: Why dead letters wait, as one word; None while they do not.
        letters_held: The commonest code among the dead letters that the breaker holds back.
        why: What the Postgres sink says of the reason for which it waits; None while it does not.
        never_found: The columns that no document had a value for, so far.

    """

    read: float
    written: float
    dead: float
    duplicates: float
    waiting: str | None
    kafka_waiting: str | None = None
    parser_waiting: str | None = None
    letters_waiting: str | None = None
    letters_held: str | None = None
    why: str | None = None
    never_found: tuple[str, ...] = ()


def counters(text: str) -> Counters:
    """Read an engine's metrics; what the page does not tell counts as 0. Never raises."""
    read = dead = duplicates = 0.0
    sinks: dict[str, float] = {}
    committed: dict[str, float] = {}
    never_found: set[str] = set()
    waiting: dict[str, dict[str, float]] = {
        each: {} for each in (WAITING, KAFKA_WAITING, PARSER_WAITING, LETTERS_WAITING, LETTERS_HELD)
    }
    whys: dict[str, str] = {}
    for name, labels, value in samples(text, _NAMES):
        path = labels.get("path", "")
        if name == RECEIVED:
            read += value
        elif name in (COMMITTED, KAFKA_SENT):
            committed[path] = value
        elif name == DUPLICATES:
            duplicates += value
        elif name == WAITING_WHY:
            whys |= {labels.get("reason", ""): labels.get("text", "")} if value else {}
        elif name == NEVER_FOUND:
            never_found |= {labels.get("column", "")} if value else set()
        elif name in waiting:
            reason = labels.get("reason") or labels.get("code", "")
            waiting[name][reason] = waiting[name].get(reason, 0) + value
        elif _DEAD_LETTER_PATH.search(path):
            dead += value
        else:
            sinks[path] = value
    # The engine leaves out every batch with one refused record; the plugins' own counters do not.
    written = min((sinks | committed).values(), default=0.0)
    word = _most(waiting[WAITING])
    return Counters(
        read=read,
        written=written,
        dead=dead,
        duplicates=duplicates,
        waiting=word,
        kafka_waiting=_most(waiting[KAFKA_WAITING]),
        parser_waiting=_most(waiting[PARSER_WAITING]),
        letters_waiting=_most(waiting[LETTERS_WAITING]),
        letters_held=_most(waiting[LETTERS_HELD]),
        why=whys.get(word or "") or None,
        never_found=tuple(sorted(never_found)),
    )


def _most(waiting: dict[str, float]) -> str | None:
    reason = max(waiting, key=waiting.__getitem__, default="")
    return reason if waiting.get(reason, 0) > 0 else None
