"""One pipeline of a run, with all that belongs to it: how it is prepared, launched, begun again and fed letters."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ddpm.broker.offsets import watermarks
from ddpm.config.model import Config, Pipeline
from ddpm.deadletters.letter import DeadLetter
from ddpm.deadletters.replay import Fed
from ddpm.deadletters.store import DeadLetterStore
from ddpm.engine.launching import Launcher
from ddpm.errors import ServiceError
from ddpm.orchestrator.launching.engines import launchable
from ddpm.orchestrator.launching.linting import Linter
from ddpm.orchestrator.provisioning.provision import Provisioned, check_sharing, provision
from ddpm.orchestrator.redrive.letters import reinjector_of
from ddpm.orchestrator.run.bounded import Bound
from ddpm.orchestrator.run.topic_recreation import TopicRecreation
from ddpm.supervisor.runner import Launchable, Supervisor


class Tables:
    """The tables of the pipelines that are ready: a second one for the same records is refused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[str, Provisioned] = {}

    def take(self, name: str, provisioned: Provisioned) -> None:
        """Raise ConfigError if another pipeline writes the records of one of its topics into its table."""
        with self._lock:
            check_sharing({**self._taken, name: provisioned})
            self._taken[name] = provisioned

    def drop(self, name: str) -> None:
        """Forget a pipeline that is not there any more."""
        with self._lock:
            self._taken.pop(name, None)

    def saved(self) -> Mapping[str, Provisioned]:
        """What there is now, for `restore`."""
        with self._lock:
            return dict(self._taken)

    def restore(self, saved: Mapping[str, Provisioned]) -> None:
        """Have it as it was."""
        with self._lock:
            self._taken = dict(saved)

    def newest(self, name: str) -> Provisioned | None:
        """What was found out last of a pipeline; None while it is not ready."""
        with self._lock:
            return self._taken.get(name)


@dataclass(frozen=True, slots=True)
class PreparedPipeline:
    """A pipeline whose topics and tables are there, and how its engines are started."""

    provisioned: Provisioned
    launchable: Launchable


@dataclass(frozen=True, slots=True)
class PipelineRuntime:
    """One pipeline of a run.

    Attributes:
        config: Where it stands, with real addresses.
        pipeline: The pipeline.
        binary: Its engine.
        launcher: What starts its engines.
        letters: Where its dead letters are.
        linter: What the engine has said of configurations so far.
        tables: Those of all pipelines of the run.
        supervisor: Who keeps it running.

    """

    config: Config = field(repr=False)
    pipeline: Pipeline
    binary: Path
    launcher: Launcher
    letters: DeadLetterStore
    linter: Linter
    tables: Tables
    supervisor: Supervisor

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.pipeline.name

    def prepare(self, *, former: bool = False) -> PreparedPipeline:
        """Make its topics and tables; raises DdpmError where that fails. A `former` one is gone back to."""
        provisioned = provision(
            self.pipeline, former=former, report=lambda said: self.supervisor.events.add(self.name, "control", said)
        )
        for alarm in provisioned.alarms:
            self.supervisor.events.add(self.name, "alarm", alarm)
        return PreparedPipeline(provisioned, self.launchable(provisioned))

    def launchable(self, provisioned: Provisioned) -> Launchable:
        """How its engines are started, now or when its topics have other numbers.

        Raises:
            ConfigError: Another pipeline writes the same records into its table, or the engine refuses it.

        """
        self.tables.take(self.name, provisioned)
        return launchable(self.config, self.pipeline, self.binary, self.launcher, provisioned, linter=self.linter)

    def launch(self, prepared: PreparedPipeline) -> None:
        """Have it launched though the others run already."""
        self.supervisor.launch_anew(self.name, prepared.launchable)

    def recreation(self, stop: threading.Event) -> TopicRecreation:
        """What happens when a topic of it is made again."""
        return TopicRecreation(self.pipeline, self.supervisor, self.launchable, stop)

    def bound(self) -> Bound | None:
        """How far it reads if it ends by itself: to the present ends of its topics."""
        return (
            Bound(watermarks(self.pipeline.kafka.cluster, self.pipeline.kafka.topics)) if self.pipeline.once else None
        )

    def reinject(self, letters: Iterator[DeadLetter], report: Callable[[Fed], None]) -> None:
        """Feed dead letters to an engine of it; raises ServiceError before it was prepared."""
        provisioned = self.tables.newest(self.name)
        if provisioned is None:
            raise ServiceError(f"the topics and table of {self.name} are not there yet", hint="`ddpm status`")
        reinjector_of(self.config, self.pipeline, self.binary, provisioned.sources)(letters, report)
