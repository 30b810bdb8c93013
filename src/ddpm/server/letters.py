"""How the API and the commands show dead letters: the shapes of the answers, and how letters become them."""

import base64
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from ddpm.deadletters.index import Depth, Entry, ReasonSummary
from ddpm.deadletters.letter import DeadLetter
from ddpm.deadletters.resolution import Resolution, ResolutionRecord
from ddpm.server.views import Time, View, from_epoch


class OriginView(View):
    """Where a record came from; `index` counts the documents of a record, `source` numbers the topic's incarnation."""

    topic: str
    partition: int
    offset: int
    index: int | None
    source: int | None


class HandledView(View):
    """What was done with a letter, when, and by which command or request."""

    deed: Resolution
    at: Time
    run: str


class ReasonView(View):
    """Letters that failed for the same reason; `message` has what differs left out, `example` is the id of one."""

    stage: str
    code: str
    message: str
    count: int
    first: Time
    last: Time
    example: str


class LetterLineView(View):
    """A letter in one line; `copies` were written of it, more than one after a crash."""

    id: str
    stage: str
    code: str
    message: str
    failed_at: Time
    attempt: int
    copies: int
    origin: OriginView | None
    handled: HandledView | None
    sink: str | None = Field(description="the sink that did not get the record; null: none of several did")


class BytesView(View):
    """Bytes: how many, what they are as text (null if that is not UTF-8), and as base64; `cut` when only the first."""

    size: int
    text: str | None
    base64: str
    cut: bool


class HeaderView(View):
    """A header of a record."""

    name: str
    value: BytesView | None


class LetterView(LetterLineView):
    """A letter with everything in it; a null `value` is a tombstone."""

    pipeline: str
    sqlstate: str | None
    column: str | None
    recorded_at_ms: int | None = Field(description="the record's own time in milliseconds since 1970, true or not")
    config_hash: str | None
    key: BytesView | None
    value: BytesView | None
    headers: tuple[HeaderView, ...]


class ReplayView(View):
    """A replay: how far it is, why its engine waits if it does, and how it ended."""

    id: str
    state: Literal["running", "done", "failed"]
    started: Time
    ended: Time | None
    total: int
    done: int
    landed: int
    failed_again: int
    waiting: str | None
    message: str


class DeadLettersView(View):
    """The dead letters of a pipeline.

    `complete` is false while ddpm has not read the whole topic yet; `letters` are the newest of those asked for.
    """

    pipeline: str
    topic: str
    complete: bool
    open: int
    oldest: Time | None
    replayed: int
    failed_again: int
    discarded: int
    reasons: tuple[ReasonView, ...]
    letters: tuple[LetterLineView, ...]
    replay: ReplayView | None


def letters_view(
    pipeline: str,
    topic: str,
    depth: Depth,
    reasons: Iterable[ReasonSummary],
    letters: Iterable[LetterLineView] = (),
    *,
    complete: bool = True,
    replay: ReplayView | None = None,
) -> DeadLettersView:
    """The dead letters of a pipeline as they were counted."""
    return DeadLettersView(
        pipeline=pipeline,
        topic=topic,
        complete=complete,
        open=depth.open,
        oldest=None if depth.oldest_ms is None else from_epoch(depth.oldest_ms / 1000),
        replayed=depth.replayed,
        failed_again=depth.failed_again,
        discarded=depth.discarded,
        reasons=tuple(map(_reason_view, reasons)),
        letters=tuple(letters),
        replay=replay,
    )


def line_view(letter: DeadLetter, entry: Entry | None) -> LetterLineView:
    """A letter in one line; `entry` says what was done with it."""
    return LetterLineView(
        id=str(letter.id),
        stage=letter.stage,
        code=letter.code,
        message=letter.message,
        failed_at=from_epoch(letter.failed_at_ms / 1000),
        attempt=letter.attempt,
        copies=entry.copies if entry is not None and entry.attempt == letter.attempt else 1,
        origin=None
        if (origin := letter.origin) is None
        else OriginView(
            topic=origin.topic,
            partition=origin.partition,
            offset=origin.offset,
            index=origin.index,
            source=origin.source,
        ),
        handled=_handled_view(letter, entry),
        sink=letter.sink,
    )


def letter_view(letter: DeadLetter, entry: Entry | None, most: int | None = None) -> LetterView:
    """A letter with everything in it; of its bytes the first `most`."""
    return LetterView(
        **dict(line_view(letter, entry)),
        pipeline=letter.pipeline,
        sqlstate=letter.sqlstate,
        column=letter.column,
        recorded_at_ms=letter.recorded_at_ms,
        config_hash=letter.config_hash,
        key=bytes_view(letter.key, most),
        value=bytes_view(letter.value, most),
        headers=tuple(HeaderView(name=name, value=bytes_view(value, most)) for name, value in letter.headers),
    )


def _reason_view(summary: ReasonSummary) -> ReasonView:
    return ReasonView(
        stage=summary.reason.stage,
        code=summary.reason.code,
        message=summary.reason.pattern,
        count=summary.count,
        first=from_epoch(summary.first_ms / 1000),
        last=from_epoch(summary.last_ms / 1000),
        example=str(summary.example),
    )


def _handled_view(letter: DeadLetter, entry: Entry | None) -> HandledView | None:
    mark: ResolutionRecord | None = entry.mark if entry else None
    if entry is None or (mark is None and entry.attempt <= letter.attempt):
        return None
    if mark is None or mark.attempt < letter.attempt:
        # A replay that was killed before it could mark this one has written the next attempt.
        if entry.attempt <= letter.attempt:
            return None
        return HandledView(deed=Resolution.FAILED_AGAIN, at=from_epoch(entry.failed_at_ms / 1000), run="")
    return HandledView(deed=mark.deed, at=from_epoch(mark.at_ms / 1000), run=mark.run)


def bytes_view(value: bytes | None, most: int | None) -> BytesView | None:
    """Bytes, of which at most so many are shown."""
    if value is None:
        return None
    shown = value if most is None else value[:most]
    return BytesView(
        size=len(value),
        text=_text(shown, whole=len(shown) == len(value)),
        base64=base64.b64encode(shown).decode(),
        cut=len(shown) < len(value),
    )


def _text(value: bytes, *, whole: bool) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        # A cut may go through a character; anything else is not text.
        return value[: error.start].decode() if not whole and len(value) - error.start < 4 else None  # noqa: PLR2004
