"""One picture of how far several groups have come, in as few requests as it takes: what changes rarely is remembered.

One request to each coordinator and one to each leader, for all groups and topics together. Keeps no connection.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from kafka.errors import BrokerResponseError, UnknownTopicOrPartitionError

from ddpm.broker.offsets import Partition, Watermarks, behind
from ddpm.broker.wire import Offsets, RefusedError, Topic, Wire
from ddpm.errors import ServiceError

_MAP_SECONDS = 30.0

# What a broker answers, or that it does not answer.
Trouble = type[BrokerResponseError] | ServiceError


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group and the topics that it reads."""

    group: str
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """How far a group has come in one partition.

    Attributes:
        topic: The topic.
        partition: The partition's number.
        committed: The offset that the group will read next; None when it never committed one.
        start: The offset of the first record that is kept.
        end: The offset that the next record will get.
        lag: Offsets between them, among which there may be fewer records, or none.
        seconds: How long the oldest unread record has been waiting; 0 when there is none.

    """

    topic: str
    partition: int
    committed: int | None
    start: int
    end: int
    lag: int
    seconds: float = 0.0

    @property
    def position(self) -> int:
        """Where the group will go on reading."""
        return self.start if self.committed is None else max(self.committed, self.start)


@dataclass(frozen=True, slots=True)
class Unseen:
    """A partition of which the cluster does not say how far the group has come, and why."""

    topic: str
    partition: int
    reason: str


@dataclass(frozen=True, slots=True)
class ClusterMap:
    """What changes rarely in a cluster: who leads which partition."""

    made: float
    topics: Mapping[str, Topic]

    def partitions(self, topics: Iterable[str]) -> list[Partition]:
        """All partitions of `topics`, sorted."""
        return [Partition(topic, number) for topic in sorted(set(topics)) for number in sorted(self._leaders(topic))]

    def leader(self, partition: Partition) -> int:
        """The number of the broker that leads a partition; raises RefusedError when none does."""
        leader = self._leaders(partition.topic).get(partition.partition, -1)
        if leader < 0:
            raise RefusedError(f"{named(partition)} has no leader", hint="look which broker is down")
        return leader

    def by_leader(self) -> dict[int, list[Partition]]:
        """The partitions that have a leader, by its number."""
        led = defaultdict(list)
        for partition in self.partitions(self.topics):
            led[self._leaders(partition.topic)[partition.partition]].append(partition)
        led.pop(-1, None)
        return led

    def _leaders(self, topic: str) -> Mapping[int, int]:
        known = self.topics.get(topic)
        return known.leaders if known else {}


@dataclass(frozen=True, slots=True)
class BrokerSnapshot:
    """What was seen of all groups at one time; `silent` are the brokers that did not answer."""

    where: ClusterMap
    starts: Mapping[Partition, int | Trouble]
    reached: Mapping[str, Mapping[Partition, int | Trouble] | Trouble]
    ends: Mapping[Partition, int | Trouble]
    topics: Mapping[str, Topic]
    silent: frozenset[int] = frozenset()

    def lags(self, group: Group) -> tuple[list[PartitionLag], list[Unseen]]:
        """How far `group` has come in its partitions, and those of which the cluster does not say it.

        Raises RefusedError when it says so of none.
        """
        for topic in group.topics:
            known = self.where.topics.get(topic, Topic({}, UnknownTopicOrPartitionError))
            if known.error is UnknownTopicOrPartitionError:
                raise RefusedError(f"there is no topic {topic}", hint="`ddpm run` makes the topics of its pipelines")
            if known.error is not None:
                raise _refusal(f"topic {topic}", known.error)
        reached = self.reached[group.group]
        if not isinstance(reached, Mapping):
            raise _refusal(f"the offsets of consumer group {group.group}", reached)
        lags: list[PartitionLag] = []
        unseen: list[Unseen] = []
        refusal = None
        for each in self.where.partitions(group.topics):
            try:
                lags.append(self._lag(each, reached.get(each, -1)))
            except RefusedError as error:
                refusal = refusal or error
                unseen.append(Unseen(*each, error.message))
        if refusal and not lags:
            raise refusal
        return lags, unseen

    def _lag(self, partition: Partition, reached: int | Trouble) -> PartitionLag:
        self.where.leader(partition)
        end = _number(self.ends[partition], named(partition))
        start = _number(self.starts[partition], named(partition))
        committed = _number(reached, f"the committed offset in {named(partition)}")
        lag = behind(committed if committed >= 0 else None, Watermarks(start, end))
        return PartitionLag(*partition, lag.committed, start, end, lag.offsets)


