"""How long the oldest unread record of a partition has been waiting, from what was seen of the partition's end.

The time when the end passed an offset is the time when the record at that offset was written; the timestamps of records
are needed only for lag that is older than the watching, because producers may write any number there. Pure: times come
in as seconds of a monotonic clock. Knows neither broker nor group.
"""

from bisect import bisect_right
from dataclasses import dataclass

SAMPLE_SECONDS = 10.0

_RUNS = 240


@dataclass(slots=True)
class _Run:
    """A stretch of time over which the end stayed the same."""

    end: int
    first: float
    last: float


class EndHistory:
    """The ends of one partition that were seen, in bounded memory: the older, the coarser."""

    def __init__(self, capacity: int = _RUNS) -> None:
        self._capacity = capacity
        self._runs: list[_Run] = []

    def add(self, now: float, end: int) -> None:
        """Note that the next record would get the offset `end`."""
        runs = self._runs
        if runs and end < runs[-1].end:
            runs.clear()  # the topic was made again: another partition by the same name
        if runs and end == runs[-1].end:
            runs[-1].last = now
            return
        runs.append(_Run(end, now, now))
        if len(runs) > self._capacity:
            half = len(runs) // 2
            # The first run stays: it is how far back the history reaches.
            runs[1:half] = runs[2:half:2]

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def begun(self) -> float:
        """When the first end was seen; the history must not be empty."""
        return self._runs[0].first

    def passed(self, offset: int) -> float | None:
        """When the record at `offset` was written, up to the time between two looks.

        None for a record that was there before the first look, or that is not there yet.
        """
        after = bisect_right(self._runs, offset, key=lambda run: run.end)
        if after in (0, len(self._runs)):
            return None
        earlier, later = self._runs[after - 1], self._runs[after]
        share = (offset + 0.5 - earlier.end) / (later.end - earlier.end)
        return earlier.last + share * (later.first - earlier.last)


class Waiting:
    """How long one group has kept the oldest record waiting that it can read in one partition.

    Behind its position there may be nothing to read but offsets without a record, which only a look into the partition
    says; `wants_look` says when one is worth its cost, `looked` takes what it found.
    """

    def __init__(self) -> None:
        self._position = -1
        self._arrived = 0.0
        self._looked_at = float("-inf")
        self._empty = (0, 0)
        self._known: int | None = None
        self._written = 0.0

    def wants_look(self, now: float, position: int, end: int, history: EndHistory) -> bool:
        """Whether to find out what the first record at or after `position` is.

        It is when the history does not reach back to it, or when the group has not moved for a while; each record is
        looked at once, and not more often than every ten seconds.
        """
        if position != self._position:
            self._position, self._arrived = position, now
        due = self._first_due(position)
        if due >= end or due == self._known or now - self._looked_at < SAMPLE_SECONDS:
            return False
        return history.passed(due) is None or now - self._arrived >= SAMPLE_SECONDS

    def looked(self, now: float, position: int, found: int | None, end: int, age: float | None) -> None:
        """Take what a look has found.

        Args:
            now: The clock.
            position: What the group will read next.
            found: The offset of the first record from there on; None when there was none before `end`.
            end: The end of the partition when it was last seen.
            age: How many seconds ago that record was written, by its timestamp; None when that cannot be.

        """
        self._looked_at = now
        self._known = found
        self._empty = (position, end if found is None else found)
        self._written = now if age is None else now - age

    def seconds(self, now: float, position: int, end: int, history: EndHistory) -> float:
        """How long the oldest record to read from `position` on has been waiting; 0 when there is none."""
        due = self._first_due(position)
        if due >= end:
            return 0.0
        written = history.passed(due)
        if written is None:
            # It was there when the watching began, whatever its timestamp says.
            read_since = self._known is not None and due >= self._known
            written = min(history.begun, self._written) if read_since else history.begun
        return max(0.0, now - written)

    def _first_due(self, position: int) -> int:
        begin, until = self._empty
        return until if begin <= position < until else position
