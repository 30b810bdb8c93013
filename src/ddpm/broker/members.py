"""Who reads with a consumer group just now. Changes nothing."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient

from ddpm.broker.connection import DEFAULT_TIMEOUT, admin
from ddpm.broker.offsets import COORDINATOR_IS_COMING

_PAUSE = 0.1


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
        described = _described(client, group, time.monotonic() + timeout)
    return tuple(sorted(_member(each) for each in described.get("members", ())))


def _described(client: KafkaAdminClient, group: str, deadline: float) -> dict[str, Any]:
    while True:
        try:
            found: dict[str, Any] = client.describe_groups([group]).get(group, {})
        except COORDINATOR_IS_COMING:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
        else:
            return found


def _member(told: dict[str, Any]) -> Member:
    subscription = told.get("member_metadata")
    # What is no consumer of the classic protocol has a form of its own, which says nothing here.
    topics = subscription.get("topics", ()) if isinstance(subscription, dict) else ()
    return Member(str(told["client_id"]), str(told["client_host"]).lstrip("/"), tuple(sorted(map(str, topics))))
