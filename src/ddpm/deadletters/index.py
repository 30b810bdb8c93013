"""Keeps the books over one topic of dead letters: which are open, why, since when. Pure; holds no bytes of a record.

It is told letters and marks in any order. Letters of the same origin and attempt are one: a letter that was written
just before a crash is written again. Of the attempts of one origin the last counts; a replay that fails writes the next
one. A letter is open until it, a copy or a later attempt of it is marked.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ddpm.deadletters.letter import DeadLetter, LetterId, Origin
from ddpm.deadletters.resolution import Resolution, ResolutionRecord

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|`[^`]*`')
_HEX = re.compile(r"\b0x[0-9a-fA-F]+\b|\\x[0-9a-fA-F]+|\b(?=[0-9a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{8,}\b")
# Where a step of the user's stands, which is the same for all that it fails on.
_STEP = re.compile(r"(?:[^\s:]{1,100}:\d{1,9}: )?processors\[\d{1,4}\](?:\.mapping|\.filter)?: ")
# Not the 8 of UTF-8.
_NUMBER = re.compile(r"(?<![A-Za-z]-)\b\d+(?:[.,:]\d+)*\b")
_LONGEST_PATTERN = 160
# Messages may differ without end; what is beyond so many patterns of a code is counted together.
_PATTERNS_OF_A_CODE = 200

_Key = Origin | LetterId


class Reason(NamedTuple):
    """Why letters failed: `pattern` is their message with what differs from one to the next left out."""

    stage: str
    code: str
    pattern: str


@dataclass(slots=True)
class Entry:
    """A letter in the books; `copies` are letters of the same origin and attempt, itself included.

    `headers_cut` is whether it lacks headers of its record, since it fitted nowhere with them.
    """

    id: LetterId
    pipeline: str
    origin: Origin | None
    reason: Reason
    failed_at_ms: int
    attempt: int
    copies: int = 1
    mark: ResolutionRecord | None = None
    headers_cut: bool = False

    @property
    def open(self) -> bool:
        """Whether nothing was done with it yet."""
        return self.mark is None or self.mark.attempt < self.attempt

    @property
    def key(self) -> _Key:
        """What it has in common with its copies and other attempts."""
        return self.origin or self.id


@dataclass(frozen=True, slots=True)
class Depth:
    """How many letters of a pipeline are open, when the oldest of them failed, and what was done so far."""

    open: int
    oldest_ms: int | None
    replayed: int
    failed_again: int
    discarded: int


@dataclass(slots=True)
class _Page:
    """The letters and marks of one pipeline."""

    entries: dict[_Key, Entry] = field(default_factory=dict)
    marks: dict[_Key, ResolutionRecord] = field(default_factory=dict)
    deeds: Counter[Resolution] = field(default_factory=Counter)
    # None is "to be found out": what is asked for every few seconds is not counted again when nothing happened.
    depth: Depth | None = None


class DeadLetterIndex:
    """The books of one topic."""

    def __init__(self) -> None:
        self._pages: dict[str, _Page] = {}
        self._reasons: dict[Reason, Reason] = {}
        self._patterns: Counter[tuple[str, str]] = Counter()

    def add(self, letter: DeadLetter) -> None:
        """Enter a letter."""
        page = self._page(letter.pipeline)
        key = letter.origin or letter.id
        known = page.entries.get(key)
        if known is not None and known.attempt >= letter.attempt:
            known.copies += known.attempt == letter.attempt
            return
        page.entries[key] = Entry(
            letter.id,
            letter.pipeline,
            letter.origin,
            self._reason(letter),
            letter.failed_at_ms,
            letter.attempt,
            mark=page.marks.get(key),
            headers_cut=letter.headers_cut is not None,
        )

    def note(self, mark: ResolutionRecord) -> None:
        """Enter a mark."""
        page = self._page(mark.pipeline)
        key = mark.origin or mark.id
        known = page.marks.get(key)
        page.deeds[mark.deed] += 1
        if known is None or known.attempt <= mark.attempt:
            page.marks[key] = mark
            if key in page.entries:
                page.entries[key].mark = mark

    def forget_before(self, starts: Mapping[int, int]) -> None:
        """Strike out the letters that Kafka has let go: those below the offset where their partition begins now."""
        for page in self._pages.values():
            gone = [key for key, entry in page.entries.items() if entry.id.offset < starts.get(entry.id.partition, 0)]
            for key in gone:
                del page.entries[key]
            page.depth = None

    def entries(self, pipeline: str, *, handled: bool = False) -> Iterator[Entry]:
        """The open letters of a pipeline, or those that were handled too, as they lie in the topic."""
        entries = self._pages[pipeline].entries.values() if pipeline in self._pages else ()
        return iter(sorted((each for each in entries if handled or each.open), key=lambda each: each.id))

    def entry(self, letter: DeadLetter) -> Entry | None:
        """The entry that stands for a letter, its copies and its attempts."""
        page = self._pages.get(letter.pipeline)
        return page.entries.get(letter.origin or letter.id) if page else None

    def latest(self, entry: Entry) -> Entry | None:
        """The present entry of another's origin; None when Kafka has let it go."""
        page = self._pages.get(entry.pipeline)
        return page.entries.get(entry.key) if page else None

    def depth(self, pipeline: str) -> Depth:
        """How many are open, and since when."""
        page = self._page(pipeline, changes=False)
        if page.depth is None:
            ages = [entry.failed_at_ms for entry in page.entries.values() if entry.open]
            deeds = page.deeds
            page.depth = Depth(
                len(ages),
                min(ages, default=None),
                deeds[Resolution.REPLAYED],
                deeds[Resolution.FAILED_AGAIN],
                deeds[Resolution.DISCARDED],
            )
        return page.depth

    def _page(self, pipeline: str, *, changes: bool = True) -> _Page:
        page = self._pages.setdefault(pipeline, _Page())
        if changes:
            page.depth = None
        return page

    def _reason(self, letter: DeadLetter) -> Reason:
        reason = Reason(letter.stage, letter.code, pattern_of(letter.message))
        if reason not in self._reasons:
            kind = letter.stage, letter.code
            if self._patterns[kind] >= _PATTERNS_OF_A_CODE:
                reason = Reason(*kind, "…")
            self._patterns[kind] += 1
        return self._reasons.setdefault(reason, reason)


