"""Runs one server as its child and ends it when the ddpm that asked for it is gone.

This is a program of its own, started as `python guard.py <JSON>`, and must not import anything of ddpm. Its standard
input is a pipe whose other end only that ddpm holds: the kernel closes it however that process ends. A pipe rather
than Linux's parent-death signal, because that one fires when the *thread* that started the child ends. The signal is
used one level deeper, where the main thread starts the child and lives as long as the guard, in case the guard itself
is killed.

JSON: argv, cwd, log (path, appended to), user ([uid, gid] or null), stop_signal, grace (seconds).
Standard output: one line, the server's process id, or `error: ` and why it could not be started.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the server until it ends or standard input closes; return its exit code."""
    spec = json.loads(sys.argv[1])
    # The terminal's Ctrl-C cannot reach this session; a stray signal must not leave the server without its guard.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        server = _start(spec)
    except (OSError, subprocess.SubprocessError) as error:
        sys.stdout.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.close()
    return _watch(server, spec["stop_signal"], spec["grace"])


def _start(spec: dict[str, Any]) -> "subprocess.Popen[bytes]":
    uid, gid = spec["user"] or (None, None)
    guard = os.getpid()
    libc = ctypes.CDLL(None)

    def die_with_guard() -> None:
        # Runs after the change of user, which would reset it.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)

    with Path(spec["log"]).open("ab") as log:
        return subprocess.Popen(
            spec["argv"],
            cwd=spec["cwd"],
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            process_group=0,
            preexec_fn=die_with_guard if sys.platform == "linux" else None,  # noqa: PLW1509 -- there is one thread here
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _watch(server: "subprocess.Popen[bytes]", stop_signal: int, grace: float) -> int:
    ended_read, ended_write = os.pipe()

    def wait() -> None:
        server.wait()
        os.close(ended_write)

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    readable, _, _ = select.select([0, ended_read], [], [])
    if ended_read not in readable:
        _signal_tree(server.pid, signal.SIGCONT)
        server.send_signal(stop_signal)
        waiter.join(grace)
        if waiter.is_alive():
            _signal_tree(server.pid, signal.SIGKILL)
    waiter.join()
    return server.returncode & 0xFF


def _signal_tree(pid: int, number: int) -> None:
    import psutil

    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                member.send_signal(number)


if __name__ == "__main__":
    sys.exit(main())
