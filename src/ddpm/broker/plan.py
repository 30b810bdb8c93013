"""What has to change so that topics are as wanted: pure, from what exists to what to do.

Never shrinks a topic and never changes a setting that somebody chose, but for one: a topic of dead letters must be able
to take every record of the topics it stands behind, or the engine could not get rid of a poison record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MESSAGE_LIMIT = "max.message.bytes"

# A dead letter is the record and its reason, its origin and its stage in headers.
HEADER_ROOM = 64 * 1024
# What Kafka itself takes where neither topic nor broker says anything.
_DEFAULT_MESSAGE_LIMIT = 1024 * 1024 + 12
_LARGEST_INT = 2**31 - 1
# With so many copies one broker may be restarted while another one is down, and everything is still there.
_COPIES = 3


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it is wanted.

    Attributes:
        name: Its name.
        min_partitions: How many partitions it has at least.
        replication_factor: How many copies each partition gets when the topic is made; None for what suits the cluster.
        configs: Settings to make it with, as Kafka names them.
        room_for: Topics whose largest record, with headers added, must fit into a record of this one.

    """

    name: str
    min_partitions: int = 1
    replication_factor: int | None = None
    configs: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    room_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExistingTopic:
    """A topic as it is; `configs` holds the values in force, its own and inherited, or nothing if they are secret."""

    name: str
    partitions: int
    replication_factor: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What to do with one topic.

    Attributes:
        name: Its name.
        partitions_now: How many partitions it has; 0 for a topic that is not there.
        partitions: How many it is to have.
        replication_factor: To be made with.
        configs: To be made with.
        raise_limit: The limit of its messages in bytes, from what to what; None to leave it.
        warnings: What a person should know and ddpm does not touch.

    """

    name: str
    partitions_now: int
    partitions: int
    replication_factor: int
    configs: Mapping[str, str] = field(default_factory=dict)
    raise_limit: tuple[int, int] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def creates(self) -> bool:
        """Whether the topic has to be made."""
        return self.partitions_now == 0

    @property
    def grows(self) -> bool:
        """Whether partitions have to be added."""
        return 0 < self.partitions_now < self.partitions

    @property
    def pending(self) -> bool:
        """Whether anything has to be done."""
        return self.creates or self.grows or self.raise_limit is not None


def plan(existing: Mapping[str, ExistingTopic], wanted: Sequence[TopicSpec], brokers: int = 1) -> list[TopicPlan]:
    """Return what to do, one plan for each wanted topic and in that order.

    Args:
        existing: The topics that are there, by name: the wanted ones and those they must have room for.
        wanted: What shall be.
        brokers: How many the cluster has now.

    """
    specs = {spec.name: spec for spec in wanted}
    return [_plan_one(existing, specs, spec, min(brokers, _COPIES)) for spec in wanted]


def as_text(value: str | float | bool) -> str:
    """A setting's value in the spelling of Kafka."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _plan_one(
    existing: Mapping[str, ExistingTopic], specs: Mapping[str, TopicSpec], spec: TopicSpec, copies: int
) -> TopicPlan:
    configs = {key: as_text(value) for key, value in spec.configs.items()}
    needed = _needed_limit(existing, specs, spec)
    topic = existing.get(spec.name)
    if topic is None:
        if needed > int(configs.get(MESSAGE_LIMIT, 0)):
            configs[MESSAGE_LIMIT] = str(needed)
        return TopicPlan(spec.name, 0, spec.min_partitions, spec.replication_factor or copies, configs)
    limit = int(topic.configs.get(MESSAGE_LIMIT, needed))
    return TopicPlan(
        spec.name,
        topic.partitions,
        max(topic.partitions, spec.min_partitions),
        topic.replication_factor,
        raise_limit=(limit, needed) if limit < needed else None,
        warnings=tuple(_differences(topic, spec, configs, needed)),
    )


def _needed_limit(existing: Mapping[str, ExistingTopic], specs: Mapping[str, TopicSpec], spec: TopicSpec) -> int:
    largest = max((_limit(existing, specs, name) for name in spec.room_for), default=0)
    return min(largest + HEADER_ROOM, _LARGEST_INT) if largest else 0


def _limit(existing: Mapping[str, ExistingTopic], specs: Mapping[str, TopicSpec], name: str) -> int:
    configs: Mapping[str, str | int | float | bool] = {}
    if name in existing:
        configs = existing[name].configs
    elif name in specs:
        configs = specs[name].configs
    return int(configs.get(MESSAGE_LIMIT, _DEFAULT_MESSAGE_LIMIT))


def _differences(topic: ExistingTopic, spec: TopicSpec, configs: Mapping[str, str], needed: int) -> list[str]:
    found = []
    if spec.replication_factor is not None and topic.replication_factor < spec.replication_factor:
        found.append(
            f"topic {topic.name} exists with replication factor {topic.replication_factor}, the configuration asks "
            f"for {spec.replication_factor}; ddpm leaves it so (kafka-reassign-partitions changes it)"
        )
    if not topic.configs:
        if configs:
            found.append(f"the settings of topic {topic.name} may not be read, so they are not compared")
        if needed:
            found.append(f"{MESSAGE_LIMIT} of topic {topic.name} may not be read; it must be at least {needed}")
        return found
    for key, value in configs.items():
        if key == MESSAGE_LIMIT and int(value) <= needed:
            continue
        if key not in topic.configs:
            found.append(f"topic {topic.name}: the broker knows no setting {key}")
        elif not _same(topic.configs[key], value):
            found.append(
                f"topic {topic.name} exists with {key}={topic.configs[key]}, the configuration asks for {value}; "
                f"ddpm leaves it so (kafka-configs --alter --topic {topic.name} --add-config {key}={value} changes it)"
            )
    return found


def _same(found: str, wanted: str) -> bool:
    if found == wanted:
        return True
    try:
        return float(found) == float(wanted)
    except ValueError:
        return sorted(found.split(",")) == sorted(part.strip() for part in wanted.split(","))
