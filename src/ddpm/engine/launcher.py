"""Starts an engine as a process of its own and ends it; says nothing about when.

The engine runs in its own session, so the terminal's Ctrl-C does not reach it and its end is ddpm's decision. It
holds the reading end of a pipe whose writing end only ddpm has: when ddpm dies in whatever way, the pipe closes and
the engine drains and ends by itself.
"""

import json
import os
import signal
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from ddpm.catalogue import environment
from ddpm.errors import MissingToolError

KEPT_LINES = 20
LAST_WORDS_SECONDS = 1.0

_LEASH_FD = "DDPM_LEASH_FD"
_LEASH_GRACE = "DDPM_LEASH_GRACE"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that an engine wrote: its level in lower case, its text, and the engine's own fields."""

    level: str
    message: str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """All that is needed to start one engine.

    `env` holds what must not stand in the configuration; `drain` is in seconds, `memory_limit` in bytes.
    """

    binary: Path
    config: Path
    env: Mapping[str, str] = field(repr=False)
    drain: float
    memory_limit: int


class EngineProcess:
    """A running engine: its pid, the port of its own HTTP server, and its end."""

    def __init__(
        self, popen: "subprocess.Popen[bytes]", port: int, leash: int, on_log: Callable[[LogLine], None]
    ) -> None:
        self._popen = popen
        self._leash = leash
        self._tail: deque[str] = deque(maxlen=KEPT_LINES)
        self._pump = threading.Thread(target=self._relay, args=(on_log,), name=f"engine-log-{popen.pid}", daemon=True)
        self._pump.start()
        self.port = port

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

    def _relay(self, on_log: Callable[[LogLine], None]) -> None:
        assert self._popen.stderr is not None  # noqa: S101 -- a pipe was asked for
        with self._popen.stderr as stream:
            for raw in stream:
                text = raw.decode("utf-8", "replace").rstrip()
                if text:
                    line = parse_log_line(text)
                    self._tail.append(f"{line.level}: {line.message}")
                    on_log(line)

    def _let_go(self) -> None:
        if self._leash >= 0:
            os.close(self._leash)
            self._leash = -1


def launch(
    spec: EngineSpec, on_log: Callable[[LogLine], None], *, pipes: Literal["none", "input", "both"] = "none"
) -> EngineProcess:
    """Start an engine.

    Args:
        spec: What to run.
        on_log: Called with every line the engine writes on its standard error, from a thread of its own.
        pipes: Whether its standard input, or input and output, are the caller's; else it reads nothing and writes to
            ddpm's own output.

    Raises:
        MissingToolError: The binary cannot be executed.

    """
    port = _free_port()
    read_end, write_end = os.pipe()
    try:
        popen = subprocess.Popen(
            [spec.binary, "-c", spec.config],
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


def _environment(spec: EngineSpec, port: int, leash: int) -> dict[str, str]:
    # ddpm's own settings are none of the engine's business; a user's variables are, mappings may read them.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DDPM_")}
    return inherited | {
        "GOMEMLIMIT": str(spec.memory_limit),
        environment.ENGINE_PORT: str(port),
        _LEASH_FD: str(leash),
        _LEASH_GRACE: str(spec.drain),
        **spec.env,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def parse_log_line(text: str) -> LogLine:
    """One line of the engine's standard error; whatever is not its JSON (a panic, say) is an error as it stands."""
    try:
        entry = json.loads(text)
        level, message = entry.pop("level"), entry.pop("msg")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return LogLine("error", text, {})
    entry.pop("time", None)
    return LogLine(str(level).lower(), str(message), entry)
