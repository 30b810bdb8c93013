"""Which rights on a cluster a pipeline lacks, and the command that grants each.

Asked before anything is read or written: a broker's refusal names neither the right nor the user.
"""

import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import GroupAuthorizationFailedError

from ddpm.broker.connection import DEFAULT_TIMEOUT, admin
from ddpm.broker.members import described_group
from ddpm.config.model import Cluster
from ddpm.errors import ServiceError
from ddpm.words import counted

_TOPIC_NOT_AUTHORIZED = 29
_GROUP_NOT_AUTHORIZED = GroupAuthorizationFailedError.__name__


class Operation(StrEnum):
    """What is done to a topic or with a group: as kafka-python names it, and as `kafka-acls` spells it."""

    READ = "Read"
    WRITE = "Write"
    CREATE = "Create"
    ALTER = "Alter"
    DELETE = "Delete"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"
    ALTER_CONFIGS = "AlterConfigs"


@dataclass(frozen=True, slots=True)
class Rights:
    """What has to be done on a cluster: operations by topic, and by group."""

    topics: Mapping[str, Iterable[Operation]]
    groups: Mapping[str, Iterable[Operation]]


def require(brokers: Sequence[str], rights: Rights, timeout: float = DEFAULT_TIMEOUT) -> None:
    """Return if ddpm's user has the rights, as far as the brokers say. What does not exist yet is not asked for.

    Args:
        brokers: Addresses, `host:port`.
        rights: What it needs.
        timeout: Seconds that a request may take.

    Raises:
        ServiceError: No broker answers, or rights are missing, each with the command that grants it.

    """
    with admin(brokers, timeout) as client:
        lacking = [
            *(("topic", *each) for each in _of_topics(client, rights.topics)),
            *(("group", *each) for each in _of_groups(client, rights.groups, time.monotonic() + timeout)),
        ]
    if lacking:
        listed = "; ".join(f"{', '.join(operations)} on the {kind} {name}" for kind, name, operations in lacking)
        lines = [grant(brokers, kind, name, operations) for kind, name, operations in lacking]
        count = sum(len(operations) for *_, operations in lacking)
        msg = f"{counted(count, 'right')} missing on the brokers: {listed}"
        raise ServiceError(msg, hint="\n".join(lines))


def grant(brokers: Sequence[str], kind: str, name: str, operations: Iterable[Operation]) -> str:
    """The command that grants operations on a topic or group to ddpm's user."""
    words = ["kafka-acls", "--bootstrap-server", brokers[0], "--add", "--allow-principal", principal(brokers)]
    for each in operations:
        words += ["--operation", each.value]
    return shlex.join([*words, f"--{kind}", name])


def principal(brokers: Sequence[str]) -> str:
    """Who ddpm is to the brokers, unless they map names in their own way."""
    security = Cluster.of(brokers).security
    if security.sasl is not None:
        oauth = security.sasl.oauth
        return f"User:{oauth.client_id if oauth else security.sasl.username}"
    if security.tls is None or security.tls.cert is None:
        return "User:ANONYMOUS"
    from cryptography.x509 import load_pem_x509_certificates

    own = load_pem_x509_certificates(security.tls.cert.read_bytes())[0]
    return f"User:{own.subject.rfc4514_string()}"


_Lacking = tuple[str, tuple[Operation, ...]]


def _of_topics(client: KafkaAdminClient, wanted: Mapping[str, Iterable[Operation]]) -> Iterable[_Lacking]:
    for topic in client.describe_topics(sorted(wanted)) if wanted else ():
        name, needed = topic["name"], tuple(wanted[topic["name"]])
        if topic["error_code"] == _TOPIC_NOT_AUTHORIZED:
            yield name, needed
        elif not topic["error_code"] and (lacks := _without(needed, topic)):
            yield name, lacks


def _of_groups(
    client: KafkaAdminClient, wanted: Mapping[str, Iterable[Operation]], deadline: float
) -> Iterable[_Lacking]:
    for name, operations in wanted.items():
        needed = tuple(operations)
        try:
            group = described_group(client, name, deadline)
        except GroupAuthorizationFailedError:  # to look for the coordinator takes Describe as well
            yield name, needed
            continue
        if _GROUP_NOT_AUTHORIZED in (group.get("error") or ""):
            yield name, needed
        elif lacks := _without(needed, group):
            yield name, lacks


def _without(needed: tuple[Operation, ...], said: Mapping[str, Any]) -> tuple[Operation, ...]:
    """Those that are not among what a broker says is allowed; none where it does not say, as one without rights."""
    allowed = said.get("authorized_operations")
    return tuple(each for each in needed if each.name not in allowed) if allowed else ()
