"""Makes topics exist as wanted, and distinguishes one incarnation of a topic from another. Moves no records.

Which changes are needed is decided in `plan`; here they are made, and whatever another ddpm or an administrator did in
the meantime is accepted once a second look shows that it is what was wanted.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import for_code

from ddpm.broker.connection import DEFAULT_TIMEOUT, admin, spelled_id
from ddpm.broker.plan import MESSAGE_LIMIT, ExistingTopic, TopicPlan, TopicSpec, plan
from ddpm.errors import ConfigError, DdpmError, ServiceError

__all__ = ["Incarnation", "TopicSpec", "TopicState", "ensure_topics", "existing", "incarnations"]

_PAUSE = 0.1
_UNCHANGED = "unchanged"

# Codes of the Kafka protocol.
_UNKNOWN_TOPIC = 3
_NO_LEADER = 5
_TIMED_OUT = 7
_INVALID_TOPIC = 17
_TOPIC_NOT_AUTHORIZED = 29
_CLUSTER_NOT_AUTHORIZED = 31
_TOPIC_EXISTS = 36
_INVALID_PARTITIONS = 37
_INVALID_REPLICATION_FACTOR = 38
_INVALID_CONFIG = 40
_POLICY_VIOLATION = 44
_REASSIGNMENT_IN_PROGRESS = 60

# Somebody else was faster, or the brokers have not informed each other yet: another look will show.
_MAY_PASS = {_NO_LEADER, _TIMED_OUT, _TOPIC_EXISTS, _INVALID_PARTITIONS, _REASSIGNMENT_IN_PROGRESS}
_MISTAKES_OF_CONFIGURATION = {
    _INVALID_TOPIC,
    _INVALID_PARTITIONS,
    _INVALID_REPLICATION_FACTOR,
    _INVALID_CONFIG,
    _POLICY_VIOLATION,
}
_WAYS_OUT: Mapping[int, str] = {
    _INVALID_TOPIC: "name the topic with the characters a-z, A-Z, 0-9, '.', '_' and '-'",
    _TOPIC_NOT_AUTHORIZED: "give the user of ddpm the rights Describe, Create, Alter, DescribeConfigs and AlterConfigs "
    "on the topic, or make the topic yourself as the configuration wants it",
    _CLUSTER_NOT_AUTHORIZED: "give the user of ddpm the right Create on the cluster, or make the topic yourself",
    _INVALID_PARTITIONS: "correct app.kafka.min_partitions",
    _INVALID_REPLICATION_FACTOR: "set app.kafka.replication_factor to at most the number of brokers",
    _INVALID_CONFIG: "correct app.kafka.topic_configs",
    _POLICY_VIOLATION: "the cluster has a policy for topics; ask who runs it",
}


@dataclass(frozen=True, slots=True)
class TopicState:
    """How provisioning left a topic.

    Attributes:
        name: Its name.
        partitions: How many it has now.
        change: What was done to it, in words: `created`, `grown from 1 to 3 partitions` …, or `unchanged`.
        warnings: What a person should know.

    """

    name: str
    partitions: int
    change: str
    warnings: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything was done to it."""
        return self.change != _UNCHANGED


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One life of a topic: a topic that is deleted and made again starts at offset 0 and is another one.

    `topic_id` is spelled as Kafka's own tools spell it, and None where the brokers have no topic ids (before 2.8).
    """

    cluster_id: str
    topic: str
    topic_id: str | None


def ensure_topics(brokers: Sequence[str], specs: Sequence[TopicSpec], timeout: float = 30.0) -> list[TopicState]:
    """Create the topics that are missing and grow those with fewer partitions; never shrink one.

    Every change is first put to the broker as a question: if it would refuse one of them, none is made.

    Args:
        brokers: Addresses, `host:port`.
        specs: The topics as they are wanted.
        timeout: Seconds until the topics must be there, with a leader for each partition.

    Raises:
        ConfigError: The broker finds a wish impossible; one error reports all topics concerned.
        ServiceError: No broker answers, or it refuses; one error reports all topics concerned.

    """
    with admin(brokers, timeout) as client:
        return _Provisioning(client, specs, time.monotonic() + timeout).run()


def planned_topics(brokers: Sequence[str], specs: Sequence[TopicSpec], timeout: float = 30.0) -> list[TopicPlan]:
    """What `ensure_topics` would do, in the order of `specs`; changes nothing, and raises what that would raise."""
    with admin(brokers, timeout) as client:
        return _Provisioning(client, specs, time.monotonic() + timeout).asked()


def existing(brokers: Sequence[str], timeout: float = DEFAULT_TIMEOUT) -> frozenset[str]:
    """Return the names of all topics of the cluster.

    Raises:
        ServiceError: No broker answers.

    """
    with admin(brokers, timeout) as client:
        return frozenset(client.list_topics())


def incarnations(
    brokers: Sequence[str], topics: Sequence[str], timeout: float = DEFAULT_TIMEOUT
) -> dict[str, Incarnation]:
    """Return the present incarnation of each of `topics`, by name.

    Raises:
        ServiceError: No broker answers, or a topic is not there.

    """
    with admin(brokers, timeout) as client:
        cluster_id = client.describe_cluster().get("cluster_id") or ""
        found = describe(client, topics)
    return {topic: Incarnation(cluster_id, topic, spelled_id(found[topic].get("topic_id"))) for topic in topics}


def describe(client: KafkaAdminClient, topics: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the broker's metadata of each of `topics`, without making one.

    Raises:
        ServiceError: A topic is not there or may not be seen.

    """
    found = {topic["name"]: topic for topic in client.describe_topics(list(topics))} if topics else {}
    for name in topics:
        code = found[name]["error_code"] if name in found else _UNKNOWN_TOPIC
        if code == _UNKNOWN_TOPIC:
            raise ServiceError(f"there is no topic {name}", hint="`ddpm run` makes the topics of its pipelines")
        if code not in (0, _NO_LEADER):
            msg = f"topic {name} cannot be described: the broker answers {for_code(code).message}"
            raise ServiceError(msg, hint=_WAYS_OUT.get(code))
    return found


