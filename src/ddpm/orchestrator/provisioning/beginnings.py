"""Where a consumer group begins to read a partition in which it has no committed offset. Pure.

Only a group that is new to a topic begins where `start_from` says. A group that knows the topic reads a partition that
it has not committed from its beginning: the partition was added meanwhile, and nothing of it was read. What the brokers
forgot is taken from what ddpm remembers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ddpm.broker.offsets import Partition, Watermarks
from ddpm.config.model import StartFrom
from ddpm.orchestrator.provisioning.progress import Progress


@dataclass(frozen=True, slots=True)
class Beginnings:
    """What has to be committed before the group's consumers start.

    Attributes:
        settled: The ends of partitions of topics that are new to a group that begins at the end, and what it takes over
            from another group.
        restored: What the group had committed and the brokers have forgotten.
        undecided: Topics that seem to be new to a group that begins at the end, while ddpm remembers nothing of it.

    """

    settled: Mapping[Partition, int] = field(default_factory=dict)
    restored: Mapping[Partition, int] = field(default_factory=dict)
    undecided: frozenset[str] = frozenset()


def beginnings(
    group: str,
    start_from: StartFrom,
    reached: Mapping[Partition, int | None],
    marks: Mapping[Partition, Watermarks],
    *,
    topic_ids: Mapping[str, str],
    remembered: Progress | None,
    live: Mapping[Partition, int] = MappingProxyType({}),
    marked: Mapping[Partition, int] = MappingProxyType({}),
    settles: bool = False,
) -> Beginnings:
    """Work out what to commit for one group.

    Args:
        group: The group.
        start_from: Where a group begins that is new to a topic.
        reached: What is committed, by partition, for all partitions of the group's topics.
        marks: What the partitions keep.
        topic_ids: The ids of the topics' present lives, by topic.
        remembered: What ddpm remembers of the pipeline; of another group it says nothing.
        live: Where the group has come that was in use in its place until now.
        marked: Where its pipeline was when its sinks were put apart.
        settles: Whether a beginning is committed where the group would begin there anyway, so that it is known that it
            has begun.

    """
    topics = remembered.topics if remembered is not None and remembered.group == group else {}
    begun = {each.topic for each, offset in reached.items() if offset is not None}
    # Partitions that are in none of them were added since then.
    known = begun | topics.keys() | {each.topic for each in live} | {each.topic for each in marked}
    settled: dict[Partition, int] = {}
    restored: dict[Partition, int] = {}
    undecided: set[str] = set()
    for partition in sorted(each for each, offset in reached.items() if offset is None):
        topic = partition.topic
        before = topics.get(topic)
        if partition in live:
            settled[partition] = live[partition]
        elif before is not None and before.topic_id == topic_ids.get(topic) and partition.partition in before.committed:
            restored[partition] = before.committed[partition.partition]
        elif partition in marked:
            settled[partition] = marked[partition]
            if topic not in begun and start_from is StartFrom.LATEST and remembered is None:
                undecided.add(topic)
        elif topic not in known and start_from is StartFrom.LATEST:
            settled[partition] = marks[partition].end
            if remembered is None:
                undecided.add(topic)
        elif settles:
            settled[partition] = marks[partition].start
    return Beginnings(settled, restored, frozenset(undecided))
