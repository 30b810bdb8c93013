"""What every embedded server has in common: its data folder, its port, its life; what runs is the subclass's affair."""

import signal
from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from ddpm.devstack.ownership import Claim
from ddpm.devstack.ports import choose
from ddpm.devstack.processes import Server, ServerCommand
from ddpm.engine.progress import Progress, Silent
from ddpm.errors import MissingToolError, ServiceError

STOP_SECONDS = 10.0

_ATTEMPTS = 3
_PORT_TAKEN = "Address already in use"


class EmbeddedServer(ABC):
    """One server process on the loopback interface; as a context manager it runs inside the block.

    It ends with the ddpm that started it, however that ends. Its data survives restarts, also on another port.
    """

    crash_signal = signal.SIGKILL
    start_seconds = 90.0

    def __init__(self, title: str, data_dir: Path, log: str, port: int | None, progress: Progress | None) -> None:
        self.title = title
        self.data_dir = data_dir.resolve()
        self.log = self.data_dir / log
        self._preferred = port
        self._progress = progress or Silent()
        self._claim: Claim | None = None
        self._server: Server | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port it listens on, kept from one start to the next if it stays free; 0 before the first."""
        return self._port

    @property
    def pid(self) -> int | None:
        """The server's process id, None when it does not run."""
        return self._server.pid if self._server is not None and self._server.running else None

    def start(self) -> None:
        """Start it and return when it answers clients; what a killed run has left on its data is ended before.

        Raises:
            MissingToolError: A program cannot be had or cannot run here, or another ddpm uses the data folder.
            ServiceError: The server did not come up; shows the end of its log.

        """
        if self.pid is not None:
            return
        if self._claim is None:
            self._claim = Claim(self.data_dir, self.title)
        try:
            self._prepare()
            self._start_on_some_port()
        except OSError as error:
            self._let_go()
            msg = f"{self.title} cannot use its data folder {self.data_dir}: {error}"
            raise MissingToolError(msg, hint="free or correct what it names; `ddpm reset` makes a new start") from error
        except BaseException:
            self._let_go()
            raise

    def stop(self) -> None:
        """End it in an orderly way, by force after ten seconds."""
        try:
            if self._server is not None:
                self._server.stop(STOP_SECONDS)
        finally:
            self._let_go()

    def kill(self) -> None:
        """End all of its processes with SIGKILL; the right to the data folder is kept for the next `start`."""
        if self._server is not None:
            self._server.kill()
            self._server = None

    def restart(self, *, immediate: bool = False) -> None:
        """End it, as a crash would if `immediate`, and start it again on the same port."""
        if self._server is not None:
            if immediate:
                self._server.kill(self.crash_signal)
            else:
                self._server.stop(STOP_SECONDS)
            self._server = None
        self.start()

    def suspend(self) -> None:
        """Freeze all of its processes: connections stay open, and nothing answers."""
        self._running().suspend()

    def resume(self) -> None:
        """Let it go on after `suspend`."""
        self._running().resume()

    @abstractmethod
    def _prepare(self) -> None:
        """Make everything ready for a start, and end what is left of an earlier run."""

    @abstractmethod
    def _command(self, port: int) -> ServerCommand:
        """The command that runs the server on `port`."""

    @abstractmethod
    def _answers(self, port: int) -> bool:
        """Whether the server on `port` serves clients."""

    def _running(self) -> Server:
        if self._server is None:
            msg = f"{self.title} does not run"
            raise ServiceError(msg)
        return self._server

    def _start_on_some_port(self) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            self._port = choose(self._port or self._preferred)
            # Known from now on, so that it can be killed while it does not answer yet.
            server = self._server = Server(self._command(self._port))
            try:
                server.wait_until(partial(self._is_ready, server), self.start_seconds)
            except BaseException as error:
                server.kill()
                self._server = None
                # Somebody else may take a port between choosing and binding it.
                if attempt == _ATTEMPTS or not isinstance(error, ServiceError) or _PORT_TAKEN not in str(error):
                    raise
            else:
                return

    def _is_ready(self, server: Server) -> bool:
        # Who took the port in between may answer just the same.
        return self._answers(self._port) and server.listens_on(self._port)

    def _let_go(self) -> None:
        self._server = None
        if self._claim is not None:
            self._claim.release()
            self._claim = None
