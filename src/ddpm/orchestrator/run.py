"""One run of ddpm: from a configuration to engines that are watched until someone asks them to stop."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from contextlib import closing as closing_at_end
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from ddpm.broker.offsets import watermarks
from ddpm.catalogue import parsers
from ddpm.config.model import Config, Pipeline, Scale
from ddpm.deadletters.letter import DeadLetter
from ddpm.deadletters.replay import Fed, Reinject
from ddpm.deadletters.service import DeadLetterService
from ddpm.engine import binary as engine_binary
from ddpm.engine.progress import Progress
from ddpm.errors import EngineError, ServiceError
from ddpm.observability import logging
from ddpm.observability.masking import Masker
from ddpm.observability.profiling import profiling
from ddpm.observability.push import push
from ddpm.observability.recent import RecentLog
from ddpm.observability.systemd import Notifier
from ddpm.orchestrator.bounded import Bound
from ddpm.orchestrator.changes import ConfigFiles
from ddpm.orchestrator.datafolder import check_free, claim_folder, held
from ddpm.orchestrator.dead_letter_stores import dead_letter_stores
from ddpm.orchestrator.describe import descriptions
from ddpm.orchestrator.embedded import Endpoints, check_embedded, embedded_servers
from ddpm.orchestrator.engines import PROFILES, launchable
from ddpm.orchestrator.launchers import check_launchers, launchers
from ddpm.orchestrator.linting import Linter
from ddpm.orchestrator.mistakes import refuse_mistakes
from ddpm.orchestrator.offline import check
from ddpm.orchestrator.pages import EnginePages
from ddpm.orchestrator.prepare import DATA_DIR, rendered
from ddpm.orchestrator.preparing import Preparations
from ddpm.orchestrator.provision import Provisioned, check_sharing, provision
from ddpm.orchestrator.redrive import reinjector_of
from ddpm.orchestrator.service import Announcer
from ddpm.orchestrator.signals import signal_handler
from ddpm.orchestrator.topic_recreation import TopicRecreation
from ddpm.orchestrator.watching import BROKER_PROBE, DATABASE_PROBE, foreign_clusters, sink_cluster_probe, watching
from ddpm.server.api import Sources
from ddpm.server.app import create
from ddpm.server.guard import access_policy
from ddpm.server.metrics import page
from ddpm.server.serve import address_of, listen, serving
from ddpm.supervisor.events import EventFile, EventLog
from ddpm.supervisor.memory import HistoryFile, MemoryFile
from ddpm.supervisor.pipeline import PipelineSpec
from ddpm.supervisor.runner import Launchable, Supervisor
from ddpm.supervisor.scaling import ScaleLimits, StabilizationWindow
from ddpm.supervisor.states import State

PUSH_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Started:
    """What a person wants to know once everything runs."""

    config: Config
    server_url: str
    endpoints: Endpoints


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run may be told besides its configuration.

    Attributes:
        progress: Shown what takes long: downloads, builds.
        recent: The newest lines of the log, kept for those who ask over HTTP.
        stop_after: Drain by itself after so many seconds; None runs until a signal.
        provisioned: Called when topics and tables exist and no engine runs yet.
        started: Called when the engines have been handed to the supervisor.
        notifier: Tells the service manager that started ddpm.

    """

    progress: Progress
    recent: RecentLog
    stop_after: float | None = None
    provisioned: Callable[[Config], None] = lambda _: None
    started: Callable[[Started], None] = lambda _: None
    notifier: Notifier = field(default_factory=Notifier)


@dataclass(frozen=True, slots=True)
class _Prepared:
    provisioned: Provisioned
    launchable: Launchable


