"""What a parser function is told about a record, and how it refuses one of the record's rows."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Meta(NamedTuple):
    """Where a record comes from.

    Attributes:
        topic: Its topic.
        partition: Its partition.
        offset: Its offset.
        timestamp_ms: Its time in milliseconds since 1970, if it has one.
        key: Its key; empty for a record without one.
        headers: Its headers in their order; a name may occur more than once.

    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None
    key: bytes
    headers: tuple[tuple[str, bytes], ...]

    @property
    def timestamp(self) -> datetime | None:
        """Its time, with the zone UTC."""
        return None if self.timestamp_ms is None else _EPOCH + timedelta(milliseconds=self.timestamp_ms)


@dataclass(frozen=True, slots=True)
class Poison:
    """In place of a row that cannot be read: it alone becomes a dead letter, with this reason."""

    reason: str
