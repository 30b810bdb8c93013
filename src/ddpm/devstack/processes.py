"""Starting, watching and ending the processes of one embedded server; knows nothing of Kafka or Postgres."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddpm.errors import MissingToolError, ServiceError, install_hint

if TYPE_CHECKING:
    import psutil

_GUARD = Path(__file__).with_name("guard.py")
_LINES_OF_LOG = 15
_LOG_LIMIT = 20_000_000
_KILL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """What to run: the command, where, as whom (uid, gid; None = as ddpm), and how it is asked to stop."""

    title: str
    argv: Sequence[str]
    cwd: Path
    log: Path
    env: Mapping[str, str]
    stop_signal: signal.Signals
    user: tuple[int, int] | None = None
    grace: float = 5.0


class Server:
    """A server process with its guard: it ends with ddpm, however that ends, and never by the terminal's Ctrl-C."""

    def __init__(self, command: ServerCommand) -> None:
        """Start it.

        Raises:
            MissingToolError: The program could not be started.

        """
        self._command = command
        _rotate(command.log)
        self._log_offset = _size(command.log)
        self._guard = _start_guard(command)
        self._process = self._read_process()

    @property
    def pid(self) -> int:
        """The process id of the server itself."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._guard.poll() is None

    def wait_until(self, ready: Callable[[], bool], timeout: float) -> None:
        """Return as soon as `ready` says yes.

        Raises:
            ServiceError: The server ended before, or `timeout` seconds went by; shows the end of its log.

        """
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running:
                raise self.failure(f"ended with exit code {self._guard.returncode} while starting")
            if time.monotonic() > deadline:
                raise self.failure(f"did not answer within {timeout:.0f} s")
            time.sleep(0.05)

    def failure(self, what: str) -> ServiceError:
        """An error about this server that shows the last lines of its log."""
        tail = "\n".join(f"    {line}" for line in self.log_since_start().splitlines()[-_LINES_OF_LOG:])
        return ServiceError(
            f"{self._command.title} {what}; its log {self._command.log} ends with:\n{tail or '    (nothing)'}"
        )

    def log_since_start(self) -> str:
        """What this run has written."""
        with suppress(OSError), self._command.log.open("rb") as log:
            log.seek(self._log_offset)
            return log.read().decode(errors="replace").strip()
        return ""

    def listens_on(self, port: int) -> bool:
        """Whether it is this server that listens on a port; taken on trust where that may not be looked at."""
        for process in self._members():
            try:
                listening = (each for each in process.net_connections("tcp") if each.status == _psutil().CONN_LISTEN)
                if any(each.laddr.port == port for each in listening):
                    return True
            except _psutil().AccessDenied:
                return True
            except _psutil().NoSuchProcess:
                continue
        return False

    def stop(self, timeout: float) -> None:
        """Ask it to end, and end it by force when `timeout` seconds were not enough; returns when nothing runs."""
        self.resume()
        _send([self._process], self._command.stop_signal)
        try:
            self._guard.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._release()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send `number`, a signal that ends it at once, and return when nothing of it runs."""
        members = self._members()
        _send(members if number == signal.SIGKILL else [self._process], number)
        await_end(members, _KILL_SECONDS)
        self._guard.wait(_KILL_SECONDS)
        self._release()

    def suspend(self) -> None:
        """Freeze all of its processes: connections stay open, nothing answers."""
        _send([self._process], signal.SIGSTOP)
        _send(self._members(), signal.SIGSTOP)

    def resume(self) -> None:
        """Let frozen processes go on."""
        _send(self._members(), signal.SIGCONT)

    def _read_process(self) -> "psutil.Process":
        assert self._guard.stdout is not None  # noqa: S101 -- a pipe was asked for
        with self._guard.stdout as answer:
            said = answer.readline().strip()
        try:
            process: psutil.Process = _psutil().Process(int(said))
        except ValueError:
            self._guard.wait(_KILL_SECONDS)
            self._release()
            msg = f"{self._command.title} could not be started: {said.removeprefix('error: ')}"
            raise MissingToolError(msg) from None
        except _psutil().NoSuchProcess:
            self._guard.wait(_KILL_SECONDS)
            self._release()
            raise self.failure(f"ended at once with exit code {self._guard.returncode}") from None
        return process

    def _members(self) -> "list[psutil.Process]":
        with suppress(_psutil().NoSuchProcess):
            return [self._process, *self._process.children(recursive=True)]
        return [self._process]

    def _release(self) -> None:
        if self._guard.stdin is not None:
            self._guard.stdin.close()


