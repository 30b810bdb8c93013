"""Finds a pipeline that stands still, not one that has nothing to do. Pure: pictures go in, the verdict comes out.

Lag alone proves nothing: behind the committed offset there may be only markers of transactions or offsets that
compaction has emptied. So the suspicion comes first, and then the caller tries whether a record can be read there.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ddpm.supervisor.status import PartitionStatus

LONGEST_GAP = 15.0


@dataclass(frozen=True, slots=True)
class Suspect:
    """A partition to try reading from.

    Attributes:
        topic: The topic.
        partition: The partition's number.
        offset: From where on; 0 when nothing was ever committed.
        seconds: For how long the committed offset has not moved.

    """

    topic: str
    partition: int
    offset: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Stall:
    """The verdict: this partition has a record that can be read and was not."""

    topic: str
    partition: int
    committed: int | None
    readable: int
    seconds: float

    @property
    def reason(self) -> str:
        """The verdict for people."""
        where = f"partition {self.partition} of topic {self.topic}"
        stands = "no offset was committed" if self.committed is None else f"no commit beyond offset {self.committed}"
        return f"stalled: {stands} in {where} for {self.seconds:.0f} s, though offset {self.readable} can be read"


@dataclass(slots=True)
class _Track:
    """What is remembered of a partition: since when it stands still, its end at that time, and its end now."""

    committed: int | None
    since: float
    end_then: int
    end: int
    empty: bool = False


class StallWatch:
    """Watches one pipeline; `timeout` is how many seconds without a commit are suspicious."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._tracks: dict[tuple[str, int], _Track] = {}
        self._last_seen = float("-inf")

    def observe(
        self, now: float, partitions: Iterable[PartitionStatus], *, healthy: bool, up_since: float
    ) -> tuple[Suspect, ...]:
        """Take one picture of the pipeline; return the partitions that are worth a try, the longest-standing first.

        A gap between two pictures restarts every timer: what happened meanwhile is unknown.

        Args:
            now: A monotonic clock.
            partitions: All partitions of the pipeline.
            healthy: Whether sink and broker answered and no engine waits for one of them.
            up_since: When the engines last changed: a start, a restart, another number of replicas.

        """
        broken = not healthy or now - self._last_seen > LONGEST_GAP
        self._last_seen = now
        seen = {(each.topic, each.partition): each for each in partitions}
        self._tracks = {
            key: self._follow(self._tracks.get(key), each, now, broken=broken) for key, each in seen.items()
        }
        suspects = [
            Suspect(topic, partition, track.committed or 0, now - max(track.since, up_since))
            for (topic, partition), track in self._tracks.items()
            if not track.empty and now - max(track.since, up_since) >= self._timeout
        ]
        return tuple(sorted(suspects, key=lambda suspect: -suspect.seconds))

    def probed(self, now: float, suspect: Suspect, readable: int | None) -> Stall | None:
        """Take what came of reading from `suspect.offset` on: the first offset with a record, None when there is none.

        Returns the verdict when that record has been there for the whole time. One that came later is given its time,
        and a partition without one is left alone until its end or its committed offset moves.
        """
        track = self._tracks.get((suspect.topic, suspect.partition))
        if track is None:
            return None
        if readable is None:
            track.empty = True
            return None
        stall = None
        if readable < track.end_then:
            stall = Stall(suspect.topic, suspect.partition, track.committed, readable, suspect.seconds)
        track.since, track.end_then = now, max(track.end, readable + 1)
        return stall

    def _follow(self, track: _Track | None, seen: PartitionStatus, now: float, *, broken: bool) -> _Track:
        fresh = _Track(seen.committed, now, seen.end, seen.end)
        if track is None or broken or seen.lag == 0 or seen.committed != track.committed or seen.end < track.end:
            return fresh
        if track.empty and seen.end != track.end:
            return fresh
        track.end = seen.end
        return track
