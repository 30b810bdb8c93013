"""Starts an engine in a container and ends it; says nothing about when.

All that is asked of Docker is asked by threads of the engine's own, so a Docker that hangs delays nothing.

What must not be seen goes in over the container's standard input, which `docker inspect` does not show. That is also
its lifeline: Docker closes it when ddpm is gone in whatever way, and the engine drains and ends by itself.
"""

import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from ddpm.config.model import HOST_NETWORK, Container
from ddpm.contract import Env
from ddpm.engine.docker_host import (
    ContainerGoneError,
    ContainerSpec,
    ContainerState,
    DockerAwayError,
    DockerHost,
    Pipe,
    handover,
    in_container,
)
from ddpm.engine.launching import KEPT_LINES, LAST_WORDS_SECONDS, EngineSpec, OnLog, parse_log_line, what_kept_it
from ddpm.engine.process import free_port
from ddpm.errors import DdpmError, MissingToolError

OWNER_LABEL = "ddpm.owner"
PIPELINE_LABEL = "ddpm.pipeline"
REPLICA_LABEL = "ddpm.replica"

CONFIG_IN_CONTAINER = "/etc/ddpm/engine.yaml"
PORT_IN_CONTAINER = 4195
LOOK_SECONDS = 2.0
AWAY_SECONDS = 2.0
RECONNECT_SECONDS = 0.5
CLOSE_SECONDS = 15.0
CLEAR_UP_SECONDS = 600.0

_STDIN = "0"
# A shell's convention, which Docker follows: 128 plus the number of the signal.
_SIGNALLED = 128
_MOST_SIGNALS = 64
_KILLED = -9


@dataclass(frozen=True, slots=True)
class ContainerContext:
    """Where the engines of one pipeline live.

    Attributes:
        settings: `app.engine.container`.
        owner: Names this ddpm, over its restarts.
        pipeline: The pipeline's name.
        env: Variables for mappings.
        files: Files that the configuration names.

    """

    settings: Container
    owner: str
    pipeline: str
    env: Mapping[str, str]
    files: Sequence[Path]


class ContainerLauncher:
    """Starts the engines of one pipeline in containers."""

    def __init__(self, context: ContainerContext) -> None:
        self._context = context
        self._engines: list[ContainerEngine] = []

    def launch(self, spec: EngineSpec, replica: int, on_log: OnLog) -> "ContainerEngine":
        """Start one; it comes up by itself, and when it cannot it has ended and says why."""
        self._engines = [engine for engine in self._engines if engine.busy()]
        engine = ContainerEngine(self._context, spec, replica, on_log)
        self._engines.append(engine)
        return engine

    def close(self) -> None:
        """End what still runs; what Docker does not let end now ends by its lifeline."""
        for engine in self._engines:
            engine.kill()
        deadline = time.monotonic() + CLOSE_SECONDS
        for engine in self._engines:
            engine.join(max(0.0, deadline - time.monotonic()))


