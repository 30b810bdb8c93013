"""What happens when a topic is made again, or its log is another one, while its pipeline runs: it begins there."""

import threading
import time
from collections.abc import Callable, Collection, Mapping

import structlog

from ddpm.broker.offsets import Partition
from ddpm.broker.watch import Topic
from ddpm.config.model import Pipeline
from ddpm.errors import DdpmError
from ddpm.orchestrator.provisioning.provision import Provisioned, another_log, provision
from ddpm.supervisor.runner import Launchable, Supervisor

RETRY_SECONDS = 2.0
_RECREATED = "deleted and made again: {}; restart ddpm, and then the engine, which is not ddpm's to restart"
_EXTERNAL = "{}; restart ddpm, and then the engine, which is not ddpm's to restart"
_POLL_SECONDS = 0.1

MakeLaunchable = Callable[[Provisioned], Launchable]


class TopicRecreation:
    """Follows the ids of one pipeline's topics; `seen` belongs to the thread of a watcher.

    Args:
        pipeline: The pipeline.
        supervisor: Who ends and starts its engines.
        launchable: How engines are started for something else.
        stop: Ends what is under way.

    """

    def __init__(
        self,
        pipeline: Pipeline,
        supervisor: Supervisor,
        launchable: MakeLaunchable,
        stop: threading.Event,
    ) -> None:
        self._pipeline = pipeline
        self._supervisor = supervisor
        self._ids: dict[str, str] = {}
        self._begun = False
        self.counts: Mapping[str, int] = {}
        self._launchable = launchable
        self._stop = stop
        self._busy: threading.Thread | None = None
        self._said_parted = ""

    def begin(self, provisioned: Provisioned) -> None:
        """Take what its engines are started for; before, nothing counts as another topic or log."""
        self._ids = dict(provisioned.topic_ids)
        self.counts = provisioned.counts
        self._begun = True

    def seen(self, topics: Mapping[str, Topic]) -> None:
        """Take what the brokers say of the topics now."""
        if self.busy:
            return
        remade = sorted(name for name, known in self._ids.items() if _another(topics.get(name), known))
        if remade and self._pipeline.engine.external:
            self._ids |= {name: str(topics[name].topic_id) for name in remade}
            self._supervisor.alarm(self._pipeline.name, _RECREATED.format(", ".join(remade)))
        elif remade:
            # Not drained: what these engines have in flight may be of either topic, and is read again.
            self._begin(
                f"deleted and made again: {', '.join(remade)}; it starts over with another source number", remade
            )

    def parted(self, places: Mapping[Partition, int]) -> None:
        """Take from which offsets on partitions have another log than before."""
        if self.busy:
            return
        said = another_log(places)
        if self._pipeline.engine.external:
            # It is seen in every look until somebody restarts ddpm.
            if said != self._said_parted:
                self._said_parted = said
                self._supervisor.alarm(self._pipeline.name, _EXTERNAL.format(said))
        else:
            self._begin(said, (), places)

    @property
    def busy(self) -> bool:
        """Whether it is under way, or its engines have not been prepared for the first time yet."""
        return not self._begun or (self._busy is not None and self._busy.is_alive())

    def _begin(self, reason: str, remade: Collection[str], parted: Mapping[Partition, int] | None = None) -> None:
        name = f"renew {self._pipeline.name}"
        self._busy = threading.Thread(target=self._renew, args=(reason, remade, parted or {}), name=name, daemon=True)
        self._busy.start()

    def join(self, seconds: float) -> None:
        """Wait for what is under way."""
        if self._busy is not None:
            self._busy.join(seconds)

    def _renew(self, reason: str, remade: Collection[str], parted: Mapping[Partition, int]) -> None:
        name, log = self._pipeline.name, structlog.get_logger().bind(pipeline=self._pipeline.name)
        self._supervisor.hold(name, reason)
        last, again = "", tuple(remade)
        while not self._stop.is_set():
            try:
                self._await_end()
                provisioned = provision(self._pipeline, again, parted)
                for alarm in provisioned.alarms:
                    self._supervisor.events.add(name, "alarm", alarm)
                self._supervisor.launch_anew(name, self._launchable(provisioned))
            except DdpmError as error:
                if error.message != last:
                    log.warning("a topic or log that is another one cannot be begun yet", reason=error.message)
                last = error.message
                if self._pipeline.table is not None:
                    # Another ddpm of the same group may have begun again: the numbers of sources say whether it has.
                    again = ()
                self._stop.wait(RETRY_SECONDS)
            else:
                self._ids = dict(provisioned.topic_ids)
                self.counts = provisioned.counts
                return

    def _await_end(self) -> None:
        # The supervisor's notes are read in order, but it may not have read this one yet.
        time.sleep(_POLL_SECONDS)
        while not self._stop.is_set() and not self._supervisor.vitals(self._pipeline.name).held:
            time.sleep(_POLL_SECONDS)


def _another(topic: Topic | None, known: str) -> bool:
    return topic is not None and topic.error is None and topic.topic_id not in (None, known)