@dataclass(frozen=True, slots=True)
class _Refusal:
    """That the broker refused to do something to a topic."""

    topic: str
    doing: str
    code: int
    said: str | None

    @property
    def concerns_configuration(self) -> bool:
        return self.code in _MISTAKES_OF_CONFIGURATION

    @property
    def hint(self) -> str | None:
        return _WAYS_OUT.get(self.code)

    def __str__(self) -> str:
        name = for_code(self.code).message or f"error {self.code}"
        said = f": {self.said}" if self.said else ""
        return f"{self.doing} topic {self.topic}: the broker answers {name}{said}"


@dataclass(slots=True)
class _Provisioning:
    """One run of `ensure_topics`: look, plan, act, and look again until nothing is left to do."""

    client: KafkaAdminClient
    specs: Sequence[TopicSpec]
    deadline: float
    changes: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)

    def asked(self) -> list[TopicPlan]:
        plans = self._plans()
        _raise_any([refusal for refusal in self._submit(plans, only_ask=True) if refusal.code not in _MAY_PASS])
        return plans

    def run(self) -> list[TopicState]:
        plans = self.asked()
        while any(one.pending for one in plans):
            refusals = self._submit(plans, only_ask=False)
            plans = self._plans()
            pending = [one.name for one in plans if one.pending]
            refusals = [refusal for refusal in refusals if refusal.topic in pending]
            _raise_any([refusal for refusal in refusals if refusal.code not in _MAY_PASS or self._is_late()])
            if pending:
                self._pause(f"{', '.join(pending)}: not there")
        self._await_leaders()
        return [self._state(one) for one in plans]

    def _plans(self) -> list[TopicPlan]:
        names = {name for spec in self.specs for name in (spec.name, *spec.room_for)}
        there = _read(self.client, sorted(names))
        missing = any(spec.name not in there and spec.replication_factor is None for spec in self.specs)
        return plan(there, self.specs, len(self.client.describe_cluster()["brokers"]) if missing else 1)

    def _state(self, done: TopicPlan) -> TopicState:
        warnings = (*self.warnings.get(done.name, ()), *done.warnings)
        return TopicState(done.name, done.partitions, self.changes.get(done.name, _UNCHANGED), warnings)

    def _submit(self, plans: Sequence[TopicPlan], *, only_ask: bool) -> list[_Refusal]:
        return [
            *self._create([one for one in plans if one.creates], only_ask=only_ask),
            *self._grow([one for one in plans if one.grows], only_ask=only_ask),
            *self._raise_limits([one for one in plans if one.raise_limit], only_ask=only_ask),
        ]

    def _create(self, plans: Sequence[TopicPlan], *, only_ask: bool) -> list[_Refusal]:
        if not plans:
            return []
        wishes = {
            one.name: {
                "num_partitions": one.partitions,
                "replication_factor": one.replication_factor,
                "configs": dict(one.configs),
            }
            for one in plans
        }
        answered = self.client.create_topics(wishes, validate_only=only_ask, raise_errors=False)
        refusals = []
        for topic in answered["topics"]:
            name, code = topic["name"], topic["error_code"]
            if code == 0 and not only_ask:
                self.changes.setdefault(name, "created")
            elif code:
                refusals.append(_Refusal(name, "creating", code, topic.get("error_message")))
        return refusals

    def _grow(self, plans: Sequence[TopicPlan], *, only_ask: bool) -> list[_Refusal]:
        if not plans:
            return []
        wishes = {one.name: one.partitions for one in plans}
        answered = self.client.create_partitions(wishes, validate_only=only_ask, raise_errors=False)
        before = {one.name: one.partitions_now for one in plans}
        refusals = []
        for result in answered.results:
            if result.error_code == 0 and not only_ask:
                self._has_grown(result.name, before[result.name], wishes[result.name])
            elif result.error_code:
                refusals.append(_Refusal(result.name, "adding partitions to", result.error_code, result.error_message))
        return refusals

    def _has_grown(self, name: str, before: int, after: int) -> None:
        self._add_change(name, f"grown from {before} to {after} partitions")
        self.warnings.setdefault(name, []).append(
            f"topic {name} was grown from {before} to {after} partitions: keys go to other partitions from now on, so "
            "records of one key that were written before and after may be read out of order"
        )

    def _raise_limits(self, plans: Sequence[TopicPlan], *, only_ask: bool) -> list[_Refusal]:
        refusals = []
        for one in plans:
            if one.raise_limit is None:
                continue
            before, after = one.raise_limit
            resource = ConfigResource("TOPIC", one.name, {MESSAGE_LIMIT: str(after)})
            answered = self.client.alter_configs([resource], validate_only=only_ask, raise_on_unknown=False)
            said = answered["topic"][one.name]
            if said != "OK":
                refusals.append(_Refusal(one.name, f"raising {MESSAGE_LIMIT} of", _code_in(said), said))
            elif not only_ask:
                self._add_change(one.name, f"{MESSAGE_LIMIT} raised from {before} to {after}")
        return refusals

    def _add_change(self, name: str, change: str) -> None:
        # What happens to a topic that was made a moment ago is part of making it.
        made = self.changes.get(name)
        if made != "created":
            self.changes[name] = f"{made}; {change}" if made else change

    def _await_leaders(self) -> None:
        leaderless = list(self.changes)
        while leaderless:
            leaderless = [name for name, topic in describe(self.client, leaderless).items() if not _has_leaders(topic)]
            if leaderless:
                self._pause(f"{', '.join(leaderless)}: no leader")

    def _pause(self, missing: str) -> None:
        if self._is_late():
            raise ServiceError(f"topic {missing} in time", hint="look at the broker's log, then try again")
        time.sleep(_PAUSE)

    def _is_late(self) -> bool:
        return time.monotonic() >= self.deadline