@dataclass(frozen=True, slots=True)
class ReasonSummary:
    """Letters with one reason: how many, the first and last time that one failed (milliseconds), and one of them."""

    reason: Reason
    count: int
    first_ms: int
    last_ms: int
    example: LetterId


def summarize(entries: Iterable[Entry]) -> list[ReasonSummary]:
    """The reasons of letters, the most frequent first."""
    seen: dict[Reason, ReasonSummary] = {}
    for entry in entries:
        known = seen.get(entry.reason)
        at = entry.failed_at_ms
        seen[entry.reason] = (
            ReasonSummary(entry.reason, 1, at, at, entry.id)
            if known is None
            else ReasonSummary(
                known.reason, known.count + 1, min(known.first_ms, at), max(known.last_ms, at), known.example
            )
        )
    return sorted(seen.values(), key=lambda each: (-each.count, each.reason))


def pattern_of(message: str) -> str:
    """A message without what differs between letters of the same kind: quoted texts, numbers, long hexadecimals."""
    first = message.partition("\n")[0]
    step = _STEP.match(first)
    place = step[0] if step else ""
    # Hexadecimals before numbers: they hold some.
    short = place + _NUMBER.sub("N", _HEX.sub("0x…", _QUOTED.sub('"…"', first.removeprefix(place))))
    return short if len(short) <= _LONGEST_PATTERN else short[: _LONGEST_PATTERN - 1] + "…"
