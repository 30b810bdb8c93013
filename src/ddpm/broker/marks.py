"""Reports whether a partition's log is still the one that was read: a restored disk or an unclean election puts another
in its place, in which records have offsets that others had before.

A leader's epoch is not enough: a log that is restored begins to count them again. So a few records are remembered, each
by a checksum, and looked at again. Epochs then say where the two logs part.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ddpm.broker.connection import DEFAULT_TIMEOUT, opened
from ddpm.broker.offsets import Partition
from ddpm.broker.wire import Wire
from ddpm.config.model import Cluster

MOST_MARKS = 16
# A new leader knows only after a moment how far its log is committed.
_SETTLING_SECONDS = 5.0
_PAUSE = 0.5
_FRESH_SECONDS = 30.0
# What a look into one partition may add to a time limit: a batch of many records may have to be decompressed.
_LOOK_SECONDS = 0.2
# The last offsets of a log may be markers, so the last record is looked for a little further back.
_BACK = (1, 2, 10)


@dataclass(frozen=True, slots=True)
class Mark:
    """A record that was seen: its offset, checksum and leader's epoch, and when it was seen (seconds since 1970)."""

    offset: int
    digest: int
    epoch: int
    at: float


Marks = tuple[Mark, ...]


def added(marks: Marks, newer: Iterable[Mark]) -> Marks:
    """The marks with newer ones; of older ones ever fewer stay."""
    every = marks
    for mark in newer:
        if not every or mark.offset > every[-1].offset:
            every = (*every, mark)
    if len(every) <= MOST_MARKS:
        return every
    half = MOST_MARKS // 2
    return every[:half:2] + every[half:]


def refreshed(marks: Marks) -> Marks:
    """The same, with the time of the last one, which says until when the log was this one; not changed all the time."""
    now = time.time()
    return (*marks[:-1], replace(marks[-1], at=now)) if now - marks[-1].at > _FRESH_SECONDS else marks


def taken(wire: Wire, leader: int, partition: Partition, first: int, end: int) -> Marks:
    """Look at the first record from `first` on and at the last one before `end`; markers of transactions are none.

    The first one matters where a log parts soon behind it: its epoch says where.
    """
    found: list[Mark] = []
    for offset in (first, *(end - back for back in _BACK if end - back > first)):
        seen = wire.print_of(leader, partition, offset)
        if seen is not None and seen[0] is not None:
            found.append(Mark(*seen[0], time.time()))
        if len(found) > 1:
            break
    return tuple(found)


def holds(wire: Wire, leader: int, partition: Partition, mark: Mark) -> bool | None:
    """Whether a partition still has the record of a mark; None if it cannot be known.

    Retention or compaction may have taken it; or a new leader does not know yet that its followers have it, too:
    only to the question for the end of the log does it answer that it does not know.
    """
    found = wire.print_of(leader, partition, mark.offset)
    if found is None:
        start = wire.starts(leader, [partition])[partition]
        return None if isinstance(start, int) and start > mark.offset else False
    seen, end = found
    if end <= mark.offset:
        sure = wire.ends(leader, [partition])[partition]
        return False if isinstance(sure, int) and sure <= mark.offset else None
    if seen is None or seen.offset != mark.offset:
        return None
    return seen.digest == mark.digest


def parted(wire: Wire, leader: int, partition: Partition, marks: Marks) -> int | None:
    """The first offset at which a partition has another log than the one of the marks; None if it is the same.

    Never higher than where they really part, and lower only if that was within a leader's epoch of before.
    """
    if not marks or holds(wire, leader, partition, marks[-1]) is not False:
        return None
    for mark in reversed(marks[:-1]):
        if holds(wire, leader, partition, mark):
            end = wire.epoch_end(leader, partition, mark.epoch)
            # An epoch that reaches over the record that is another one would be two epochs of one number.
            return end if mark.offset < end <= marks[-1].offset else mark.offset + 1
    start = wire.starts(leader, [partition])[partition]
    return start if isinstance(start, int) else 0


def parted_for_certain(
    brokers: Sequence[str], marks: Mapping[Partition, Marks], timeout: float = DEFAULT_TIMEOUT
) -> dict[Partition, int]:
    """Return where the logs of partitions part from those of the marks; those that are the same are left out.

    Raises:
        ServiceError: The cluster does not answer.

    """
    due = {each for each, known in marks.items() if known}
    if not due:
        return {}
    deadline = time.monotonic() + _SETTLING_SECONDS
    while True:
        with _wire(brokers, timeout + len(due) * _LOOK_SECONDS) as wire:
            topics = wire.topics(sorted({each.topic for each in due}))
            leaders = {each: topics[each.topic].leaders.get(each.partition, -1) for each in due}
            found = {each: parted(wire, leaders[each], each, marks[each]) for each in due if leaders[each] >= 0}
        due = {each for each, offset in found.items() if offset is not None}
        if not due or time.monotonic() > deadline:
            return {each: offset for each, offset in found.items() if offset is not None}
        time.sleep(_PAUSE)


def begun_lately(
    brokers: Sequence[str], marks: Mapping[Partition, Marks], seconds: float, timeout: float = DEFAULT_TIMEOUT
) -> dict[Partition, int]:
    """Return where the present leader's epoch begins, for partitions whose last mark of an earlier one is so new.

    For when somebody else has seen that a log is another one though all marks are in it: those of the present epoch may
    have been taken from it already.

    Raises:
        ServiceError: The cluster does not answer.

    """
    begun: dict[Partition, int] = {}
    with _wire(brokers, timeout + len(marks) * _LOOK_SECONDS) as wire:
        topics = wire.topics(sorted({each.topic for each in marks}))
        for partition, known in marks.items():
            topic = topics[partition.topic]
            leader, epoch = (of.get(partition.partition, -1) for of in (topic.leaders, topic.epochs))
            before = before_epoch(known, epoch, time.time() - seconds)
            if before is not None and leader >= 0:
                end = wire.epoch_end(leader, partition, before.epoch)
                begun[partition] = max(before.offset + 1, end)
    return begun


def before_epoch(marks: Marks, epoch: int, since: float) -> Mark | None:
    """The last mark of an epoch before this one, if it was seen since a moment (seconds since 1970)."""
    last = next((mark for mark in reversed(marks) if mark.epoch < epoch), None)
    return last if last is not None and last.at >= since else None


@contextmanager
def _wire(brokers: Sequence[str], timeout: float) -> Iterator[Wire]:
    with opened(Wire, brokers, timeout, security=Cluster.of(brokers).security) as wire:
        wire.allow(timeout)
        yield wire
