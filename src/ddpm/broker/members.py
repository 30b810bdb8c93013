"""Who reads with a consumer group just now, and the end of a membership whose member cannot leave by itself."""

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove
from kafka.errors import NoError, UnknownMemberIdError

from ddpm.broker.connection import DEFAULT_TIMEOUT, admin, answer
from ddpm.broker.offsets import COORDINATOR_IS_COMING
from ddpm.errors import ServiceError

_PAUSE = 0.1
_LOOK_PAUSE = 0.05


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A member of a group: what its client calls itself, the host it connects from, and the topics it asked for."""

    client_id: str
    host: str
    topics: tuple[str, ...] = ()


def members(brokers: Sequence[str], group: str, timeout: float = DEFAULT_TIMEOUT) -> tuple[Member, ...]:
    """Return the members of `group`, sorted; none of a group that does not exist.

    Raises:
        ServiceError: No broker answers, or it refuses.

    """
    with admin(brokers, timeout) as client:
        described = described_group(client, group, time.monotonic() + timeout)
    return tuple(sorted(_member(each) for each in described.get("members", ())))


def dismiss(
    brokers: Sequence[str], group: str, gone: Collection[str], patience: float, timeout: float = DEFAULT_TIMEOUT
) -> int:
    """End the membership of clients that have ended without leaving their group; returns how many members that were.

    The others then get their partitions at once, and not when the session of those that are gone has run out. Of
    nobody else's membership anything is changed.

    While they are the only members this waits for one that comes in their place: a broker lets the first member of an
    empty group wait (`group.initial.rebalance.delay.ms`, 3 s by default), and no member of one that is not.

    Args:
        brokers: Addresses, `host:port`.
        group: The group.
        gone: What the clients called themselves: ids that no client that is alive has.
        patience: Seconds to wait for another member.
        timeout: Seconds that a request may take.

    Raises:
        ServiceError: No broker answers, or it refuses.

    """
    deadline = time.monotonic() + patience
    with admin(brokers, timeout) as client:
        while True:
            found = described_group(client, group, time.monotonic() + timeout).get("members", ())
            dead = [str(each["member_id"]) for each in found if each["client_id"] in gone]
            if not dead:
                return 0
            if len(dead) < len(found) or time.monotonic() > deadline:
                return _remove(client, group, dead)
            time.sleep(_LOOK_PAUSE)


def _remove(client: KafkaAdminClient, group: str, member_ids: Iterable[str]) -> int:
    leaving = [MemberToRemove(member_id=each, reason="its process has ended") for each in member_ids]
    answers = list(client.remove_group_members(group, leaving).values())
    # Another request, or the end of its session, may have been faster.
    refused = [each for each in answers if each not in (NoError, UnknownMemberIdError)]
    if refused:
        raise ServiceError(f"members of the consumer group {group} cannot be removed: {answer(refused[0]())}")
    return answers.count(NoError)


def described_group(client: KafkaAdminClient, group: str, deadline: float) -> dict[str, Any]:
    """What the broker says of a group; the broker that keeps it may first have to be found, until `deadline`."""
    while True:
        try:
            found: dict[str, Any] = client.describe_groups([group]).get(group, {})
        except COORDINATOR_IS_COMING:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
        else:
            return found


def _member(described: dict[str, Any]) -> Member:
    subscription = described.get("member_metadata")
    # What is not a consumer of the classic protocol has a form of its own, which says nothing here.
    topics = subscription.get("topics", ()) if isinstance(subscription, dict) else ()
    return Member(
        str(described["client_id"]), str(described["client_host"]).lstrip("/"), tuple(sorted(map(str, topics)))
    )
