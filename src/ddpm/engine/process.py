"""Starts an engine as a process of its own and ends it; says nothing about when.

The engine runs in its own session, so the terminal's Ctrl-C does not reach it and its end is ddpm's decision. It
holds the reading end of a pipe whose writing end only ddpm has: when ddpm dies in whatever way, the pipe closes and
the engine drains and ends by itself.
"""

import os
import signal
import socket
import subprocess
import threading
from collections import deque
from pathlib import Path
from typing import IO, Literal

from ddpm.config.paths import absolute_in_environment
from ddpm.contract import Env
from ddpm.engine.launching import KEPT_LINES, LAST_WORDS_SECONDS, EngineSpec, OnLog, parse_log_line, what_kept_it
from ddpm.errors import MissingToolError


class EngineProcess:
    """A running engine: its pid, the address of its own HTTP server, and its end."""

    container = None

    def __init__(self, popen: "subprocess.Popen[bytes]", port: int, lifeline: int, on_log: OnLog) -> None:
        self._popen = popen
        self._lifeline = lifeline
        self._tail: deque[str] = deque(maxlen=KEPT_LINES)
        self._pump = threading.Thread(target=self._relay, args=(on_log,), name=f"engine-log-{popen.pid}", daemon=True)
        self._pump.start()
        self.url = f"http://127.0.0.1:{port}"

    @property
    def stdin(self) -> IO[bytes] | None:
        """Where to write what it reads; None unless it was launched with pipes."""
        return self._popen.stdin

    @property
    def stdout(self) -> IO[bytes] | None:
        """Where to read what it writes; None unless it was launched with pipes."""
        return self._popen.stdout

    @property
    def pid(self) -> int:
        """The process id, which is also the id of the engine's process group."""
        return self._popen.pid

    def exit_code(self) -> int | None:
        """None while it runs, then the exit code; negative for the signal that ended it."""
        code = self._popen.poll()
        if code is not None:
            self._let_go()
        return code

    def ending(self) -> str | None:
        """What kept it from starting, where it said so; else its exit code says it all."""
        return what_kept_it(self.last_lines()) if self._popen.poll() else None

    def trouble(self) -> str | None:
        """Nothing stands between ddpm and a process."""
        return None

    def last_lines(self) -> tuple[str, ...]:
        """The last lines it wrote, oldest first; of an engine that has ended, all of its last words."""
        if self._popen.poll() is not None:
            self._pump.join(LAST_WORDS_SECONDS)
        return tuple(self._tail)

    def terminate(self) -> None:
        """Ask it to finish what is in flight and end."""
        if self._popen.poll() is None:
            self._popen.terminate()

    def kill(self) -> None:
        """End the whole process group at once."""
        if self._popen.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout: float) -> int:
        """Wait up to `timeout` seconds for its end; raises `subprocess.TimeoutExpired`."""
        code = self._popen.wait(timeout)
        self._let_go()
        return code

    def _relay(self, on_log: OnLog) -> None:
        assert self._popen.stderr is not None  # noqa: S101 -- a pipe was asked for
        with self._popen.stderr as stream:
            for raw in stream:
                text = raw.decode("utf-8", "replace").rstrip()
                if text:
                    line = parse_log_line(text)
                    self._tail.append(f"{line.level}: {line.message}")
                    on_log(line)

    def _let_go(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


class ProcessLauncher:
    """Starts engines as processes of this machine."""

    def launch(self, spec: EngineSpec, replica: int, on_log: OnLog) -> EngineProcess:
        """Start one; raises MissingToolError when the binary cannot be executed."""
        return launch(spec, on_log)

    def close(self) -> None:
        """Nothing is held: who started a process ends it, and its lifeline does where that fails."""


def launch(spec: EngineSpec, on_log: OnLog, *, pipes: Literal["none", "input", "both"] = "none") -> EngineProcess:
    """Start an engine.

    Args:
        spec: What to run.
        on_log: Called with every line the engine writes on its standard error, from a thread of its own.
        pipes: Whether its standard input, or input and output, are the caller's; else it reads nothing and writes to
            ddpm's own output.

    Raises:
        MissingToolError: The binary cannot be executed.

    """
    port = free_port()
    read_end, write_end = os.pipe()
    try:
        popen = subprocess.Popen(
            [_absolute(spec.binary), "-c", spec.config.absolute()],
            cwd=spec.folder,
            env=_environment(spec, port, read_end),
            pass_fds=(read_end,),
            start_new_session=True,
            stdin=subprocess.DEVNULL if pipes == "none" else subprocess.PIPE,
            stdout=subprocess.PIPE if pipes == "both" else None,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        os.close(write_end)
        msg = f"the engine {spec.binary} cannot be started: {error.strerror}"
        raise MissingToolError(msg, hint="build it with `ddpm engine install`, or correct app.engine.binary") from error
    finally:
        os.close(read_end)
    try:
        return EngineProcess(popen, port, write_end, on_log)
    except RuntimeError:  # no thread to be had
        popen.kill()
        popen.wait()
        os.close(write_end)
        raise


def _absolute(binary: Path) -> Path:
    """The engine works in another folder; a bare name is looked for on PATH as before."""
    return binary.absolute() if binary.is_file() else binary


def _environment(spec: EngineSpec, port: int, lifeline: int) -> dict[str, str]:
    # ddpm's own settings are none of the engine's business; a user's variables are, mappings may read them.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DDPM_")}
    return absolute_in_environment(inherited) | {
        "GOMEMLIMIT": str(spec.memory_limit),
        Env.ENGINE_PORT: str(port),
        Env.LIFELINE_FD: str(lifeline),
        Env.LIFELINE_GRACE: str(spec.drain),
        **spec.env,
    }


def free_port() -> int:
    """A loopback port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
