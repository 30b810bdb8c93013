"""The format of a dead letter: a raw Kafka record becomes a typed one. The headers are listed in docs/guarantees.md.

Whatever stands in such a topic is taken as it is: a header that cannot be read is a header that is not there.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from ddpm.broker.dump import RawRecord
from ddpm.contract import Header, Prefix
from ddpm.errors import ConfigError
from ddpm.privacy import PrivacyFilter

# A letter that is kept in the table `ddpm_dead_letters` has its id there for an offset.
KEPT = -1
_KEPT = "table"
_ID = re.compile(rf"([0-9]{{1,9}}|{_KEPT}):([0-9]{{1,18}})")
_LARGEST = 2**63 - 1
# The end of the year 9999: what lies beyond cannot be shown, and no clock says it.
LAST_MS = 253_402_300_799_000

Headers = tuple[tuple[str, bytes | None], ...]


class LetterId(NamedTuple):
    """Where a dead letter lies: `PARTITION:OFFSET` in its topic, `table:ID` in the table of those too large for it."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{_KEPT if self.partition == KEPT else self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id; raises ConfigError when it is none."""
        found = _ID.fullmatch(text.strip())
        if found is None:
            msg = f'"{text}" is not the id of a dead letter'
            raise ConfigError(
                msg, hint="write PARTITION:OFFSET, for example 0:17; `ddpm dlq list --letters` shows them"
            )
        return cls(KEPT if found[1] == _KEPT else int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the record of a dead letter came from.

    `index` is the place of the document within the record for formats with many, `source` the number of the topic's
    incarnation for pipelines with a table; each None otherwise.
    """

    topic: str
    partition: int
    offset: int
    index: int | None = None
    source: int | None = None

    def __str__(self) -> str:
        place = f"{self.topic}:{self.partition}:{self.offset}"
        return place if self.index is None else f"{place} document {self.index}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter.

    Attributes:
        id: Where it lies.
        pipeline: Whose it is.
        sink: The sink that did not get its record; None where none of several did, or before ddpm wrote it.
        origin: Where its record came from; None when the engine did not know.
        stage: `parse`, `process` or `sink`.
        code: The short reason.
        message: The reason in words.
        sqlstate: What Postgres called it; None when Postgres did not refuse it.
        column: The column that it was about; None when none was named.
        failed_at_ms: When it failed, in milliseconds since 1970.
        recorded_at_ms: The record's own time, likewise; None when it has none.
        attempt: 1 for a record that failed as it came, one more for each replay.
        config_hash: Names the engine configuration that it failed under; None before ddpm wrote it.
        key: The record's key. An engine writes an empty one for none.
        value: The record's bytes; None for a tombstone.
        headers: The record's own headers, as they were before it failed.
        headers_cut: A JSON list of the names of headers that are missing or cut, since the letter fitted nowhere with
            them; None when all are whole.

    """

    id: LetterId
    pipeline: str
    origin: Origin | None
    stage: str
    code: str
    message: str
    sqlstate: str | None
    column: str | None
    failed_at_ms: int
    recorded_at_ms: int | None
    attempt: int
    config_hash: str | None
    key: bytes | None
    value: bytes | None
    headers: Headers
    headers_cut: str | None = None
    sink: str | None = None


def shown(letter: DeadLetter, privacy: PrivacyFilter) -> DeadLetter:
    """A letter as people may see it."""
    return replace(
        with_reason_shown(letter, privacy),
        key=privacy.key(letter.key),
        value=privacy.value(letter.value),
        headers=privacy.headers(letter.headers),
    )


def with_reason_shown(letter: DeadLetter, privacy: PrivacyFilter) -> DeadLetter:
    """A letter whose reason is what people may see of it."""
    if not privacy.active:
        return letter
    return replace(letter, message=privacy.reason(letter.message, letter.column, privacy.taken_of(letter.value)))


def parse(record: RawRecord) -> DeadLetter | None:
    """Read a record of a dead-letter topic; None when no pipeline of ddpm wrote it."""
    found = {name: value for name, value in record.headers if value is not None and name in Header.ALL}
    pipeline = _text(found, Header.PIPELINE)
    if not pipeline:
        return None
    failed_at = _number(found, Header.FAILED_AT)
    # Letters of older versions do not say it; the engine wrote them when they failed.
    failed_at = max(0, record.timestamp) if failed_at is None else failed_at
    return DeadLetter(
        id=LetterId(record.partition, record.offset),
        pipeline=pipeline,
        origin=_origin(found),
        stage=_text(found, Header.STAGE) or "unknown",
        code=_text(found, Header.CODE) or "unknown",
        message=_text(found, Header.MESSAGE) or "",
        sqlstate=_text(found, Header.SQLSTATE),
        column=_text(found, Header.COLUMN),
        failed_at_ms=min(failed_at, LAST_MS),
        recorded_at_ms=_number(found, Header.TIMESTAMP, negative=True),
        attempt=max(1, _number(found, Header.ATTEMPT) or 1),
        config_hash=_text(found, Header.CONFIG_HASH),
        key=record.key,
        value=None if found.get(Header.NULL) == b"true" else record.value or b"",
        headers=_headers(record.headers, found),
        headers_cut=_text(found, Header.HEADERS_CUT),
        sink=_text(found, Header.SINK),
    )


def _origin(found: Mapping[str, bytes]) -> Origin | None:
    topic, partition, offset = (
        _text(found, Header.TOPIC),
        _number(found, Header.PARTITION),
        _number(found, Header.OFFSET),
    )
    if not topic or partition is None or offset is None:
        return None
    return Origin(topic, partition, offset, _number(found, Header.INDEX), _number(found, Header.SOURCE))


def _headers(all_: Headers, found: Mapping[str, bytes]) -> Headers:
    exact = _exact_headers(found.get(Header.HEADERS))
    if exact is not None:
        return exact
    return tuple((_original(name), value) for name, value in all_ if name not in Header.ALL)


def _original(name: str) -> str:
    stripped = name
    while stripped.startswith(Prefix.DISPLACED):
        stripped = stripped.removeprefix(Prefix.DISPLACED)
    return stripped if stripped in Header.ALL else name


def _exact_headers(text: bytes | None) -> Headers | None:
    if text is None:
        return None
    try:
        return tuple((str(name), base64.b64decode(value, validate=True)) for name, value in json.loads(text))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        return None


def _text(found: Mapping[str, bytes], name: str) -> str | None:
    value = found.get(name)
    return None if value is None else value.decode("utf-8", "replace")


def _number(found: Mapping[str, bytes], name: str, *, negative: bool = False) -> int | None:
    value = found.get(name)
    if value is None or not re.fullmatch(rb"-?[0-9]{1,19}", value):
        return None
    number = int(value)
    return number if (negative or number >= 0) and abs(number) <= _LARGEST else None
