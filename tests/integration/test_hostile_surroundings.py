"""What others do to a running ddpm: a crowd of half requests, a second ddpm in its folder, a terminal that closes."""

import os
import pty
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from harness.process import THIS_DDPM, Ddpm, alive, ddpm
from harness.waiting import eventually
from harness.world import World, json_records

CROWD = 1_500
# As a system limits a service, at a terminal.
LIMITED = ("/bin/sh", "-c", 'ulimit -n 1024; terminal=$0; exec "$@" < $terminal')


@contextmanager
def many_descriptors() -> Iterator[None]:
    """Let this process have as many as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def terminal() -> Iterator[str]:
    """The path of a terminal, which becomes that of the first process of a session that opens it."""
    ends = pty.openpty()
    try:
        yield os.ttyname(ends[1])
    finally:
        for end in ends:
            os.close(end)


def test_a_crowd_a_second_ddpm_and_a_closed_terminal(world: World, tmp_path: Path) -> None:
    world.create_topic()
    with terminal() as path, Ddpm(world.config(), tmp_path, program=(*LIMITED, path, *THIS_DDPM)) as running:
        running.wait_healthy()
        engine = running.engine_pid
        with many_descriptors(), ExitStack() as stack:
            where = (urlsplit(running.url).hostname, urlsplit(running.url).port)
            for _ in range(CROWD):
                half = stack.enter_context(socket.create_connection(where, timeout=20))
                half.sendall(b"GET /health HTTP/1.1\r\nHost: ")
            assert running.health()[0] == 200
            os.kill(engine, signal.SIGKILL)
            eventually(lambda: not alive(engine), "the engine is gone")
            eventually(lambda: running.engine_pid != engine, "another engine is started", timeout=60)
            running.wait_healthy()
            assert "Too many open files" not in running.log
        second = ddpm("run", "--config", "app-config.yaml", cwd=tmp_path)
        assert second.returncode == 3
        assert f"process {running.popen.pid}, {running.url}, since " in second.stderr
        refused = ddpm("reset", "--yes", cwd=tmp_path)
        assert (refused.returncode, "another ddpm runs" in refused.stderr) == (3, True)
        world.produce(json_records([{"n": number} for number in range(3_000)]))
        running.popen.send_signal(signal.SIGHUP)
        assert running.stop(signal.SIGHUP) == 0
        assert "draining" in running.log
        before = world.lag()
        running.start()
        running.wait_healthy()
        world.wait_consumed()
        assert world.count() == 3_000, f"{before} were left to the second run"