class ContainerEngine:
    """An engine in a container of its own: comes up, is looked after and is removed by a thread of its own."""

    def __init__(self, context: ContainerContext, spec: EngineSpec, replica: int, on_log: OnLog) -> None:
        self.container: str | None = None
        self.pid: int | None = None
        self.url: str | None = None
        self._context = context
        self._spec = spec
        self._replica = replica
        self._on_log = on_log
        self._tail: deque[str] = deque(maxlen=KEPT_LINES)
        self._wanted: str | None = None
        self._wake = threading.Event()
        self._over = threading.Event()
        self._exit_code: int | None = None
        self._ending: str | None = None
        self._trouble: str | None = None
        self._was_away = False
        self._docker: DockerHost | None = None
        self._lifeline: Pipe | None = None
        self._made: list[str] = []
        name = f"engine {context.pipeline} {replica}"
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    def exit_code(self) -> int | None:
        """None while it runs, then the exit code; negative for the signal that ended it."""
        return self._exit_code

    def ending(self) -> str | None:
        """How it ended, when there is more to say than its exit code does."""
        return self._ending

    def trouble(self) -> str | None:
        """Why Docker cannot be asked about it at the moment."""
        return self._trouble

    def terminate(self) -> None:
        """Ask it to finish what is in flight and end."""
        self._wanted = self._wanted or "SIGTERM"
        self._wake.set()

    def kill(self) -> None:
        """End it at once."""
        self._wanted = "SIGKILL"
        self._wake.set()

    def last_lines(self) -> tuple[str, ...]:
        """The last lines it wrote, oldest first."""
        return tuple(self._tail)

    def busy(self) -> bool:
        """Whether it runs, or its container is still to be removed."""
        return self._thread.is_alive()

    def join(self, seconds: float) -> None:
        """Wait until it has ended and its container is removed."""
        self._thread.join(seconds)

    # --- in its own thread

    def _live(self) -> None:
        code, ending = 1, None
        try:
            container = self._begin()
            code, ending = (0, None) if container is None else self._look_after(container)
        except DdpmError as error:
            ending = f"engine not started: {error.message}"
        except Exception as error:  # noqa: BLE001 -- an engine whose thread ends without a word would seem to run
            ending = f"engine lost: {error!r}"
        self._cut_lifeline()
        self._trouble, self._ending, self._exit_code = None, ending, code
        self._clear_up()

    def _cut_lifeline(self) -> None:
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None

    def _clear_up(self) -> None:
        """Remove what it made; what cannot be removed is found at the next start."""
        deadline = time.monotonic() + CLEAR_UP_SECONDS
        while self._made and time.monotonic() < deadline:
            try:
                docker = self._docker = self._docker or DockerHost(self._context.settings.docker)
                docker.remove(self._made[-1])
                self._made.pop()
            except DockerAwayError:
                self._let_docker_go()
                time.sleep(AWAY_SECONDS)
            except DdpmError:
                break
        self._let_docker_go()

    def _begin(self) -> str | None:
        """Start the container and return its id, as soon as Docker answers; None when that is not wanted any more."""
        while self._wanted is None:
            try:
                return self._start()
            except DockerAwayError as error:
                self._trouble = error.message
                self._let_docker_go()
                self._wake.wait(AWAY_SECONDS)
        return None

    def _start(self) -> str:
        docker = self._docker = DockerHost(self._context.settings.docker)
        self._cut_lifeline()
        wanted = self._container_spec()
        container = docker.create(wanted)
        self._made.append(container)
        docker.fill(container, {CONFIG_IN_CONTAINER: self._spec.config.read_bytes(), **_contents(self._context.files)})
        self._lifeline = docker.start(container)
        self._lifeline.write(handover({**self._context.env, **self._spec.env}))
        self.url = self._reached_at(docker, container, wanted.port)
        self.container, self._trouble = wanted.name, None
        return container

    def _let_docker_go(self) -> None:
        if self._docker is not None:
            self._docker.close()
            self._docker = None

    def _container_spec(self) -> ContainerSpec:
        settings, spec = self._context.settings, self._spec
        on_host = settings.network == HOST_NETWORK
        port = free_port() if on_host else PORT_IN_CONTAINER
        command = ["-c", CONFIG_IN_CONTAINER]
        if not on_host:
            command += ["--set", f"http.address=0.0.0.0:{port}"]
        env = {
            "GOMEMLIMIT": str(spec.memory_limit),
            Env.ENGINE_PORT: str(port),
            Env.HANDOVER_FD: _STDIN,
            Env.LIFELINE_FD: _STDIN,
            Env.LIFELINE_GRACE: str(spec.drain),
        }
        if settings.cpus is not None:
            env["GOMAXPROCS"] = str(max(1, ceil(settings.cpus)))
        return ContainerSpec(
            name=f"ddpm-{self._context.pipeline}-{self._replica}-{uuid.uuid4().hex[:8]}",
            image=settings.image,
            command=command,
            env=env,
            labels={
                OWNER_LABEL: self._context.owner,
                PIPELINE_LABEL: self._context.pipeline,
                REPLICA_LABEL: str(self._replica),
            },
            network=settings.network,
            port=port,
            memory=settings.memory,
            cpus=settings.cpus,
            user=settings.user,
            folder=None if spec.folder is None else str(spec.folder),
        )

    def _reached_at(self, docker: DockerHost, container: str, port: int) -> str | None:
        network = self._context.settings.network
        if network == HOST_NETWORK:
            return f"http://127.0.0.1:{port}"
        found = docker.published(container, port, network, inside=in_container())
        return f"http://{found[0]}:{found[1]}" if found else None

    def _look_after(self, container: str) -> tuple[int, str | None]:
        relay = threading.Thread(target=self._relay, args=(container,), name=f"log of {self.container}", daemon=True)
        relay.start()
        try:
            state = self._await_end(container)
        except ContainerGoneError:
            return _KILLED, "the engine's container was removed"
        finally:
            self._over.set()
            relay.join(LAST_WORDS_SECONDS)
        return self._ended(state)

    def _await_end(self, container: str) -> ContainerState:
        obeyed: str | None = None
        while True:
            wanted = self._wanted
            try:
                docker = self._docker = self._docker or DockerHost(self._context.settings.docker)
                if wanted is not None and wanted != obeyed:
                    docker.signal(container, wanted)
                    obeyed = wanted
                state = docker.state(container)
                self._trouble, self.pid = None, state.pid
                if not state.running:
                    return state
                # One that ended meanwhile has no address any more.
                self._was_away = False
            except DockerAwayError as error:
                self._trouble, self._was_away = error.message, True
                self._let_docker_go()
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()

    def _ended(self, state: ContainerState) -> tuple[int, str | None]:
        code, limit = state.exit_code, self._context.settings.memory
        if _SIGNALLED < code <= _SIGNALLED + _MOST_SIGNALS:
            code = _SIGNALLED - code
        if state.out_of_memory and limit is not None:
            return code, f"the engine needed more memory than its container may have, {limit} bytes, and was killed"
        if self._was_away:
            return code, "Docker was away, and the engine ended with it"
        return code, what_kept_it(tuple(self._tail)) if code > 0 else None

    # --- in the thread of its log

    def _relay(self, container: str) -> None:
        since: float | None = None
        while True:
            last = self._over.is_set()
            docker: DockerHost | None = None
            with suppress(DdpmError):
                docker = DockerHost(self._context.settings.docker)
                for text in docker.lines(container, since):
                    since = time.time()
                    self._take(text.rstrip())
            if docker is not None:
                docker.close()
            # The end of its log is as a rule its own end.
            self._wake.set()
            if last:
                return
            self._over.wait(RECONNECT_SECONDS)

    def _take(self, text: str) -> None:
        if text:
            line = parse_log_line(text)
            self._tail.append(f"{line.level}: {line.message}")
            self._on_log(line)


