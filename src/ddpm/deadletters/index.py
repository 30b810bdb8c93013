"""Keeps the books over one topic of dead letters: which are open, why, since when. Pure; holds no bytes of a record.

It gets letters and marks in any order, those that are about several sinks once for each. They are kept so, since each
sink may be dealt with by itself; as long as all are in the same way, they are shown as one entry without a sink.

Letters of the same origin, sink and attempt are one: a letter that was written just before a crash is written again. Of
the attempts of one origin the last counts; a replay that fails writes the next one. A letter is open until it, a copy
or a later attempt of it is marked.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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

_Key = tuple[Origin | LetterId, str | None]


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
    sink: str | None = None

    @property
    def open(self) -> bool:
        """Whether nothing was done with it yet."""
        return self.mark is None or self.mark.attempt < self.attempt

    def resolved(self, deed: Resolution, at_ms: int, run: str) -> ResolutionRecord:
        """What is remembered when something is done with it."""
        return ResolutionRecord(self.id, self.pipeline, self.origin, self.attempt, deed, at_ms, run, self.sink)


def _key(of: "DeadLetter | ResolutionRecord") -> _Key:
    return of.origin or of.id, of.sink


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
    # What was done last with each letter, however many sinks it was about.
    deeds: dict[LetterId, Resolution] = field(default_factory=dict)
    sinks: set[str | None] = field(default_factory=set)
    # None is "to be found out": what is asked for every few seconds is not counted again when nothing happened.
    depth: Depth | None = None


def _as_shown(page: _Page, *, handled: bool, one_by_one: bool = False) -> Iterator[Entry]:
    """The entries of a page; those of one letter as one, while all sinks are in the same way."""
    those = (each for each in page.entries.values() if handled or each.open)
    if len(page.sinks) <= 1 or one_by_one:
        yield from those
        return
    of_letter: dict[LetterId, list[Entry]] = {}
    for entry in those:
        of_letter.setdefault(entry.id, []).append(entry)
    for entries in of_letter.values():
        yield from (_as_one(entries),) if _alike(entries, page) else entries


def _alike(entries: Sequence[Entry], page: _Page) -> bool:
    """Whether entries of one letter are all that there are of its record, and in the same way."""
    first = entries[0]
    of = first.origin or first.id
    ways = {(each.attempt, each.mark.deed if each.mark and not each.open else None) for each in entries}
    return len(ways) == 1 and len(entries) == sum((of, sink) in page.entries for sink in page.sinks)


def _as_one(entries: Sequence[Entry]) -> Entry:
    return entries[0] if len(entries) == 1 else replace(entries[0], sink=None)


def _newest(page: _Page, of: Origin | LetterId, sink: str | None, wanted: LetterId | None = None) -> Entry | None:
    """What there is of a record: of one sink, or the newest attempt of all, first what is open.

    Those of the letter that is `wanted` come before others.
    """
    if sink is not None or None in page.sinks:
        return page.entries.get((of, sink))
    entries = [page.entries[of, name] for name in page.sinks if (of, name) in page.entries]
    if not entries:
        return None
    entries = [each for each in entries if each.id == wanted] or entries
    if _alike(entries, page):
        return _as_one(entries)
    return max(entries, key=lambda each: (each.attempt, each.open))


class DeadLetterIndex:
    """The books of one topic."""

    def __init__(self) -> None:
        self._pages: dict[str, _Page] = {}
        self._reasons: dict[Reason, Reason] = {}
        self._patterns: Counter[tuple[str, str]] = Counter()

    def add(self, letter: DeadLetter) -> None:
        """Enter a letter."""
        page = self._page(letter.pipeline)
        key = _key(letter)
        known = page.entries.get(key)
        if known is not None and known.attempt >= letter.attempt:
            known.copies += known.attempt == letter.attempt
            return
        page.sinks.add(letter.sink)
        page.entries[key] = Entry(
            letter.id,
            letter.pipeline,
            letter.origin,
            self._reason(letter),
            letter.failed_at_ms,
            letter.attempt,
            mark=page.marks.get(key),
            headers_cut=letter.headers_cut is not None,
            sink=letter.sink,
        )

    def note(self, *marks: ResolutionRecord) -> None:
        """Enter what was done with one letter, once for each of its sinks."""
        for mark in marks:
            page = self._page(mark.pipeline)
            key = _key(mark)
            known = page.marks.get(key)
            if known is None or known.attempt <= mark.attempt:
                page.marks[key] = mark
                if key in page.entries:
                    page.entries[key].mark = mark
            page.deeds[mark.id] = mark.deed

    def forget_before(self, starts: Mapping[int, int]) -> None:
        """Strike out the letters that Kafka has let go: those below the offset where their partition begins now."""
        for page in self._pages.values():
            gone = [key for key, entry in page.entries.items() if entry.id.offset < starts.get(entry.id.partition, 0)]
            for key in gone:
                del page.entries[key]
            page.depth = None

    def entries(self, pipeline: str, *, handled: bool = False, one_by_one: bool = False) -> Iterator[Entry]:
        """The open letters of a pipeline, or those that were handled too, as they lie in the topic.

        One that is about several sinks is one entry while all are in the same way, unless they are asked for
        `one_by_one`.
        """
        page = self._pages.get(pipeline)
        shown = _as_shown(page, handled=handled, one_by_one=one_by_one) if page else ()
        return iter(sorted(shown, key=lambda each: (each.id, each.sink or "")))

    def entry(self, letter: DeadLetter) -> Entry | None:
        """The entry that stands for a letter, its copies and its attempts."""
        page = self._pages.get(letter.pipeline)
        return _newest(page, letter.origin or letter.id, letter.sink, letter.id) if page else None

    def latest(self, entry: Entry) -> Entry | None:
        """The present entry of another's origin; None when Kafka has let it go."""
        page = self._pages.get(entry.pipeline)
        return _newest(page, entry.origin or entry.id, entry.sink) if page else None

    def depth(self, pipeline: str) -> Depth:
        """How many are open, and since when."""
        page = self._page(pipeline, changes=False)
        if page.depth is None:
            ages = [entry.failed_at_ms for entry in _as_shown(page, handled=False)]
            deeds = Counter(page.deeds.values())
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
