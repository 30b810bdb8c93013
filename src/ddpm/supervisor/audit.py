"""Compares what the engines read with what became of it, and says what no restart and no filter explains. Pure.

The engines keep books of each partition (`cmd/engine/internal/runtime/audit`): a page holds what was read in a few
seconds, and is balanced once every document on it is a row, a duplicate or a dead letter. An offset is committed only
after that. So a page that stays open though its offsets are committed has lost something, however busy the pipeline is.

A record that was written to its topic after an engine had begun to read there cannot have been read before. If the
table has its identity already, somebody else writes the table, or the topic's log was replaced by an older one. In the
moments of a rebalance that can look so by chance; what goes on is no chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from ddpm.engine.books import Book, Key
from ddpm.supervisor.status import PartitionAudit, PartitionStatus

# How long documents may be missing behind a committed offset: another engine may have written and committed them while
# this one is still at work on them.
GAP_SECONDS = 20.0
# How long after a start, an end or a change of engines duplicates prove nothing.
SETTLING_SECONDS = 30.0
# Unexpected duplicates are an alarm when they were seen twice, so far apart and no farther.
APART_SECONDS = 10.0
TOGETHER_SECONDS = 600.0
# After so long without a look what happened meanwhile is unknown.
LONGEST_GAP = 15.0

_COUNTED = tuple(each.name for each in fields(PartitionAudit) if each.name != "missing")


@dataclass(frozen=True, slots=True)
class Skip:
    """Offsets that no engine seems to have read: from `begin`, where reading had to begin, up to but not `end`."""

    topic: str
    partition: int
    begin: int
    end: int


@dataclass(slots=True)
class _Doubt:
    """Documents of the pages up to an offset, `end`, that are missing behind what was committed, and since when.

    Of a busy engine they are the fewest since then: others are on their way.
    """

    end: int
    since: float
    documents: int
    found: bool = False


@dataclass(slots=True)
class _Engine:
    since: float
    at: float
    books: Mapping[Key, Book] = field(default_factory=dict)
    doubts: dict[Key, _Doubt] = field(default_factory=dict)


@dataclass(slots=True)
class _Surprise:
    """Unexpected duplicates of a partition: when they were first and last seen, and how many."""

    first: float
    last: float
    records: int
    reported: bool = False


class Auditor:
    """The audit of one pipeline over all its engines.

    `engine_said` takes what an engine says, `committed` how far the group has come, `ended` closes an engine's account,
    `acknowledged` forgets what was found because a person has seen it.
    """

    def __init__(self, *, settles: bool) -> None:
        """Begin; `settles` reports whether the books are complete: documents go to Postgres by ddpm's own way."""
        self._settles = settles
        self._engines: dict[int, _Engine] = {}
        self._past: dict[Key, dict[str, int]] = {}
        self._committed: dict[Key, int] = {}
        self._reached: dict[Key, int] = {}
        self._begins: dict[Key, int] = {}
        self._fresh: frozenset[Key] | None = None
        self._lost: dict[Key, int] = {}
        self._surprises: dict[Key, _Surprise] = {}
        self._present: dict[tuple[Key, str], str] = {}
        self._older: dict[Key, float] = {}

    @property
    def present(self) -> str | None:
        """What was found and not acknowledged; the same words while it is the same."""
        if not self._present:
            return None
        found: dict[str, list[str]] = {}
        for (_, kind), words in sorted(self._present.items()):
            found.setdefault(kind, []).append(words)
        return f"audit: {'; '.join(_together(each) for each in found.values())}"

    def committed(self, partitions: Sequence[PartitionStatus]) -> None:
        """Take how far the group has come."""
        seen = {(each.topic, each.partition): each.committed for each in partitions}
        if self._fresh is None and seen:
            self._fresh = frozenset(key for key, committed in seen.items() if committed is None)
        self._committed = {key: committed for key, committed in seen.items() if committed is not None}
        self._reached |= self._committed
        for each in partitions:
            if each.committed is None:
                key, start = (each.topic, each.partition), each.end - each.lag
                self._begins[key] = max(self._reached.get(key, start), start)

    def engine_said(
        self, now: float, replica: int, books: Mapping[Key, Book], *, waiting: bool, changed_at: float
    ) -> list[str]:
        """Take what an engine says; returns what somebody should look at and was not reported before.

        Args:
            now: A monotonic clock.
            replica: Which engine.
            books: What it says, by topic and partition.
            waiting: Whether it waits for something, so that nothing can be expected of it.
            changed_at: When an engine of the pipeline last started or ended, by the same clock.

        """
        before = self._engines.get(replica)
        if before is not None and any(books.get(key, Book()).read < old.read for key, old in before.books.items()):
            self.ended(replica)
            before = None
        engine = _Engine(before.since if before else now, now, books, before.doubts if before else {})
        self._engines[replica] = engine
        steady = before is not None and now - before.at <= LONGEST_GAP
        alarms = self._before_the_first(now)
        if self._settles:
            alarms += self._gaps(now, engine, calm=steady and not waiting, changed_at=changed_at)
        if before is not None and steady and now - changed_at >= SETTLING_SECONDS:
            alarms += self._surprising(now, before.books, books)
        return alarms

    def skips(self) -> tuple[Skip, ...]:
        """Where an engine began to read behind the place at which it had to begin, in partitions without a commit.

        Whether a record is among those offsets is for the caller to try, and to give to `probed`.
        """
        found = []
        for key, begin in list(self._begins.items()):
            firsts = [engine.books[key].first for engine in self._engines.values() if key in engine.books]
            if firsts and min(firsts) <= begin:
                del self._begins[key]
            elif firsts:
                found.append(Skip(*key, begin, min(firsts)))
        return tuple(found)

    def probed(self, skip: Skip, readable: int | None) -> list[str]:
        """Take the first offset from `skip.begin` on that has a record; returns what somebody should look at."""
        key = (skip.topic, skip.partition)
        if self._begins.pop(key, None) is None or readable is None or readable >= skip.end:
            return []
        return [f"audit: {self._found(key, 'skip', _skipped(skip, readable))}"]

    def ended(self, replica: int) -> None:
        """Close the account of an engine that is gone: what it had in flight is read again by another one."""
        engine = self._engines.pop(replica, None)
        # What it wrote in its last seconds it has not reported.
        self._fresh = frozenset()
        if engine is None or engine.at - engine.since < SETTLING_SECONDS:
            # It may have read, and committed, more than it reported.
            self._begins.clear()
        if engine is None:
            return
        for key, book in engine.books.items():
            past = self._past.setdefault(key, dict.fromkeys(_COUNTED, 0))
            for name in _COUNTED:
                past[name] += getattr(book, name)
        for key, doubt in engine.doubts.items():
            if doubt.found:
                self._lost[key] = self._lost.get(key, 0) + doubt.documents

    def acknowledged(self) -> None:
        """Forget what was found: a person has seen it, and asked the pipeline to go on."""
        self._present.clear()
        self._lost.clear()
        self._surprises.clear()
        for engine in self._engines.values():
            engine.doubts.clear()

    def totals(self) -> dict[Key, PartitionAudit]:
        """All that was counted since ddpm started, by topic and partition."""
        keys = self._past.keys() | {key for engine in self._engines.values() for key in engine.books}
        return {key: self._total(key) for key in sorted(keys)}

    def _total(self, key: Key) -> PartitionAudit:
        counted = dict(self._past.get(key) or dict.fromkeys(_COUNTED, 0))
        missing = self._lost.get(key, 0)
        for engine in self._engines.values():
            book = engine.books.get(key, Book())
            for name in _COUNTED:
                counted[name] += getattr(book, name)
            doubt = engine.doubts.get(key)
            missing += doubt.documents if doubt and doubt.found else 0
        return PartitionAudit(**counted, missing=missing)

    def _gaps(self, now: float, engine: _Engine, *, calm: bool, changed_at: float) -> list[str]:
        found = []
        doubts: dict[Key, _Doubt] = {}
        for key, book in engine.books.items():
            if not book.open_records or self._committed.get(key, 0) < book.open_end:
                continue
            doubt = engine.doubts.get(key)
            if doubt is not None and doubt.found:
                doubt.documents = book.open_records
            elif doubt is None or doubt.end != book.open_end or not calm or doubt.since < changed_at:
                doubt = _Doubt(book.open_end, now, book.open_records)
            else:
                doubt.documents = min(doubt.documents, book.open_records)
                if now - doubt.since >= GAP_SECONDS:
                    doubt.found = True
                    found.append(self._found(key, "gap", _missing(key, doubt.documents)))
            doubts[key] = doubt
        for key in engine.doubts.keys() - doubts.keys() - self._lost.keys():
            # It only took its time, however unlikely that was.
            self._present.pop((key, "gap"), None)
        engine.doubts = doubts
        return [f"audit: {_together(found)}"] if found else []

    def _surprising(self, now: float, before: Mapping[Key, Book], books: Mapping[Key, Book]) -> list[str]:
        found = []
        for key, book in books.items():
            more = book.unexpected - before.get(key, Book()).unexpected
            if more <= 0:
                continue
            surprise = self._surprises.get(key)
            if surprise is None or (not surprise.reported and now - surprise.last > TOGETHER_SECONDS):
                surprise = self._surprises[key] = _Surprise(now, now, 0)
            surprise.last = now
            surprise.records += more
            if not surprise.reported and now - surprise.first >= APART_SECONDS:
                surprise.reported = True
                found.append(self._found(key, "duplicates", _not_written(key, surprise.records)))
        return [f"audit: {_together(found)}"] if found else []

    def _before_the_first(self, now: float) -> list[str]:
        """Rows that are there before the group has read anything; reported once, and no trouble that stays.

        More of them than these engines have written: those that a rebalance makes them write again do not count.
        """
        for key in sorted(self._fresh or ()):
            total = self._total(key)
            if total.redelivered <= total.rows:
                self._older.pop(key, None)
            elif now - self._older.setdefault(key, now) >= APART_SECONDS:
                self._fresh = frozenset()
                return [_older(key, total.redelivered - total.rows)]
        return []

    def _found(self, key: Key, kind: str, words: str) -> str:
        self._present[key, kind] = words
        return words