class _Tables:
    """The tables of the pipelines that are ready: a second one for the same records is refused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[str, Provisioned] = {}

    def take(self, name: str, provisioned: Provisioned) -> None:
        """Raise ConfigError if another pipeline writes the records of one of its topics into its table."""
        with self._lock:
            check_sharing({**self._taken, name: provisioned})
            self._taken[name] = provisioned

    def newest(self, name: str) -> Provisioned | None:
        """What was found out last of a pipeline; None while it is not ready."""
        with self._lock:
            return self._taken.get(name)

    def launchable(self, name: str, make: Callable[[Provisioned], Launchable], provisioned: Provisioned) -> Launchable:
        """How a pipeline is started, now or when its topics have other numbers; raises as `take` does."""
        self.take(name, provisioned)
        return make(provisioned)


def run(config: Config, options: RunOptions) -> None:
    """Run all pipelines of a configuration until they are asked to stop, or have done their bounded work.

    Raises:
        DdpmError: With the exit code that fits; nothing is left running or half-made.
        Interrupted: A signal ended the run by force, or before the engines were started.

    """
    policy = access_policy(config.server)
    check_embedded(config)
    # Before the port is bound: for a second ddpm in one folder the port in use is only a consequence.
    check_free(DATA_DIR)
    # It reads what was remembered, and so finds out what a newer ddpm wrote before anything is changed.
    events = EventLog(file=EventFile(DATA_DIR / "state" / "events.jsonl"))
    supervisor = Supervisor([_managed(pipeline) for pipeline in config.pipelines], events=events)
    closing = threading.Event()
    profiled = any(pipeline.profiling for pipeline in config.pipelines)
    with (
        signal_handler() as handler,
        listen(config.server.host, config.server.port) as listener,
        profiling(PROFILES) if profiled else nullcontext(),
        ExitStack() as holding,
    ):
        check_launchers(config)
        claim_folder(DATA_DIR)
        holding.enter_context(held(DATA_DIR, address_of(listener)))
        wanted = {pipeline.engine.binary for pipeline in config.pipelines}
        binaries = {binary: engine_binary.locate(binary, options.progress) for binary in wanted}
        linter = _check_engines(config, binaries, options.progress)
        about = descriptions(config)
        letters = DeadLetterService(lambda: supervisor.draining)
        files = ConfigFiles(config)
        sources = Sources(supervisor, about, options.recent, closing.is_set, letters, files.changed)
        pages = EnginePages()
        app = create(sources, lambda: pages.fresh(supervisor), policy)
        with serving(app, listener, closing) as url:
            supervisor.announce("the servers it needs are being prepared")
            with embedded_servers(config, options.progress) as endpoints, launchers(config) as starting:
                config = endpoints.resolve(config)
                about.update(descriptions(config))
                logging.configure(
                    config.logger.level, style=config.logger.format, secrets=config.secrets, recent=options.recent
                )
                tables = _Tables()
                makers = {
                    each.name: partial(
                        tables.launchable,
                        each.name,
                        partial(
                            launchable, config, each, binaries[each.engine.binary], starting[each.name], linter=linter
                        ),
                    )
                    for each in config.pipelines
                }

                def prepare(pipeline: Pipeline) -> _Prepared:
                    return _prepare(pipeline, supervisor, makers[pipeline.name])

                def renewal(pipeline: Pipeline, stop: threading.Event) -> TopicRecreation:
                    made = TopicRecreation(pipeline, supervisor, makers[pipeline.name], stop)
                    preparations.when_made(pipeline.name, lambda prepared: made.begin(prepared.provisioned))
                    return made

                preparations = Preparations(config.pipelines, prepare, supervisor)
                with preparations.going_on():
                    ready = preparations.first()
                    _tell_provisioned(config, options, preparations)
                    bounds = {pipeline.name: _bound(pipeline) for pipeline in config.pipelines if pipeline.once}
                    shelved = dead_letter_stores(config.pipelines).by_pipeline
                    letters.open(shelved, _refeeders(config, binaries, tables.newest))
                    handler.hand_over(supervisor)
                    for name in makers.keys() - ready.keys():
                        preparations.when_made(name, partial(_launch_late, supervisor, name))
                    with (
                        watching(config.pipelines, supervisor, bounds, shelved, renewal=renewal, pages=pages),
                        closing_at_end(letters),
                        _stopping_after(options.stop_after, supervisor),
                    ):
                        options.started(Started(config, url, endpoints))
                        launchables = {name: prepared.launchable for name, prepared in ready.items()}
                        supervisor.run(launchables, Announcer(options.notifier, supervisor))
        handler.raise_if_forced()
    _report(config, supervisor)
    _raise_if_failed(supervisor)
    _raise_if_cut_short(config, supervisor)


def _check_engines(config: Config, binaries: Mapping[Path | None, Path], progress: Progress) -> Linter:
    """Let the engine check every pipeline before anything is made: a mistake in a mapping is the most common one."""
    linter, masker = Linter(), Masker(config.secrets)
    of = {wish: [each for each in config.pipelines if each.engine.binary == wish] for wish in binaries}
    # First the mistakes of all pipelines together.
    for wish, binary in binaries.items():
        refuse_mistakes(binary, of[wish], masker)
    for wish, binary in binaries.items():
        linter.write_all(binary, [(each, rendered(config, each)) for each in of[wish]], masker)
    for pipeline in config.pipelines:
        if parsers.reads_files(pipeline.source):
            check(config, pipeline, progress)
    return linter


def _tell_provisioned(config: Config, options: RunOptions, preparations: Preparations[_Prepared]) -> None:
    first = config.pipelines[0].name
    if preparations.get(first) is not None:
        options.provisioned(config)
    else:
        preparations.when_made(first, lambda _: options.provisioned(config))


def _prepare(pipeline: Pipeline, supervisor: Supervisor, make: Callable[[Provisioned], Launchable]) -> _Prepared:
    provisioned = provision(pipeline)
    for alarm in provisioned.alarms:
        supervisor.events.add(pipeline.name, "alarm", alarm)
    return _Prepared(provisioned, make(provisioned))


def _managed(pipeline: Pipeline) -> PipelineSpec:
    probes: dict[str, Literal["broker", "sink"]] = {BROKER_PROBE: "broker"}
    probes |= {sink_cluster_probe(brokers): "sink" for brokers in foreign_clusters(pipeline)}
    if pipeline.writes_postgres:
        probes[DATABASE_PROBE] = "sink"
    scale = pipeline.scale
    return PipelineSpec(
        name=pipeline.name,
        drain=pipeline.engine.drain,
        probes=probes,
        replicas=pipeline.replicas,
        limits=ScaleLimits(scale.min, scale.max, scale.target_lag) if scale else None,
        memory=MemoryFile(DATA_DIR / "state" / f"{pipeline.name}.json"),
        history=HistoryFile(DATA_DIR / "state" / f"{pipeline.name}.history.json"),
        patience=_patience(scale) if scale else StabilizationWindow(),
        bounded=pipeline.once,
        external=pipeline.engine.external,
        # A template of somebody's own may have processors that drop documents, and outputs that keep no books.
        settles=pipeline.writes_postgres and pipeline.pipeline_template is None,
    )


def _patience(scale: Scale) -> StabilizationWindow:
    usual = StabilizationWindow()
    return StabilizationWindow(
        settle=min(usual.settle, scale.up_after / 3),
        rise=scale.up_after,
        fall=scale.down_after,
        fall_longest=max(usual.fall_longest, scale.down_after),
    )


def _launch_late(supervisor: Supervisor, name: str, prepared: _Prepared) -> None:
    supervisor.launch_anew(name, prepared.launchable)


def _refeeders(
    config: Config, binaries: Mapping[Path | None, Path], newest: Callable[[str], Provisioned | None]
) -> dict[str, Reinject]:
    def reinjector(pipeline: Pipeline) -> Reinject:
        def feed(letters: Iterator[DeadLetter], told: Callable[[Fed], None]) -> None:
            provisioned = newest(pipeline.name)
            if provisioned is None:
                raise ServiceError(f"the topics and table of {pipeline.name} are not there yet", hint="`ddpm status`")
            reinjector_of(config, pipeline, binaries[pipeline.engine.binary], provisioned.sources)(letters, told)

        return feed

    return {each.name: reinjector(each) for each in config.pipelines}


def _bound(pipeline: Pipeline) -> Bound:
    return Bound(watermarks(pipeline.kafka.brokers, pipeline.kafka.topics))


def _report(config: Config, supervisor: Supervisor) -> None:
    """Tell the PushGateway what a bounded run has done; nobody could scrape it any more."""
    url = config.metrics.push_gateway
    bounded = {pipeline.name for pipeline in config.pipelines if pipeline.once}
    for status in supervisor.statuses():
        if url is not None and status.name in bounded:
            push(url, page([status], ()), {"job": "ddpm", "pipeline": status.name}, PUSH_TIMEOUT_SECONDS)


def _raise_if_failed(supervisor: Supervisor) -> None:
    failed = [status for status in supervisor.statuses() if status.state is State.FAILED]
    if failed:
        raise EngineError("\n".join(f"pipeline {status.name} failed: {status.reason}" for status in failed))


def _raise_if_cut_short(config: Config, supervisor: Supervisor) -> None:
    bounded = {pipeline.name for pipeline in config.pipelines if pipeline.once}
    short = [status.name for status in supervisor.statuses() if status.name in bounded and not status.finished]
    if short:
        raise EngineError(f"stopped before it had read to the end: {', '.join(short)}", hint="run it again")


@contextmanager
def _stopping_after(seconds: float | None, supervisor: Supervisor) -> Iterator[None]:
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, supervisor.drain)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
