"""Members of a pipeline's consumer group that are not its engines: they take a part of its records.

Several ddpm may run one pipeline with one group, for a moment (a new version beside the old one) or for good. They are
known by what their engines call themselves, which is the name of the pipeline, and by their topics.
"""

import time
from collections.abc import Collection, Iterable

import structlog

from ddpm.broker.members import Member, members
from ddpm.components.sources.kafka import is_engine_of
from ddpm.config.model import Pipeline
from ddpm.errors import DdpmError
from ddpm.supervisor.runner import Supervisor

_EVERY_SECONDS = 15.0
_ASK_SECONDS = 3.0


def strangers(pipeline: Pipeline, found: Iterable[Member]) -> tuple[Member, ...]:
    """Those of a group's members that are not engines of this pipeline."""
    topics = tuple(sorted(pipeline.kafka.topics))
    return tuple(
        sorted(
            each for each in set(found) if not is_engine_of(pipeline, each.client_id) or each.topics not in ((), topics)
        )
    )


def described(pipeline: Pipeline, found: Collection[Member]) -> str:
    """What is said of them."""
    listed = ", ".join(
        f"{each.client_id} from {each.host}" + (f" (reads {', '.join(each.topics)})" if each.topics else "")
        for each in found
    )
    return (
        f"others read with the consumer group {pipeline.kafka.consumer_group}, and get a part of the "
        f"records: {listed}; give each pipeline a group of its own"
    )


class StrangerWatch:
    """Looks from time to time who is in the group of one pipeline; belongs to the thread of a watcher."""

    def __init__(self, pipeline: Pipeline, supervisor: Supervisor) -> None:
        self._pipeline = pipeline
        self._supervisor = supervisor
        self._next = 0.0
        self._before: frozenset[Member] = frozenset()
        self._reported: frozenset[Member] = frozenset()

    def look(self) -> None:
        """Look, if it is time to; an alarm reports once the members that stay from one look to the next."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY_SECONDS
        kafka = self._pipeline.kafka
        try:
            self.seen(members(kafka.cluster, kafka.consumer_group, _ASK_SECONDS))
        except DdpmError as error:
            log = structlog.get_logger()
            log.debug("the members of a group are not known", pipeline=self._pipeline.name, error=error.message)

    def seen(self, found: Iterable[Member]) -> None:
        """Take who is in the group now."""
        now = frozenset(strangers(self._pipeline, found))
        stay = now & self._before
        self._before, self._reported = now, self._reported & now
        if stay - self._reported:
            self._reported |= stay
            self._supervisor.alarm(self._pipeline.name, described(self._pipeline, sorted(stay)))
