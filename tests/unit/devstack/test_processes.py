"""A server process and its guard, shown with small programs instead of servers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import psutil
import pytest

from ddpm.devstack.processes import Server, ServerCommand, end_processes, find_processes
from ddpm.errors import MissingToolError, ServiceError
from harness.waiting import eventually

pytestmark = pytest.mark.slow

# Ends in an orderly way on SIGTERM, and has a child of its own as Postgres has.
POLITE = """
import signal, subprocess, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("ready", flush=True)
signal.sigwait({signal.SIGTERM})
child.kill()
child.wait()
print("stopped politely", flush=True)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"


def command(tmp_path: Path, program: str) -> ServerCommand:
    return ServerCommand(
        title="the test server",
        argv=(sys.executable, "-c", program),
        cwd=tmp_path,
        log=tmp_path / "server.log",
        env=dict(os.environ),
        stop_signal=signal.SIGTERM,
    )


@contextmanager
def running(tmp_path: Path, program: str) -> Iterator[Server]:
    server = Server(command(tmp_path, program))
    try:
        server.wait_until(lambda: "ready" in server.log_since_start(), 30)
        yield server
    finally:
        server.kill()


def family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    return not any(_runs(process) for process in processes)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False


def test_stop_lets_the_server_end_by_itself(tmp_path: Path) -> None:
    with running(tmp_path, POLITE) as server:
        processes = family(server.pid)
        assert len(processes) == 2
        server.stop(30)
        assert gone(processes)
        assert not server.running
        assert server.log_since_start().endswith("stopped politely")


def test_stop_ends_a_server_that_does_not_listen(tmp_path: Path) -> None:
    with running(tmp_path, STUBBORN) as server:
        processes = family(server.pid)
        server.stop(0.2)
        assert gone(processes)


def test_kill_ends_children_too(tmp_path: Path) -> None:
    with running(tmp_path, POLITE) as server:
        processes = family(server.pid)
        server.kill()
        assert gone(processes)


def test_suspended_server_can_be_stopped(tmp_path: Path) -> None:
    with running(tmp_path, POLITE) as server:
        processes = family(server.pid)
        server.suspend()
        eventually(lambda: {process.status() for process in processes} == {psutil.STATUS_STOPPED}, "all are stopped")
        server.stop(30)
        assert gone(processes)


def test_resume_lets_all_processes_go_on(tmp_path: Path) -> None:
    with running(tmp_path, POLITE) as server:
        server.suspend()
        server.resume()
        assert psutil.STATUS_STOPPED not in {process.status() for process in family(server.pid)}


def test_server_is_out_of_reach_of_the_terminal(tmp_path: Path) -> None:
    with running(tmp_path, POLITE) as server:
        assert os.getsid(server.pid) != os.getsid(0)
        assert os.getpgid(server.pid) != os.getpgid(0)


def test_server_started_in_a_thread_that_has_ended_lives_on(tmp_path: Path) -> None:
    servers: list[Server] = []
    starter = Thread(target=lambda: servers.append(Server(command(tmp_path, POLITE))))
    starter.start()
    starter.join()
    (server,) = servers
    try:
        server.wait_until(lambda: "ready" in server.log_since_start(), 30)
        assert server.running
    finally:
        server.stop(30)


def test_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    missing = ServerCommand("the test server", ("/nowhere/server",), tmp_path, tmp_path / "log", {}, signal.SIGTERM)
    with pytest.raises(MissingToolError, match=r"the test server could not be started: .*/nowhere/server"):
        Server(missing)


def test_server_that_ends_while_starting_shows_its_log(tmp_path: Path) -> None:
    server = Server(command(tmp_path, "import time; time.sleep(0.2); print('no space left'); raise SystemExit(3)"))
    with pytest.raises(ServiceError) as error:
        server.wait_until(lambda: False, 30)
    assert "the test server ended with exit code 3 while starting" in str(error.value)
    assert str(tmp_path / "server.log") in str(error.value)
    assert "no space left" in str(error.value)
    server.kill()


def test_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with running(tmp_path, STUBBORN) as server, pytest.raises(ServiceError, match="did not answer within 0 s"):
        server.wait_until(lambda: False, 0.2)


@pytest.fixture
def orphanage(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[psutil.Process]]]:
    """A process that runs a server, and the processes of that server; all of them end with the test."""
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_processes import POLITE, Server, command
server = Server(command(Path({str(tmp_path)!r}), POLITE))
server.wait_until(lambda: "ready" in server.log_since_start(), 30)
print(server.pid, flush=True)
input()
"""
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
    ) as parent:
        assert parent.stdout is not None
        processes = family(int(parent.stdout.readline()))
        try:
            yield parent, processes
        finally:
            parent.kill()
            end_processes(processes, signal.SIGKILL, 1)


def test_server_ends_in_an_orderly_way_when_its_ddpm_is_killed(
    orphanage: tuple[subprocess.Popen[bytes], list[psutil.Process]], tmp_path: Path
) -> None:
    parent, processes = orphanage
    parent.kill()
    eventually(lambda: gone(processes), "the server is gone", 10)
    assert "stopped politely" in (tmp_path / "server.log").read_text()


def test_suspended_server_ends_when_its_ddpm_is_killed(
    orphanage: tuple[subprocess.Popen[bytes], list[psutil.Process]],
) -> None:
    parent, processes = orphanage
    for process in processes:
        process.suspend()
    parent.kill()
    eventually(lambda: gone(processes), "the server is gone", 10)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent has died")
def test_server_ends_with_a_killed_guard(orphanage: tuple[subprocess.Popen[bytes], list[psutil.Process]]) -> None:
    _, processes = orphanage
    guard = processes[0].parent()
    assert guard is not None
    guard.kill()
    eventually(lambda: gone(processes[:1]), "the server is gone", 10)


def test_secrets_of_the_environment_are_not_in_the_list_of_processes(tmp_path: Path) -> None:
    with_secret = ServerCommand(
        "the test server",
        (sys.executable, "-c", POLITE),
        tmp_path,
        tmp_path / "server.log",
        os.environ | {"SECRET": "hunter2"},
        signal.SIGTERM,
    )
    server = Server(with_secret)
    try:
        guard = psutil.Process(server.pid).parent()
        assert guard is not None
        assert "hunter2" not in " ".join(guard.cmdline() + psutil.Process(server.pid).cmdline())
    finally:
        server.kill()


def test_only_matching_processes_are_found_and_ended(tmp_path: Path) -> None:
    marker = f"-Dddpm.data={tmp_path}"
    sleep = "import time; time.sleep(600)"
    ours = subprocess.Popen([sys.executable, "-c", sleep, marker])
    other = subprocess.Popen([sys.executable, "-c", sleep, f"{marker}-of-somebody-else"])
    try:
        found = find_processes(lambda process: marker in process.cmdline())
        assert [process.pid for process in found] == [ours.pid]
        end_processes(found, signal.SIGTERM, 10)
        assert gone(found)
        assert other.poll() is None
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()


def test_log_that_grew_large_is_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("wb") as stream:
        stream.truncate(30_000_000)
    with running(tmp_path, POLITE) as server:
        assert server.log_since_start() == "ready"
    assert log.stat().st_size < 1000
    assert (tmp_path / "server.log.1").stat().st_size == 30_000_000
