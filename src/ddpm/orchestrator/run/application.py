"""One run of ddpm: from a configuration to engines that are watched until someone asks them to stop."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from contextlib import closing as closing_at_end
from dataclasses import dataclass, field

from ddpm import __version__
from ddpm.config.model import Config
from ddpm.deadletters.service import DeadLetterService
from ddpm.engine.launching import Launcher
from ddpm.engine.progress import Progress
from ddpm.errors import EngineError
from ddpm.observability import logging
from ddpm.observability.audit_log import Actor, AuditLog, Record, this_user
from ddpm.observability.profiling import profiling
from ddpm.observability.push import push
from ddpm.observability.recent import RecentLog
from ddpm.observability.systemd import Notifier
from ddpm.orchestrator.embedded import Endpoints, check_embedded, embedded_servers
from ddpm.orchestrator.launching.engines import PROFILES
from ddpm.orchestrator.launching.linting import Linter
from ddpm.orchestrator.look.newest import NewestRecords
from ddpm.orchestrator.prepare import DATA_DIR
from ddpm.orchestrator.run.checking import check_engines
from ddpm.orchestrator.run.datafolder import check_free, claim_folder, held
from ddpm.orchestrator.run.describe import descriptions
from ddpm.orchestrator.run.fleet import Fleet, Surroundings
from ddpm.orchestrator.run.launchers import check_launchers, launchers
from ddpm.orchestrator.run.pages import EnginePages
from ddpm.orchestrator.run.pipeline import PreparedPipeline
from ddpm.orchestrator.run.preparing import Preparations
from ddpm.orchestrator.run.reloads import BY_FILES, Reloads
from ddpm.orchestrator.run.service import Announcer
from ddpm.orchestrator.run.specs import spec_of
from ddpm.orchestrator.signals import SignalHandler, signal_handler
from ddpm.server.api import Sources
from ddpm.server.app import create
from ddpm.server.guard import access_policy
from ddpm.server.metrics import page
from ddpm.server.serve import address_of, listen, serving
from ddpm.server.tls import Certificates
from ddpm.server.views import Description
from ddpm.supervisor.events import EventFile, EventLog
from ddpm.supervisor.runner import Supervisor
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
    """What a run is given besides its configuration.

    Attributes:
        progress: Shown what takes long: downloads, builds.
        recent: The newest lines of the log, kept for those who ask over HTTP.
        stop_after: Drain by itself after so many seconds; None runs until a signal.
        provisioned: Called when topics and tables exist and no engine runs yet.
        started: Called when the engines have been handed to the supervisor.
        notifier: Notifies the service manager that started ddpm.
        reload: Loads the configuration as it is by then; None when that is not possible.
        watch: Reload whenever its files have changed.

    """

    progress: Progress
    recent: RecentLog
    stop_after: float | None = None
    provisioned: Callable[[Config], None] = lambda _: None
    started: Callable[[Started], None] = lambda _: None
    notifier: Notifier = field(default_factory=Notifier)
    reload: Callable[[], Config] | None = None
    watch: bool = False


def run(config: Config, options: RunOptions) -> None:
    """Run all pipelines of a configuration until they are asked to stop, or have done their bounded work.

    Raises:
        DdpmError: With the exit code that fits; nothing is left running or half-made.
        Interrupted: A signal ended the run by force, or before the engines were started.

    """
    Application(config, options).run()


class Application:
    """One run of ddpm.

    Args:
        config: What it runs.
        options: What it is given besides.

    Raises:
        DdpmError: It cannot run like this; nothing has been touched.

    """

    def __init__(self, config: Config, options: RunOptions) -> None:
        self._config = config
        self._options = options
        self._policy = access_policy(config.server)
        self._audit = AuditLog(DATA_DIR)
        tls = config.server.tls
        self._certificates = None if tls is None else Certificates(tls, self._record_renewal)
        check_embedded(config)
        # Before the port is bound: for a second ddpm in one folder the port in use is only a consequence.
        check_free(DATA_DIR)
        # It reads what was remembered, and so finds out what a newer ddpm wrote before anything is changed.
        events = EventLog(file=EventFile(DATA_DIR / "state" / "events.jsonl"))
        self._specs = [spec_of(pipeline) for pipeline in config.pipelines]
        self._supervisor = Supervisor(self._specs, events=events)
        self._letters = DeadLetterService(lambda: self._supervisor.draining)
        self._looks = NewestRecords()
        self._pages = EnginePages()
        self._about: dict[str, Description] = {}
        self._secrets: tuple[str, ...] = ()
        self._reloads = Reloads(
            config,
            options.reload,
            supervisor=self._supervisor,
            log_as=self._log_as,
            admit=self._admit,
            audit=self._audit,
            by_itself=options.watch,
        )

    def run(self) -> None:
        """Run it to its end; raises as the function `run` does."""
        with self._process() as (handler, listener):
            linter = Linter()
            binaries = check_engines(self._config, self._config.pipelines, linter, self._options.progress)
            with self._serving(listener) as url:
                self._supervisor.announce("the servers it needs are being prepared")
                with self._servers() as (endpoints, starting):
                    around = Surroundings(
                        endpoints,
                        linter,
                        self._supervisor,
                        self._letters,
                        self._pages,
                        self._about,
                        self._options.progress,
                    )
                    fleet = Fleet(self._config, around, binaries, starting)
                    self._supervise(fleet, handler, lambda: Started(self._config, url, endpoints))
            handler.raise_if_forced()
        self._conclude()

    @contextmanager
    def _process(self) -> Iterator[tuple[SignalHandler, socket.socket]]:
        """Signals, the port, profiles and the data folder are this run's."""
        config = self._config
        profiled = any(pipeline.profiling for pipeline in config.pipelines)
        with (
            signal_handler() as handler,
            listen(config.server.host, config.server.port) as listener,
            profiling(PROFILES) if profiled else nullcontext(),
            ExitStack() as holding,
        ):
            check_launchers(config)
            claim_folder(DATA_DIR)
            holding.enter_context(held(DATA_DIR, address_of(listener, tls=self._certificates is not None)))
            self._take_memories_over()
            holding.enter_context(self._recorded(handler))
            yield handler, listener

    @contextmanager
    def _recorded(self, handler: SignalHandler) -> Iterator[None]:
        """Record who starts this run, and what ends it."""
        self._audit.mask(self._config.secrets)
        about = {"version": __version__, "config": str(self._config.path), "digest": self._config.digest}
        self._audit.add(Record(Actor(this_user(), "local user"), "start ddpm", parameters=about))
        try:
            yield
        finally:
            by_signal = None if handler.stopped_by is None else Actor(handler.stopped_by, "signal")
            self._audit.add(Record(by_signal or Actor("ddpm", "ddpm"), "stop ddpm"))

    def _record_renewal(self, files: str) -> None:
        self._audit.add(Record(BY_FILES, "take renewed certificate", parameters={"files": files}))

    def _admit(self, config: Config) -> Callable[[], bool]:
        """Check who may come in by a configuration; what is returned lets them in, and says whether that is new."""
        policy = access_policy(config.server)

        def let_in() -> bool:
            before, self._policy = self._policy, policy
            return policy != before

        return let_in

    def _take_memories_over(self) -> None:
        """Pauses go along when sinks are run otherwise than before, as offsets do."""
        # What could not be kept is asked of the others again.
        kept = [spec.memory.take_over() for spec in self._specs]
        for spec in self._specs if all(kept) else ():
            spec.memory.forget_others()

    @contextmanager
    def _serving(self, listener: socket.socket) -> Iterator[str]:
        """The API, the console, probes and metrics; yields their address."""
        self._about.update(descriptions(self._config))
        closing = threading.Event()
        sources = Sources(
            self._supervisor,
            self._about,
            self._options.recent,
            closing.is_set,
            self._letters,
            self._reloads.changed,
            self._reloads,
            self._audit,
            self._looks,
        )
        app = create(sources, lambda: self._pages.fresh(self._supervisor), lambda: self._policy)
        with serving(app, listener, closing, self._certificates) as url:
            yield url

    @contextmanager
    def _servers(self) -> Iterator[tuple[Endpoints, Mapping[str, Launcher]]]:
        """The embedded servers, whose addresses the configuration has from then on, and what starts engines."""
        options = self._options
        with embedded_servers(self._config, options.progress) as endpoints, launchers(self._config) as starting:
            resolved = endpoints.resolve(self._config)
            if resolved != self._config:
                self._config = resolved
                self._about.update(descriptions(resolved))
            self._log_as(self._config)
            yield endpoints, starting

    def _log_as(self, config: Config) -> None:
        """Log as a configuration says; secrets of those before stay masked."""
        self._secrets = tuple(dict.fromkeys((*self._secrets, *config.secrets)))
        logger, recent = config.logger, self._options.recent
        logging.configure(logger.level, style=logger.format, secrets=self._secrets, recent=recent)
        self._audit.mask(self._secrets)

    def _supervise(self, fleet: Fleet, handler: SignalHandler, started: Callable[[], Started]) -> None:
        """Prepare all pipelines and keep them running until the end."""
        options, supervisor = self._options, self._supervisor
        self._looks.open(lambda: fleet.config)
        with fleet.preparations.going_on():
            launchables = fleet.begin()
            _announce_provisioned(self._config, options, fleet.preparations)
            handler.hand_over(supervisor, self._reloads.request)
            announcer = Announcer(options.notifier, supervisor)

            def ticked() -> None:
                announcer()
                self._reloads.ticked()

            with fleet.watched(), closing_at_end(self._letters), _stopping_after(options.stop_after, supervisor):
                options.started(started())
                with self._reloads.of(fleet):
                    supervisor.run(launchables, ticked)
        self._config = fleet.config

    def _conclude(self) -> None:
        _report(self._config, self._supervisor)
        _raise_if_failed(self._supervisor)
        _raise_if_cut_short(self._config, self._supervisor)


def _announce_provisioned(config: Config, options: RunOptions, preparations: Preparations[PreparedPipeline]) -> None:
    first = config.pipelines[0].name
    if preparations.get(first) is not None:
        options.provisioned(config)
    else:
        preparations.when_made(first, lambda _: options.provisioned(config))


def _report(config: Config, supervisor: Supervisor) -> None:
    """Push to the PushGateway what a bounded run has done; nobody could scrape it any more."""
    url = config.metrics.push_gateway
    bounded = {pipeline.name for pipeline in config.pipelines if pipeline.once}
    for status in supervisor.statuses():
        if url is not None and status.name in bounded:
            push(url.revealed, page([status], ()), {"job": "ddpm", "pipeline": status.name}, PUSH_TIMEOUT_SECONDS)


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
