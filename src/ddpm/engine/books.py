"""What an engine's books say of each partition, read from its metrics; `cmd/engine/audit` keeps them."""

from collections import defaultdict
from dataclasses import dataclass

from ddpm.engine.exposition import samples

Key = tuple[str, int]

_FIELDS = {
    "audit_records_read": "read",
    "audit_documents": "documents",
    "audit_documents_filtered": "filtered",
    "audit_rows": "rows",
    "audit_dead_letters": "dead",
    "audit_first_offset": "first",
    "audit_open_end": "open_end",
    "audit_open_records": "open_records",
}
_DUPLICATES = "audit_duplicates"
_KINDS = frozenset({"redelivered", "unexpected"})
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
    """Read an engine's metrics, by topic and partition; what the page does not tell counts as 0. Never raises."""
    found: defaultdict[Key, dict[str, int]] = defaultdict(dict)
    for name, labels, value in samples(text, _NAMES):
        number, kind = labels.get("partition", ""), labels.get("kind", "")
        told = _FIELDS.get(name) or (kind if kind in _KINDS else None)
        if told is not None and number.isdecimal():
            found[labels.get("topic", ""), int(number)][told] = int(value)
    return {key: Book(**counted) for key, counted in found.items()}