def end_leftovers(address: str | None, owner: str, grace: float) -> tuple[str, ...]:
    """End the engines that an earlier run of the same ddpm left behind; returns the names of their containers.

    Args:
        address: Of the Docker daemon, as configured.
        owner: Names this ddpm.
        grace: How long they may take to finish what is in flight, in seconds.

    Raises:
        DdpmError: Docker does not answer, or refuses.

    """
    docker = DockerHost(address)
    try:
        found = docker.labelled({OWNER_LABEL: owner})
        for container in found:
            with suppress(ContainerGoneError):
                docker.signal(container, "SIGTERM")
        deadline = time.monotonic() + grace
        for container in found:
            while _runs(docker, container) and time.monotonic() < deadline:
                time.sleep(RECONNECT_SECONDS)
            docker.remove(container)
    finally:
        docker.close()
    return tuple(found.values())


def check(settings: Container) -> None:
    """Raise an error unless Docker answers and has image and network."""
    docker = DockerHost(settings.docker)
    try:
        docker.check(settings.image, settings.network)
    finally:
        docker.close()


def _runs(docker: DockerHost, container: str) -> bool:
    try:
        return docker.state(container).running
    except ContainerGoneError:
        return False


def _contents(files: Sequence[Path]) -> dict[str, bytes]:
    contents = {}
    for path in files:
        try:
            contents[str(path.absolute())] = path.read_bytes()
        except OSError as error:
            msg = f"the file {path} cannot be read: {error.strerror}"
            raise MissingToolError(msg, hint="correct app.engine.container.files") from error
    return contents