class Survey:
    """Takes pictures of the same groups again and again."""

    def __init__(self, groups: Iterable[Group], others: Iterable[str] = ()) -> None:
        """Describe what to look at: groups, and other topics of which only their existence matters."""
        self._topics: defaultdict[str, set[str]] = defaultdict(set)
        for group in groups:
            self._topics[group.group].update(group.topics)
        self._others = frozenset(others)
        self._map: ClusterMap | None = None
        self._known: Mapping[str, Topic] = {}
        self._coordinators: dict[str, int] = {}

    def refresh(self) -> None:
        """Ask again for what changes rarely; for when an answer says that it has changed."""
        self._map = None

    def forget(self) -> None:
        """Begin from scratch, with brokers of which nothing is known."""
        self._map = None
        self._coordinators.clear()

    def take(self, wire: Wire) -> BrokerSnapshot:
        """Ask the cluster; raises ServiceError when it does not answer."""
        where = self._fresh(wire)
        silent: dict[int, ServiceError] = {}
        # In this order a group that reads on meanwhile seems to be behind by a little more, never by less than nothing,
        # and one that retention is close behind does not seem to have been overtaken.
        starts = _everywhere(where, wire.starts, silent)
        reached = self._reached(wire, where, silent)
        ends = _everywhere(where, wire.ends, silent)
        leaders = where.by_leader().keys()
        if leaders and leaders <= silent.keys():
            raise next(iter(silent.values()))
        return BrokerSnapshot(where, starts, reached, ends, self._known, frozenset(silent))

    def _fresh(self, wire: Wire) -> ClusterMap:
        """The map, made again as soon as a topic is gone or another one, or has other leaders."""
        self._known = wire.topics(sorted(self._others.union(*self._topics.values())))
        if self._map is not None and any(self._known.get(name) != topic for name, topic in self._map.topics.items()):
            self.refresh()
        return self.where(wire)

    def where(self, wire: Wire) -> ClusterMap:
        """What changes rarely, at most half a minute old; raises ServiceError when the cluster does not answer."""
        now = time.monotonic()
        if self._map is None or now - self._map.made > _MAP_SECONDS:
            topics = wire.topics(sorted(set().union(*self._topics.values())))
            self._map = ClusterMap(now, topics)
        return self._map

    def _reached(
        self, wire: Wire, where: ClusterMap, silent: dict[int, ServiceError]
    ) -> dict[str, Mapping[Partition, int | Trouble] | Trouble]:
        reached: dict[str, Mapping[Partition, int | Trouble] | Trouble] = {}
        kept: defaultdict[int, dict[str, list[Partition]]] = defaultdict(dict)
        for group, topics in self._topics.items():
            if group not in self._coordinators:
                answer = wire.coordinator(group)
                if not isinstance(answer, int):
                    reached[group] = answer
                    continue
                self._coordinators[group] = answer
            kept[self._coordinators[group]][group] = where.partitions(topics)
        for node, groups in kept.items():
            said = _asked(node, silent, partial(wire.committed, node, groups))
            reached.update(dict.fromkeys(groups, said) if isinstance(said, ServiceError) else said)
        for group in [group for group, answer in reached.items() if not isinstance(answer, Mapping)]:
            self._coordinators.pop(group, None)
        return reached


def named(partition: Partition) -> str:
    """A partition as messages name it."""
    return f"partition {partition.partition} of topic {partition.topic}"


def _everywhere(
    where: ClusterMap, ask: Callable[[int, Sequence[Partition]], Offsets], silent: dict[int, ServiceError]
) -> dict[Partition, int | Trouble]:
    answers: dict[Partition, int | Trouble] = {}
    for leader, partitions in where.by_leader().items():
        said = _asked(leader, silent, partial(ask, leader, partitions))
        answers.update(dict.fromkeys(partitions, said) if isinstance(said, ServiceError) else said)
    return answers


def _asked(node: int, silent: dict[int, ServiceError], ask: Callable[[], T]) -> T | ServiceError:
    """What a broker says, or why it says nothing, which is found out once: the others need the time."""
    if node not in silent:
        try:
            return ask()
        except ServiceError as error:
            # Without what led to it, which holds sockets.
            silent[node] = ServiceError(error.message, hint=error.hint)
    return silent[node]


def _number(answer: int | Trouble, what: str) -> int:
    if isinstance(answer, int):
        return answer
    raise _refusal(what, answer)


def _refusal(what: str, trouble: Trouble) -> RefusedError:
    if isinstance(trouble, ServiceError):
        return RefusedError(f"{what}: {trouble.message}", hint=trouble.hint)
    return RefusedError(f"{what}: the broker answers {trouble.message}")
