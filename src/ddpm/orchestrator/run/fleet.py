"""The pipelines of a run, and their exchange for those of another configuration while it goes on.

Only what differs is touched: engines, offsets and counters of the others stay as they are. Everything that can be wrong
is looked for before an engine is ended; when the new ones do not come up, the former configuration is run again.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ddpm.config.model import Config, Pipeline
from ddpm.deadletters.service import DeadLetterService
from ddpm.engine.launching import Launcher
from ddpm.engine.progress import Progress
from ddpm.errors import ConfigError, DdpmError, EngineError
from ddpm.orchestrator.dead_letter_stores import dead_letter_stores
from ddpm.orchestrator.embedded import Endpoints
from ddpm.orchestrator.launching.linting import Linter
from ddpm.orchestrator.run.bounded import Bound
from ddpm.orchestrator.run.checking import check_engines
from ddpm.orchestrator.run.comparing import Changes, Fingerprint, compare, fingerprints, named
from ddpm.orchestrator.run.describe import descriptions
from ddpm.orchestrator.run.launchers import launchers
from ddpm.orchestrator.run.pages import EnginePages
from ddpm.orchestrator.run.pipeline import PipelineRuntime, PreparedPipeline, Tables
from ddpm.orchestrator.run.plan import Plan, Plans, Running, make_plan, obstacles
from ddpm.orchestrator.run.preparing import Preparations
from ddpm.orchestrator.run.specs import spec_of
from ddpm.orchestrator.run.topic_recreation import TopicRecreation
from ddpm.orchestrator.run.watching import watching
from ddpm.privacy import privacy_of
from ddpm.server.views import Description
from ddpm.supervisor.pipeline import PipelineSpec
from ddpm.supervisor.policy import KILL_MARGIN
from ddpm.supervisor.runner import Exchange, Launchable, Supervisor
from ddpm.supervisor.states import DesiredState, State

HEALTHY_SECONDS = 30.0
_POLL_SECONDS = 0.05


class HalfWayError(EngineError):
    """Neither the new configuration nor the former one can be run."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run has besides its pipelines.

    Attributes:
        endpoints: The embedded servers.
        linter: What the engine has said of configurations so far.
        supervisor: Who keeps the pipelines running.
        letters: What is asked about dead letters.
        pages: What the engines say of themselves.
        about: The descriptions of the pipelines, by name, as the API shows them.
        progress: Shown what takes long.

    """

    endpoints: Endpoints
    linter: Linter
    supervisor: Supervisor
    letters: DeadLetterService
    pages: EnginePages
    about: dict[str, Description]
    progress: Progress


class Fleet:
    """The pipelines of a run.

    Args:
        config: Their configuration, with real addresses.
        around: What the run has besides.
        binaries: The engines, by how the configuration names them.
        starting: What starts engines, by the name of the pipeline.

    """

    def __init__(
        self,
        config: Config,
        around: Surroundings,
        binaries: Mapping[Path | None, Path],
        starting: Mapping[str, Launcher],
    ) -> None:
        self.config = config
        self._around = around
        self._tables = Tables()
        self.runtimes = self._runtimes(config, config.pipelines, binaries, starting)
        self._prints = fingerprints(config)
        supervisor = around.supervisor
        self.preparations: Preparations[PreparedPipeline] = Preparations(
            config.pipelines, lambda each: self.runtimes[each.name].prepare(), supervisor
        )
        self._plans = Plans()
        self._bounds: dict[str, Bound] = {}
        self._watchers = ExitStack()
        self._launchers = ExitStack()
        # One exchange at a time, and none once the run ends.
        self._lock = threading.Lock()

    def _runtimes(
        self,
        config: Config,
        pipelines: Sequence[Pipeline],
        binaries: Mapping[Path | None, Path],
        starting: Mapping[str, Launcher],
    ) -> dict[str, PipelineRuntime]:
        letters = dead_letter_stores(pipelines, config.pipelines).by_pipeline
        around = self._around
        return {
            each.name: PipelineRuntime(
                config,
                each,
                binaries[each.engine.binary],
                starting[each.name],
                letters[each.name],
                around.linter,
                self._tables,
                around.supervisor,
            )
            for each in pipelines
        }

    def begin(self) -> dict[str, Launchable]:
        """Wait until it is clear whether there is anything to run, and return how that is launched; the rest follows.

        Raises:
            DdpmError: There is nothing to run.

        """
        ready = self.preparations.first()
        self._bounds = {name: bound for name, each in self.runtimes.items() if (bound := each.bound()) is not None}
        self._open_letters()
        for name in self.runtimes.keys() - ready.keys():
            self.preparations.when_made(name, self.runtimes[name].launch)
        return {name: prepared.launchable for name, prepared in ready.items()}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch what the pipelines depend on, while the block runs."""
        self._watch()
        try:
            yield
        finally:
            # An exchange that is under way ends first: it looks whether ddpm is to end.
            with self._lock:
                self._watchers.close()
                self._launchers.close()

    @property
    def config_hash(self) -> str:
        """Names the configuration that runs."""
        return named(self._prints)

    def plan(self, load: Callable[[], Config]) -> Plan:
        """What `exchange` would do; it can be applied by its hash from then on.

        Args:
            load: Loads the configuration.

        Raises:
            DdpmError: It cannot be loaded, or the engine does not accept it.

        """
        return self._plans.keep(self._planned(self._around.endpoints.resolve(load()), self._running()))

    def _running(self) -> Running:
        with self._lock:
            return Running(self.config, self._prints)

    def _planned(self, config: Config, running: Running) -> Plan:
        return make_plan(config, running, self._around.linter, self._around.progress)

    def exchange(self, load: Callable[[], Config], plan: str | None = None) -> Changes:
        """Run the pipelines of another configuration from now on; returns what differs.

        Args:
            load: Loads the configuration.
            plan: The hash of the plan that is carried out; None carries out whatever there is to do.

        Raises:
            StalePlanError: Something else than planned would be done by now.
            DdpmError: It cannot be run, or did not come up; what ran before runs on.

        For one thread: nobody else exchanges pipelines meanwhile.

        """
        config = self._around.endpoints.resolve(load())
        prints = fingerprints(config)
        if plan is not None:
            # It asks brokers and databases, and the end of the run would wait for the lock.
            self._plans.require(plan, self._planned(config, self._running()))
        with self._lock:
            if self._around.supervisor.ending:
                raise EngineError("ddpm ends")
            changes = compare(self._prints, prints)
            self._check(config, changes)
            fresh = [each for each in config.pipelines if each.name in changes.fresh]
            runtimes = self._fresh_runtimes(config, fresh)
            before, since = self._current(), time.time()
            try:
                self._switch(_Fleet(config, {**self.runtimes, **runtimes}, prints), changes)
                self._await_health(changes, since)
            except DdpmError as error:
                self._go_back(before, error)
                raise
            return changes

    def _current(self) -> "_Fleet":
        return _Fleet(self.config, self.runtimes, self._prints)

    def _check(self, config: Config, changes: Changes) -> None:
        """Raise ConfigError for what needs a new start of ddpm."""
        for each in obstacles(config, self.config, changes):
            raise ConfigError(each.text, hint=each.detail)

    def _fresh_runtimes(self, config: Config, fresh: Sequence[Pipeline]) -> dict[str, PipelineRuntime]:
        if not fresh:
            return {}
        around = self._around
        binaries = check_engines(config, fresh, around.linter, around.progress)
        starting = self._launchers.enter_context(launchers(config.model_copy(update={"pipelines": tuple(fresh)})))
        return self._runtimes(config, fresh, binaries, starting)

    def _switch(self, to: "_Fleet", changes: Changes, *, former: bool = False) -> None:
        """Prepare what is new, and then let the supervisor run it in place of what was there."""
        runtimes = {each.name: to.runtimes[each.name] for each in to.config.pipelines}
        # Their groups take over from those of the ones that are removed, whose engines have to end first.
        wholes = {self.runtimes[name].pipeline.whole for name in changes.removed}
        after = {name for name in changes.added if runtimes[name].pipeline.whole in wholes}
        longest = max((self.runtimes[name].pipeline.engine.drain for name in changes.removed), default=0.0)
        tables = self._tables.saved()
        for name in changes.removed:
            self._tables.drop(name)
        try:
            made = {name: runtimes[name].prepare(former=former) for name in changes.fresh if name not in after}
        except BaseException:
            self._tables.restore(tables)
            raise
        self._watchers.close()
        reason = f"the configuration has changed, and is {named(to.prints)} from now on"
        try:
            staying = [each.name for each in to.config.pipelines if each.name not in after]
            self._tell(runtimes, staying, made, changes, reason)
            for name in (*changes.removed, *changes.changed):
                self.preparations.forget(name)
            for name in changes.removed:
                self._around.about.pop(name, None)
            self._take(to, runtimes)
            if after:
                self._await_left(changes.removed, longest)
                late = {name: runtimes[name].prepare(former=former) for name in after}
                self._tell(runtimes, list(runtimes), late, replace(changes, changed=(), removed=()), reason)
                made |= late
        finally:
            for name, each in made.items():
                self.preparations.put(name, each)
            self._open_letters()
            self._watch()

    def _take(self, to: "_Fleet", runtimes: Mapping[str, PipelineRuntime]) -> None:
        self.config, self.runtimes = to.config, dict(runtimes)
        self._prints = dict(to.prints)
        self._around.about.update(descriptions(to.config))

    def _tell(
        self,
        runtimes: Mapping[str, PipelineRuntime],
        order: Sequence[str],
        made: Mapping[str, PreparedPipeline],
        changes: Changes,
        reason: str,
    ) -> None:
        """Tell the supervisor, and wait until it knows."""
        with_specs: dict[str, tuple[PipelineSpec, Launchable]] = {
            name: (spec_of(runtimes[name].pipeline), each.launchable) for name, each in made.items()
        }
        added = {name: each for name, each in with_specs.items() if name in changes.added}
        changed = {name: each for name, each in with_specs.items() if name in changes.changed}
        kept = [spec.memory.take_over() for spec, _ in added.values()]
        for spec, _ in added.values() if all(kept) else ():
            spec.memory.forget_others()
        supervisor = self._around.supervisor
        done = supervisor.exchange(Exchange(order, added, changed, reason, frozenset(changes.in_place)))
        while not done.wait(_POLL_SECONDS):
            if supervisor.ending:
                raise EngineError("ddpm ends")

    def _await_left(self, names: Collection[str], longest: float) -> None:
        """Wait until the engines of pipelines that were removed have ended."""
        deadline = time.monotonic() + longest + KILL_MARGIN
        while self._around.supervisor.left & set(names):
            if time.monotonic() > deadline:
                raise EngineError(f"the engines of {', '.join(sorted(names))} have not ended")
            time.sleep(_POLL_SECONDS)

    def _await_health(self, changes: Changes, since: float) -> None:
        """Wait until what is new runs, which it has begun after `since`, in seconds since 1970.

        Raises:
            EngineError: One has failed, or does not run in time.

        """
        supervisor = self._around.supervisor
        deadline = time.monotonic() + HEALTHY_SECONDS
        waiting = set(changes.started)
        while waiting:
            for name in sorted(waiting):
                status = supervisor.status(name)
                own = self.preparations.get(name)
                runs = (
                    own is not None
                    and status.state is State.RUNNING
                    and status.config_hash == own.launchable.config_hash
                    and status.since >= since
                )
                if runs or status.wish is not DesiredState.RUN:
                    waiting.discard(name)
                elif status.state is State.FAILED or time.monotonic() > deadline:
                    msg = f"{name} does not run with the new configuration: {status.state.value}, {status.reason}"
                    raise EngineError(msg, hint="`ddpm logs` shows what its engine said")
            if supervisor.ending:
                return
            time.sleep(_POLL_SECONDS)

    def _go_back(self, before: "_Fleet", cause: DdpmError) -> None:
        now = self._current()
        changes = compare(now.prints, before.prints)
        try:
            if changes:
                self._switch(before, changes, former=True)
        except DdpmError as error:
            msg = f"{cause.message}; and the former configuration cannot be run again: {error.message}"
            raise HalfWayError(msg, hint="correct the cause, and start ddpm again") from error

    def _open_letters(self) -> None:
        runtimes = self.runtimes
        self._around.letters.open(
            {name: each.letters for name, each in runtimes.items()},
            {name: each.reinject for name, each in runtimes.items()},
            {name: privacy_of(each.pipeline) for name, each in runtimes.items()},
        )

    def _watch(self) -> None:
        letters = {name: each.letters for name, each in self.runtimes.items()}
        self._watchers.enter_context(
            watching(
                [each.pipeline for each in self.runtimes.values()],
                self._around.supervisor,
                self._bounds,
                letters,
                renewal=self._recreation,
                pages=self._around.pages,
            )
        )

    def _recreation(self, pipeline: Pipeline, stop: threading.Event) -> TopicRecreation:
        made = self.runtimes[pipeline.name].recreation(stop)

        def begin(prepared: PreparedPipeline) -> None:
            # Since then a topic may have been made again.
            made.begin(self._tables.newest(pipeline.name) or prepared.provisioned)

        self.preparations.when_made(pipeline.name, begin)
        return made


@dataclass(frozen=True, slots=True)
class _Fleet:
    """The pipelines of a configuration, and their fingerprints, by name."""

    config: Config
    runtimes: Mapping[str, PipelineRuntime]
    prints: Mapping[str, Fingerprint]
