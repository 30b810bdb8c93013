"""Watches one cluster as long as ddpm runs: does it answer, how far is each group behind, is there a record to read.

Belongs to one thread. Keeps its connections between two looks; joins no group and commits nothing. Decides nothing:
what a lag means is the supervisor's affair.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TypeVar

from ddpm.broker.connection import opened
from ddpm.broker.marks import Marks, parted, taken
from ddpm.broker.offsets import Partition
from ddpm.broker.survey import BrokerSnapshot, Group, PartitionLag, Survey, Unseen
from ddpm.broker.waiting import EndHistory, Waiting
from ddpm.broker.wire import Record, RefusedError, Topic, Wire
from ddpm.config.model import Cluster
from ddpm.errors import ServiceError

__all__ = ["ClusterWatch", "Group", "PartitionLag", "Topic", "Unseen"]

_PAUSE = 0.1
_RECORDS_A_LOOK = 4

T = TypeVar("T")


class ClusterWatch:
    """Looks at the groups of one cluster; every call comes back within `timeout` seconds or little more."""

    def __init__(
        self, brokers: Sequence[str], groups: Mapping[str, Group], timeout: float = 3.0, others: Iterable[str] = ()
    ) -> None:
        """Describe what to watch; nothing is connected before the first look.

        Args:
            brokers: Addresses, `host:port`.
            groups: The groups to look at, each by a name of the caller's.
            timeout: Seconds that a look may take.
            others: Topics that are not read here, to know whether they are there.

        """
        self._brokers = Cluster.of(brokers)
        self._groups = dict(groups)
        self._timeout = timeout
        self._survey = Survey(self._groups.values(), others)
        self._topics: Mapping[str, Topic] = {}
        self._open = ExitStack()
        self._wire: Wire | None = None
        # How often a connection was made: behind a new one there may be a broker that was started again.
        self.connected = 0
        self._silent: frozenset[int] = frozenset()
        self._problems: dict[str, ServiceError] = {}
        self._unseen: dict[str, tuple[Unseen, ...]] = {}
        self._histories: defaultdict[Partition, EndHistory] = defaultdict(EndHistory)
        self._waiting: defaultdict[tuple[str, Partition], Waiting] = defaultdict(Waiting)

    @property
    def problems(self) -> Mapping[str, ServiceError]:
        """Why the last look has no answer for some groups though the cluster answers; a topic that is gone, say."""
        return self._problems

    @property
    def unseen(self) -> Mapping[str, tuple[Unseen, ...]]:
        """The partitions that the last look has no answer for, by group; those whose leader is down, say."""
        return self._unseen

    @property
    def topics(self) -> Mapping[str, Topic]:
        """What the last look that got an answer saw of each topic: its id, and why the broker says nothing of it."""
        return self._topics

    def look(self) -> dict[str, tuple[PartitionLag, ...]]:
        """Return how far each group is behind, sorted by topic and partition.

        `problems` says which groups are missing, and `unseen` which partitions of the others.

        Raises:
            ServiceError: The cluster does not answer; the next look tries again.

        """
        return self._ask(self._look)

    def readable(self, topic: str, partition: int, offset: int) -> int | None:
        """Return the offset of the first record at or after `offset` that the engine would get; None if there is none.

        Raises:
            ServiceError: The cluster does not answer, or the partition cannot be read.

        """
        found = self._ask(lambda wire: self._first_record(wire, Partition(topic, partition), offset))
        return found.offset if found else None

    def due(self, lag: PartitionLag, before: int | None = None) -> int:
        """Return how many offsets below `before` (the end, if None) are left to read; 0 when no record is among them.

        A group cannot commit past markers of transactions and emptied offsets that nothing follows, so a run that is to
        end at `before` has read all when this is 0 everywhere.

        Raises:
            ServiceError: The cluster does not answer, or the partition cannot be read.

        """
        before = lag.end if before is None else before
        if lag.position >= before:
            return 0
        first = self.readable(lag.topic, lag.partition, lag.position)
        return 0 if first is None else max(0, before - first)

    def mark(self, partition: Partition, first: int, end: int) -> Marks:
        """Look at records from `first` to before `end`, which distinguish this log; raises as `readable` does."""
        return self._ask(lambda wire: taken(wire, self._survey.where(wire).leader(partition), partition, first, end))

    def parted(self, partition: Partition, marks: Marks) -> int | None:
        """Return from which offset on a partition has another log than that of `marks`; raises as `readable` does."""
        return self._ask(lambda wire: parted(wire, self._survey.where(wire).leader(partition), partition, marks))

    def close(self) -> None:
        """Close the connections; a later look opens new ones."""
        self._wire = None
        self._survey.forget()
        self._open.close()

    def _ask(self, question: Callable[[Wire], T]) -> T:
        begun = time.monotonic()
        was_open = self._wire is not None
        try:
            return self._try(question, begun + self._timeout)
        except ServiceError:
            # What was remembered may be out of date though the cluster is well; one that hangs has used up the time.
            if not was_open or time.monotonic() - begun > self._timeout / 2:
                raise
        return self._try(question, begun + self._timeout)

    def _try(self, question: Callable[[Wire], T], deadline: float) -> T:
        try:
            if self._wire is None:
                seconds = deadline - time.monotonic()
                self._wire = self._open.enter_context(
                    opened(Wire, self._brokers, seconds, security=self._brokers.security)
                )
                self.connected += 1
            self._wire.allow(deadline - time.monotonic())
            return question(self._wire)
        except RefusedError:
            self._survey.refresh()
            raise
        except (OSError, RuntimeError) as error:  # out of descriptors, or kafka-python is at its wits' end
            self.close()
            raise ServiceError(f"{', '.join(self._brokers)} cannot be watched: {error}") from error
        except BaseException:
            self.close()
            raise

    def _look(self, wire: Wire) -> dict[str, tuple[PartitionLag, ...]]:
        known, pause = self._troubles(), _PAUSE
        while True:
            found, self._problems = self._sorted_out(wire, self._survey.take(wire))
            # What is new may pass in a moment, as when a leader moves.
            if self._troubles() <= known or wire.left - pause < self._timeout / 2:
                return found
            time.sleep(pause)
            pause *= 2

    def _troubles(self) -> set[object]:
        return {*self._problems, *((each.topic, each.partition) for all_ in self._unseen.values() for each in all_)}

    def _sorted_out(
        self, wire: Wire, seen: BrokerSnapshot
    ) -> tuple[dict[str, tuple[PartitionLag, ...]], dict[str, ServiceError]]:
        now = time.monotonic()
        self._topics = seen.topics
        if self._silent - seen.silent:
            # It may have been started again.
            self.connected += 1
        self._silent = seen.silent
        for partition, end in seen.ends.items():
            if isinstance(end, int):
                self._histories[partition].add(now, end)
        found: dict[str, tuple[PartitionLag, ...]] = {}
        problems: dict[str, ServiceError] = {}
        self._unseen = {}
        for key, group in self._groups.items():
            try:
                lags, unseen = seen.lags(group)
            except RefusedError as error:
                problems[key] = error
                continue
            found[key] = tuple(lags)
            if unseen:
                self._unseen[key] = tuple(unseen)
        if problems or self._unseen:
            self._survey.refresh()
        self._sample(wire, found)
        return {key: tuple(self._timed(key, lag) for lag in lags) for key, lags in found.items()}, problems

    def _sample(self, wire: Wire, found: Mapping[str, Sequence[PartitionLag]]) -> None:
        """Read the oldest unread record of a few partitions where nothing else says how long it has been waiting."""
        left = _RECORDS_A_LOOK
        for key, lag in ((key, lag) for key, lags in found.items() for lag in lags if lag.lag):
            partition = Partition(lag.topic, lag.partition)
            waiting, history, now = self._waiting[key, partition], self._histories[partition], time.monotonic()
            wanted = waiting.wants_look(now, lag.position, lag.end, history)
            if wanted and left and wire.left > self._timeout / 2:
                left -= 1
                try:
                    record = self._first_record(wire, partition, lag.position)
                    offset = record.offset if record else None
                except RefusedError:
                    record, offset = None, lag.position
                waiting.looked(now, lag.position, offset, lag.end, _age(record))

    def _timed(self, key: str, lag: PartitionLag) -> PartitionLag:
        if not lag.lag:
            return lag
        partition = Partition(lag.topic, lag.partition)
        waiting, history = self._waiting[key, partition], self._histories[partition]
        return replace(lag, seconds=waiting.seconds(time.monotonic(), lag.position, lag.end, history))

    def _first_record(self, wire: Wire, partition: Partition, offset: int) -> Record | None:
        leader = self._survey.where(wire).leader(partition)
        position = offset
        while True:
            page = wire.page(leader, partition, position)
            if page is None:
                start = wire.starts(leader, [partition])[partition]
                if not isinstance(start, int) or start <= position:
                    return None
                position = start
            elif page.first is not None or page.next_offset >= page.end or page.next_offset <= position:
                return page.first
            elif wire.left < self._timeout / 4:
                # The cluster is well; it is only a long way to the next record.
                msg = f"partition {partition.partition} of topic {partition.topic} has a long gap at offset {offset}"
                raise RefusedError(msg)
            else:
                position = page.next_offset


def _age(record: Record | None) -> float | None:
    """How old a record is by its timestamp; None where that is absurd."""
    age = -1.0 if record is None or record.timestamp <= 0 else time.time() - record.timestamp / 1000
    return age if age >= 0 else None
