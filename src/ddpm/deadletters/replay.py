"""Feeds dead letters to an engine again, as the records that they were, and remembers what became of each.

How an engine is fed is the caller's affair. What makes a repeated replay harmless is that records keep their origin: a
row that landed before is met again and changes nothing. So a letter is marked only after the engine has acknowledged
everything it was fed, and a replay that is killed is simply repeated.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby, islice
from typing import Protocol

from ddpm.deadletters.index import Entry
from ddpm.deadletters.letter import DeadLetter, Origin
from ddpm.deadletters.resolution import Resolution, ResolutionRecord
from ddpm.deadletters.store import DeadLetterStore

MOST_ATTEMPTS = 3
# What a killed replay has to repeat at most; an engine takes a second to start for each of them.
CHUNK = 5_000


class Fed(Protocol):
    """How far a feeding is."""

    @property
    def acknowledged(self) -> int:
        """Records that are done: in every sink, dead, or filtered."""

    @property
    def waiting(self) -> str | None:
        """Why the engine waits, as one word; None while it does not."""


class Reinject(Protocol):
    """Feeds records to an engine that ends when it has acknowledged them all."""

    def __call__(self, letters: Iterator[DeadLetter], report: Callable[[Fed], None], /) -> None:
        """Feed the records of letters with their origin and attempt, and return when all are written or dead again.

        Args:
            letters: Of one sink. Taken one by one, as fast as they can be fed.
            report: Called from time to time, from any thread.

        Raises:
            DdpmError: It did not come to that; nothing may be assumed of any of them.

        """


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be replayed and what is left out.

    Attributes:
        taken: Letters to replay, as they lie in the topic.
        exhausted: Letters that failed in too many attempts; taken only by force.
        unplaced: Letters whose origin is unknown: their rows would have no identity.
        cut: Letters without some headers of their records, which steps may read; taken only by force.
        orphaned: Letters of sinks that the pipeline does not have any more.

    """

    taken: tuple[Entry, ...]
    exhausted: tuple[Entry, ...]
    unplaced: tuple[Entry, ...]
    cut: tuple[Entry, ...] = ()
    orphaned: tuple[Entry, ...] = ()

    @property
    def left_out(self) -> int:
        """How many are not taken."""
        return len(self.exhausted) + len(self.unplaced) + len(self.cut) + len(self.orphaned)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay is: letters acknowledged (`done`), what became of them, and why the engine waits, if it does."""

    total: int
    done: int = 0
    landed: int = 0
    failed_again: int = 0
    waiting: str | None = None


def plan(entries: Sequence[Entry], *, force: bool, sinks: Collection[str] = ()) -> Plan:
    """Choose among letters those that may be replayed.

    Args:
        entries: The letters.
        force: Take all but those of unknown origin, and of sinks that are gone.
        sinks: The names of all sinks that the pipeline has; empty when that is not known.

    """
    orphaned = tuple(each for each in entries if sinks and each.sink is not None and each.sink not in sinks)
    there = [each for each in entries if not sinks or each.sink is None or each.sink in sinks]
    unplaced = tuple(each for each in there if each.origin is None)
    placed = [each for each in there if each.origin is not None]
    exhausted = () if force else tuple(each for each in placed if each.attempt >= MOST_ATTEMPTS)
    left_out = {each.id for each in exhausted}
    rest = [each for each in placed if each.id not in left_out]
    cut = () if force else tuple(each for each in rest if each.headers_cut)
    return Plan(tuple(each for each in rest if force or not each.headers_cut), exhausted, unplaced, cut, orphaned)


def replay(
    store: DeadLetterStore,
    entries: Sequence[Entry],
    reinject: Reinject,
    run: str,
    report: Callable[[Progress], None],
    *,
    rate: float | None = None,
) -> Progress:
    """Replay letters of one pipeline and mark each with what became of it.

    Args:
        store: Where they are.
        entries: What `plan` takes.
        reinject: Feeds an engine of their pipeline.
        run: Names this replay in the marks.
        report: Notified of every step.
        rate: Letters a second at most; None does not limit it.

    Raises:
        DdpmError: It could not be done; letters that are marked are done, the others as open as before.

    """
    pace = _Pace(rate)
    progress = Progress(len(entries))
    report(progress)
    for chunk in _chunks(entries):
        before = progress.done
        letters = store.letters((each.id for each in chunk), chunk[0].pipeline)
        reinject(pace.slowed(_once_each(letters, chunk)), partial(_report_chunk, report, progress, len(chunk)))
        store.read_all()
        marks = [_mark(store, entry, run) for entry in chunk]
        store.mark(marks)
        failed_again = sum(mark.deed is Resolution.FAILED_AGAIN for mark in marks)
        progress = replace(
            progress,
            done=before + len(chunk),
            landed=progress.landed + len(chunk) - failed_again,
            failed_again=progress.failed_again + failed_again,
        )
        report(progress)
    return progress


def _chunks(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """The letters of each sink by themselves: no other one gets their records again."""
    for _, those in groupby(sorted(entries, key=lambda each: each.sink or ""), key=lambda each: each.sink):
        while chunk := list(islice(those, CHUNK)):
            yield chunk


def _report_chunk(report: Callable[[Progress], None], before: Progress, most: int, fed: Fed) -> None:
    report(replace(before, done=before.done + min(fed.acknowledged, most), waiting=fed.waiting))


def _once_each(letters: Iterator[DeadLetter], entries: Sequence[Entry]) -> Iterator[DeadLetter]:
    """One letter for each record: several documents of one may have failed, and the engine takes it apart again."""
    attempts: dict[Origin, int] = {}
    for entry in entries:
        record = _record(entry.origin)
        attempts[record] = max(entry.attempt, attempts.get(record, 0))
    for letter in letters:
        attempt = attempts.pop(_record(letter.origin), None)
        if attempt is not None:
            # One that is about several sinks may have been dealt with in some of them.
            yield replace(letter, attempt=attempt, sink=entries[0].sink)


def _record(origin: Origin | None) -> Origin:
    assert origin is not None  # noqa: S101 -- `plan` takes no others
    return replace(origin, index=None)


def _mark(store: DeadLetterStore, entry: Entry, run: str) -> ResolutionRecord:
    now = store.latest(entry)
    deed = Resolution.FAILED_AGAIN if now is not None and now.attempt > entry.attempt else Resolution.REPLAYED
    return entry.resolved(deed, int(time.time() * 1000), run)


@dataclass(slots=True)
class _Pace:
    """Lets letters pass no faster than a rate."""

    rate: float | None
    next_at: float = field(default_factory=time.monotonic)

    def slowed(self, letters: Iterator[DeadLetter]) -> Iterator[DeadLetter]:
        for letter in letters:
            if self.rate is not None:
                time.sleep(max(0.0, self.next_at - time.monotonic()))
                self.next_at = max(self.next_at, time.monotonic() - 1) + 1 / self.rate
            yield letter