def find_processes(belongs: "Callable[[psutil.Process], bool]") -> "list[psutil.Process]":
    """The processes of this machine for which `belongs` says yes, without the children of those.

    Processes that may not be looked at are left out.
    """
    found = {}
    for process in _psutil().process_iter():
        with suppress(_psutil().Error, OSError):
            if belongs(process):
                found[process.pid] = process
    return [process for process in found.values() if _parent(process) not in found]


def end_processes(processes: "Sequence[psutil.Process]", stop_signal: signal.Signals, grace: float) -> None:
    """End exactly these processes: `stop_signal`, then after `grace` seconds by force, also for their children.

    Returns when all of them are gone.
    """
    members = list(processes)
    for process in processes:
        with suppress(_psutil().NoSuchProcess):
            members += process.children(recursive=True)
    _send(members, signal.SIGCONT)
    _send(processes, stop_signal)
    _, alive = _psutil().wait_procs(members, timeout=grace)
    _send(alive, signal.SIGKILL)
    await_end(alive, _KILL_SECONDS)


def _send(processes: "Iterable[psutil.Process]", number: signal.Signals) -> None:
    for process in processes:
        # psutil compares the time of creation, so a process that merely got the same number is left alone.
        with suppress(_psutil().NoSuchProcess):
            process.send_signal(number)


def _parent(process: "psutil.Process") -> int:
    with suppress(_psutil().NoSuchProcess):
        return int(process.ppid())
    return 0


def await_end(processes: "Sequence[psutil.Process]", timeout: float) -> None:
    """Return when none of the processes runs any more.

    Raises:
        ServiceError: One is still there after `timeout` seconds.

    """
    deadline = time.monotonic() + timeout
    alive = list(processes)
    while alive := [process for process in alive if _runs(process)]:
        if time.monotonic() > deadline:
            pids = ", ".join(str(process.pid) for process in alive)
            msg = f"process {pids} could not be ended within {timeout:.0f} s"
            raise ServiceError(msg)
        time.sleep(0.02)


def _runs(process: "psutil.Process") -> bool:
    with suppress(_psutil().NoSuchProcess):
        return bool(process.is_running() and process.status() != _psutil().STATUS_ZOMBIE)
    return False


def _start_guard(command: ServerCommand) -> "subprocess.Popen[str]":
    spec = {
        "argv": list(command.argv),
        "cwd": str(command.cwd),
        "log": str(command.log),
        "user": command.user,
        "stop_signal": int(command.stop_signal),
        "grace": command.grace,
    }
    return subprocess.Popen(
        [sys.executable, "-P", str(_GUARD), json.dumps(spec)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # The server inherits it from the guard: as an argument anybody could read it in the list of processes.
        env=dict(command.env),
        start_new_session=True,
    )


def clean_environment(*foreign: str) -> dict[str, str]:
    """ddpm's environment without the variables whose names begin like one of `foreign`."""
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def _psutil() -> Any:  # noqa: ANN401 -- the module itself
    try:
        import psutil
    except ImportError as error:
        msg = "the embedded servers need the package psutil, and it is not installed"
        raise MissingToolError(msg, hint=install_hint("embedded")) from error
    return psutil


def _rotate(log: Path) -> None:
    if _size(log) > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