def _together(words: list[str]) -> str:
    """What was found in one partition or in several: not their number, which would make it news each time."""
    return words[0] if len(words) == 1 else f"{words[0]}; other partitions alike"


def _missing(key: Key, documents: int) -> str:
    return (
        f"at least {documents} documents of {key[0]}/{key[1]} are committed, and neither rows nor dead letters: "
        "the engine has lost them, which is a fault of ddpm; `ddpm replay` reads them again"
    )


def _older(key: Key, records: int) -> str:
    return (
        f"audit: {records} records of {key[0]}/{key[1]} were in the table before the consumer group had committed "
        "anything there: another pipeline writes the same topic to this table, whose rows stand for those of this one, "
        "the group's offsets were deleted, or another ddpm of this group has just written them"
    )


def _skipped(skip: Skip, readable: int) -> str:
    return (
        f"offsets {readable} to {skip.end - 1} of {skip.topic}/{skip.partition} were skipped: the consumer group had "
        f"committed nothing there, and reading began at {skip.end}: its offsets were deleted or expired, or another "
        "member of the group has read them"
    )


def _not_written(key: Key, records: int) -> str:
    return (
        f"at least {records} new records of {key[0]}/{key[1]} were not written, because the table has rows with their "
        "offsets already: another pipeline writes this topic to the same table, Kafka came back with an older log, or "
        "`ddpm replay` has overtaken this pipeline"
    )
