"""One run of ddpm: from a configuration to engines that are watched until someone asks them to stop."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import structlog

from ddpm.catalogue import environment
from ddpm.config.model import Config, Pipeline
from ddpm.engine import binary as engine_binary
from ddpm.engine import launcher, probes
from ddpm.engine.progress import Progress
from ddpm.errors import ConfigError, EngineError
from ddpm.observability import logging
from ddpm.orchestrator.embedded import Endpoints, embedded_servers
from ddpm.orchestrator.prepare import generated_path, rendered, write
from ddpm.orchestrator.provision import Provisioned, provision
from ddpm.server.app import create
from ddpm.server.serve import listen, serving
from ddpm.supervisor.runner import Engine, Managed, Supervisor
from ddpm.supervisor.states import State


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
        stop_after: Drain by itself after so many seconds; None runs until a signal.
        provisioned: Called when topics and tables exist and no engine runs yet.
        started: Called when the engines have been handed to the supervisor.

    """

    progress: Progress
    stop_after: float | None = None
    provisioned: Callable[[Config], None] = lambda _: None
    started: Callable[[Started], None] = lambda _: None


class Interrupted(Exception):  # noqa: N818 -- a request, not a mistake
    """A signal asked ddpm to end before there was anything to drain, or a second one asked to force it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


def run(config: Config, options: RunOptions) -> None:
    """Run all pipelines of a configuration until they are asked to stop.

    Raises:
        DdpmError: With the exit code that fits; nothing is left running or half-made.
        Interrupted: A signal ended the run by force, or before the engines were started.

    """
    with _signals() as desk, listen(config.server.host, config.server.port) as listener:
        wanted = {pipeline.engine.binary for pipeline in config.pipelines}
        binaries = {binary: engine_binary.locate(binary, options.progress) for binary in wanted}
        # Before anything is made: a mistake in a mapping is the most common one.
        for pipeline in config.pipelines:
            if pipeline.profiling:
                structlog.get_logger().warning("app.profiling has no effect yet", pipeline=pipeline.name)
            _write_and_lint(binaries[pipeline.engine.binary], generated_path(pipeline), rendered(config, pipeline))
        with embedded_servers(config, options.progress) as endpoints:
            config = endpoints.resolve(config)
            logging.configure(config.logger.level, style=config.logger.format, secrets=config.secrets)
            managed = [
                _managed(config, pipeline, binaries[pipeline.engine.binary], provision(pipeline))
                for pipeline in config.pipelines
            ]
            options.provisioned(config)
            supervisor = Supervisor(managed)
            with serving(create(supervisor.statuses, probes.metrics), listener) as url:
                desk.hand_over(supervisor)
                with _stopping_after(options.stop_after, supervisor):
                    options.started(Started(config, url, endpoints))
                    supervisor.run()
        desk.raise_if_forced()
    _raise_if_failed(supervisor)


def _managed(config: Config, pipeline: Pipeline, binary: Path, provisioned: Provisioned) -> Managed:
    log = structlog.get_logger().bind(pipeline=pipeline.name)
    path = generated_path(pipeline)
    text = rendered(config, pipeline)
    env = {environment.SOURCES: provisioned.sources_json}
    if pipeline.postgres is not None:
        env[environment.POSTGRES_DSN] = pipeline.postgres.url
    spec = launcher.EngineSpec(binary, path, env, pipeline.engine.drain, pipeline.engine.memory_limit)

    def launch() -> Engine:
        _write_and_lint(binary, path, text)
        process = launcher.launch(spec, lambda line: _relay(log, line))
        log.info("engine started", pid=process.pid, config=str(path))
        return process

    return Managed(pipeline.name, launch, lambda engine: probes.ready(engine.port), pipeline.engine.drain)


def _write_and_lint(binary: Path, path: Path, text: str) -> None:
    write(text, path)
    problems = engine_binary.lint(binary, path)
    if problems:
        msg = f"the engine does not accept {path}:\n  " + "\n  ".join(problems)
        raise ConfigError(msg, hint="look at app.processors and app.pipeline_template")


_LOG_METHODS = {"trace": "debug", "debug": "debug", "info": "info", "warn": "warning", "warning": "warning"}


def _relay(log: structlog.stdlib.BoundLogger, line: launcher.LogLine) -> None:
    fields = {name: value for name, value in line.fields.items() if name not in ("event", "pipeline")}
    getattr(log, _LOG_METHODS.get(line.level, "error"))(line.message, **fields)


def _raise_if_failed(supervisor: Supervisor) -> None:
    failed = [status for status in supervisor.statuses() if status.state is State.FAILED]
    if failed:
        raise EngineError("\n".join(f"pipeline {status.name} failed: {status.reason}" for status in failed))


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


class _SignalDesk:
    """What a signal means at the moment: an interruption while starting, a drain while running, then force."""

    def __init__(self) -> None:
        self._supervisor: Supervisor | None = None
        self._asked = False
        self._forced_by: int | None = None

    def hand_over(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def raise_if_forced(self) -> None:
        if self._forced_by is not None:
            raise Interrupted(self._forced_by)

    def __call__(self, signum: int, _frame: FrameType | None) -> None:
        if self._supervisor is None:
            if self._asked:
                return  # being cleaned up already
            self._asked = True
            raise Interrupted(signum)
        if not self._asked:
            self._asked = True
            self._supervisor.drain()
        else:
            self._forced_by = signum
            self._supervisor.force()


@contextmanager
def _signals() -> Iterator[_SignalDesk]:
    desk = _SignalDesk()
    before = {signum: signal.signal(signum, desk) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield desk
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
