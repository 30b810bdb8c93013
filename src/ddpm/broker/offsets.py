"""Where the partitions of topics begin and end, and how far a consumer group has come. Reads no records."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import (
    AuthorizationError,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    GroupIdNotFoundError,
    NoError,
    NotCoordinatorError,
)
from kafka.protocol.consumer import OffsetSpec
from kafka.structs import OffsetAndMetadata

from ddpm.broker.connection import DEFAULT_TIMEOUT, admin
from ddpm.broker.topics import describe
from ddpm.contract import Commit
from ddpm.errors import ServiceError

# A new cluster makes the topic of committed offsets when the first group is asked for.
COORDINATOR_IS_COMING = (CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError)
_GONE = ("OK", GroupIdNotFoundError.__name__)
_PAUSE = 0.1


class Partition(NamedTuple):
    """One partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Watermarks:
    """The offset of the first record that is kept, and the offset that the next record will get."""

    start: int
    end: int


class Stamp(NamedTuple):
    """Where a record stands, and its time in milliseconds since 1970."""

    offset: int
    timestamp: int


class Committed(NamedTuple):
    """The offset that a group will read next, and the metadata that was committed beside it; often empty."""

    offset: int
    metadata: str


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a group is behind the end of a partition.

    Attributes:
        committed: The offset it will read next; None if it never committed one.
        start: The offset of the first record that is kept.
        end: The offset that the next record will get.
        offsets: How many offsets lie between; without a committed one, all that are kept. Transaction markers and
            compaction leave gaps, so there may be fewer records than that.

    """

    committed: int | None
    start: int
    end: int
    offsets: int


def watermarks(
    brokers: Sequence[str], topics: Sequence[str], timeout: float = DEFAULT_TIMEOUT
) -> dict[Partition, Watermarks]:
    """Return the watermarks of all partitions of `topics`.

    Raises:
        ServiceError: No broker answers, or a topic is not there.

    """
    with admin(brokers, timeout) as client:
        return _watermarks(client, topics)


def committed(
    brokers: Sequence[str], group: str, topics: Sequence[str], timeout: float = DEFAULT_TIMEOUT
) -> dict[Partition, int | None]:
    """Return the offset that `group` will read next in each partition of `topics`; None where it committed none.

    Raises:
        ServiceError: No broker answers, or a topic is not there.

    """
    with admin(brokers, timeout) as client:
        return _committed(client, group, _partitions(client, topics), timeout)


def committed_by(
    brokers: Sequence[str], groups: Sequence[str], topics: Sequence[str], timeout: float = DEFAULT_TIMEOUT
) -> dict[str, dict[Partition, Committed]]:
    """Return what each of `groups` has committed in `topics`; without partitions in which it committed nothing.

    Groups that this user may not ask for are left out.

    Raises:
        ServiceError: No broker answers, or a topic is not there.

    """
    found: dict[str, dict[Partition, Committed]] = {}
    with admin(brokers, timeout) as client:
        wanted = [TopicPartition(*each) for each in _partitions(client, topics)]
        for group in groups:
            with suppress(AuthorizationError):
                found[group] = {
                    Partition(key.topic, key.partition): Committed(each.offset, each.metadata or "")
                    for key, each in _group_offsets(client, group, wanted, timeout).items()
                    if each.offset >= 0
                }
    return found


def delete_groups(brokers: Sequence[str], groups: Sequence[str], timeout: float = DEFAULT_TIMEOUT) -> dict[str, str]:
    """Delete groups with all that they have committed; returns what the broker answers where it refuses, by group.

    Raises:
        ServiceError: No broker answers.

    """
    with admin(brokers, timeout) as client:
        # The library gives no errors here but their names.
        answers: Mapping[str, str] = client.delete_groups(list(groups)) if groups else {}
    return {group: answers[group] for group in groups if answers[group] not in _GONE}


def lag(
    brokers: Sequence[str], group: str, topics: Sequence[str], timeout: float = DEFAULT_TIMEOUT
) -> dict[Partition, Lag]:
    """Return how far `group` is behind in each partition of `topics`.

    Raises:
        ServiceError: No broker answers, or a topic is not there.

    """
    with admin(brokers, timeout) as client:
        # In this order a group that reads on meanwhile seems to be behind by a little more, never by less than nothing.
        reached = _committed(client, group, _partitions(client, topics), timeout)
        marks = _watermarks(client, topics)
    return {partition: behind(reached.get(partition), marks[partition]) for partition in sorted(marks)}


def since(
    brokers: Sequence[str], topics: Sequence[str], moment: int, timeout: float = DEFAULT_TIMEOUT
) -> dict[Partition, Stamp | None]:
    """Return the first record of each partition of `topics` whose time is `moment` (milliseconds since 1970) or later.

    Times are what producers wrote and need not rise from record to record. None where no record is as late as that.

    Raises:
        ServiceError: No broker answers, or a topic is not there.

    """
    with admin(brokers, timeout) as client:
        partitions = _partitions(client, topics)
        if not partitions:
            return {}
        found = client.list_partition_offsets({TopicPartition(*partition): moment for partition in partitions})
        stamps = {
            Partition(key.topic, key.partition): Stamp(value.offset, value.timestamp) for key, value in found.items()
        }
    return {each: stamps[each] if stamps[each].offset >= 0 else None for each in sorted(partitions)}


def commit(
    brokers: Sequence[str],
    group: str,
    offsets: Mapping[Partition, int],
    timeout: float = DEFAULT_TIMEOUT,
    metadata: str = Commit.OWN,
) -> tuple[Partition, ...]:
    """Commit `offsets` for `group` in one request; return the partitions for which the broker took them.

    Of a group that has members it takes none: those know where they are. `metadata` is kept beside each offset.

    Raises:
        ServiceError: No broker answers.

    """
    if not offsets:
        return ()
    with admin(brokers, timeout) as client:
        answers = client.alter_group_offsets(group, _to_commit(offsets, metadata))
    return tuple(each for each in offsets if answers[TopicPartition(*each)] is NoError)


def begin_at(
    brokers: Sequence[str],
    group: str,
    offsets: Mapping[Partition, int],
    timeout: float = DEFAULT_TIMEOUT,
    metadata: str = Commit.OWN,
) -> tuple[Partition, ...]:
    """Commit `offsets` where `group` has none; return the partitions for which it was this call that did.

    The broker takes nothing while the group has members, and they may begin anywhere: so it waits until it takes
    them, or until somebody else has committed there. `metadata` is kept beside each offset.

    Raises:
        ServiceError: No broker answers, or the group still has members after `timeout` seconds.

    """
    deadline = time.monotonic() + timeout
    taken = commit(brokers, group, offsets, metadata=metadata)
    while left := {each: offset for each, offset in offsets.items() if each not in taken}:
        reached = committed(brokers, group, sorted({each.topic for each in left}))
        left = {each: offset for each, offset in left.items() if reached.get(each) is None}
        if not left:
            break
        if time.monotonic() > deadline:
            named = ", ".join(f"{each.topic}/{each.partition}" for each in sorted(left))
            msg = f"where consumer group {group} begins in {named} cannot be set while it has members"
            raise ServiceError(
                msg, hint="stop the other consumers of this group; a killed consumer stays a member for 10 s"
            )
        time.sleep(_PAUSE * 5)
        taken += commit(brokers, group, left, metadata=metadata)
    return taken


def start_over(
    brokers: Sequence[str],
    group: str,
    topics: Sequence[str],
    timeout: float = DEFAULT_TIMEOUT,
    metadata: str = Commit.OWN,
) -> None:
    """Have `group` read `topics` from their beginning, whatever it has committed.

    Raises:
        ServiceError: No broker answers, a topic is not there, or the group still has members after `timeout` seconds.

    """
    with admin(brokers, timeout) as client:
        starts = _offsets(client, _partitions(client, topics), OffsetSpec.EARLIEST)
    move(brokers, group, starts, timeout, metadata)


def move(
    brokers: Sequence[str],
    group: str,
    targets: Mapping[Partition, int],
    timeout: float = DEFAULT_TIMEOUT,
    metadata: str = Commit.OWN,
) -> None:
    """Let a group without members read on at these offsets; waits for members that are leaving.

    `metadata` is kept beside each offset.

    Raises:
        ServiceError: No broker answers, or the group still has members after `timeout` seconds.

    """
    deadline = time.monotonic() + timeout
    wanted = _to_commit(targets, metadata)
    with admin(brokers, timeout) as client:
        while True:
            refused = [answer for answer in client.alter_group_offsets(group, wanted).values() if answer is not NoError]
            if not refused:
                return
            if time.monotonic() > deadline:
                msg = f"the offsets of consumer group {group} cannot be set: the broker answers {refused[0].message}"
                raise ServiceError(msg, hint="end the other members of this group; one that was killed stays for 10 s")
            time.sleep(_PAUSE * 5)


def _to_commit(offsets: Mapping[Partition, int], metadata: str) -> dict[TopicPartition, OffsetAndMetadata]:
    return {TopicPartition(*each): OffsetAndMetadata(offset, metadata, -1) for each, offset in offsets.items()}


def behind(reached: int | None, marks: Watermarks) -> Lag:
    """The lag of a group that will read offset `reached` next in a partition with these watermarks."""
    # Retention may have removed what the group had not read yet; those records are gone, not due.
    first_due = marks.start if reached is None else max(reached, marks.start)
    return Lag(reached, marks.start, marks.end, max(0, marks.end - first_due))


def _partitions(client: KafkaAdminClient, topics: Sequence[str]) -> list[Partition]:
    return [
        Partition(name, partition["partition_index"])
        for name, topic in describe(client, topics).items()
        for partition in topic["partitions"]
    ]


def _watermarks(client: KafkaAdminClient, topics: Sequence[str]) -> dict[Partition, Watermarks]:
    partitions = _partitions(client, topics)
    if not partitions:
        return {}
    starts = _offsets(client, partitions, OffsetSpec.EARLIEST)
    ends = _offsets(client, partitions, OffsetSpec.LATEST)
    return {partition: Watermarks(starts[partition], ends[partition]) for partition in sorted(partitions)}


def _offsets(client: KafkaAdminClient, partitions: Sequence[Partition], at: int) -> Mapping[Partition, int]:
    found = client.list_partition_offsets({TopicPartition(*partition): at for partition in partitions})
    return {Partition(key.topic, key.partition): value.offset for key, value in found.items()}


def _committed(
    client: KafkaAdminClient, group: str, partitions: Sequence[Partition], timeout: float
) -> dict[Partition, int | None]:
    if not partitions:
        return {}
    wanted = [TopicPartition(*partition) for partition in partitions]
    found = _group_offsets(client, group, wanted, timeout)
    return {
        partition: found[key].offset if key in found and found[key].offset >= 0 else None
        for partition, key in zip(partitions, wanted, strict=True)
    }


def _group_offsets(
    client: KafkaAdminClient, group: str, partitions: Sequence[TopicPartition], timeout: float
) -> Mapping[TopicPartition, OffsetAndMetadata]:
    deadline = time.monotonic() + timeout
    while True:
        try:
            found: Mapping[str, Mapping[TopicPartition, OffsetAndMetadata]] = client.list_group_offsets(
                {group: list(partitions)}
            )
            return found.get(group, {})
        except COORDINATOR_IS_COMING:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