def _read(client: KafkaAdminClient, names: Sequence[str]) -> dict[str, ExistingTopic]:
    there = {}
    refusals = []
    for topic in client.describe_topics(list(names)):
        code = topic["error_code"]
        if code == 0 and topic["partitions"]:
            there[topic["name"]] = topic["partitions"]
        elif code and code not in (_UNKNOWN_TOPIC, _NO_LEADER):
            refusals.append(_Refusal(topic["name"], "describing", code, None))
    _raise_any(refusals)
    configs = _configs(client, sorted(there))
    return {
        name: ExistingTopic(
            name,
            len(partitions),
            min(len(partition["replica_nodes"]) for partition in partitions),
            configs.get(name, {}),
        )
        for name, partitions in there.items()
    }


def _configs(client: KafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    described = client.describe_configs([ConfigResource("TOPIC", name) for name in names], config_filter="all")
    return {
        name: {key: config["value"] for key, config in configs.items() if config["value"] is not None}
        for name, configs in described.get("topic", {}).items()
    }


def _raise_any(refusals: Sequence[_Refusal]) -> None:
    if not refusals:
        return
    text = "\n".join(str(refusal) for refusal in refusals)
    hints = dict.fromkeys(refusal.hint for refusal in refusals if refusal.hint)
    error: type[DdpmError] = (
        ConfigError if all(refusal.concerns_configuration for refusal in refusals) else ServiceError
    )
    raise error(text, hint="; ".join(hints) or None)


def _has_leaders(topic: Mapping[str, Any]) -> bool:
    return not topic["error_code"] and all(partition["leader_id"] >= 0 for partition in topic["partitions"])


def _code_in(said: str) -> int:
    """The number in kafka-python's `[Error 29] TopicAuthorizationFailedError: …`, which is all it hands on."""
    head = said.removeprefix("[Error ").partition("]")[0]
    return int(head) if head.isdigit() else -1
