"""What a parser function is notified about a record, and how it refuses one of the record's rows."""

import json
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

    @classmethod
    def read(cls, text: bytes) -> "Meta":
        """What the engine says about a record: a list in JSON, in which bytes are texts of one character a byte."""
        topic, partition, offset, timestamp, key, headers = json.loads(text)
        values = tuple((name, value.encode("latin-1")) for name, value in headers) if headers else ()
        return cls(topic, partition, offset, timestamp, key.encode("latin-1"), values)

    @property
    def timestamp(self) -> datetime | None:
        """Its time, with the zone UTC."""
        return None if self.timestamp_ms is None else _EPOCH + timedelta(milliseconds=self.timestamp_ms)


@dataclass(frozen=True, slots=True)
class Poison:
    """In place of a row that cannot be read: it alone becomes a dead letter, with this reason."""

    reason: str
