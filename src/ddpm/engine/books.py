"""What an engine's books say of each partition, read from its metrics.

`cmd/engine/internal/runtime/audit` keeps them.
"""

from collections import defaultdict
from dataclasses import dataclass

from ddpm.contract import DuplicateKind, Metric
from ddpm.engine.exposition import samples

Key = tuple[str, int]

_FIELDS = {
    Metric.AUDIT_READ: "read",
    Metric.AUDIT_DOCUMENTS: "documents",
    Metric.AUDIT_FILTERED: "filtered",
    Metric.AUDIT_ROWS: "rows",
    Metric.AUDIT_DEAD: "dead",
    Metric.AUDIT_FIRST: "first",
    Metric.AUDIT_OPEN_END: "open_end",
    Metric.AUDIT_OPEN_RECORDS: "open_records",
}
_DUPLICATES = Metric.AUDIT_DUPLICATES
_NAMES = frozenset({*_FIELDS, _DUPLICATES})


@dataclass(frozen=True, slots=True)
class Book:
    """What one engine says of one partition since it started.

    Attributes:
        read: Records, redeliveries included.
        documents: What the parser made of them.
        filtered: Documents that processors dropped.
        rows: Rows that were committed.
        redelivered: Rows that were in the table already, and may have been read before.
        unexpected: Rows that were in the table already, though they cannot have been read before.
        dead: Dead letters that were delivered.
        open_end: The offset behind the oldest records that are not settled, though some time has passed; 0 for none.
        open_records: How many documents are not settled.
        first: The lowest offset that was read.

    """

    read: int = 0
    documents: int = 0
    filtered: int = 0
    rows: int = 0
    redelivered: int = 0
    unexpected: int = 0
    dead: int = 0
    open_end: int = 0
    open_records: int = 0
    first: int = 0


def books(text: str) -> dict[Key, Book]:
    """Read an engine's metrics, by topic and partition; what the page does not say counts as 0. Never raises."""
    found: defaultdict[Key, dict[str, int]] = defaultdict(dict)
    for name, labels, value in samples(text, _NAMES):
        number, kind = labels.get("partition", ""), labels.get("kind", "")
        field = _FIELDS.get(name) or (kind if kind in DuplicateKind.ALL else None)
        if field is not None and number.isdecimal():
            found[labels.get("topic", ""), int(number)][field] = int(value)
    return {key: Book(**counted) for key, counted in found.items()}
