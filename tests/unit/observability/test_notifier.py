"""What systemd hears, on a real socket."""

import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ddpm.observability.systemd import Notifier


class Ear:
    """The end of the line that systemd holds."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """What came since the last call."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(65_536).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ear]:
    ear = Ear(str(tmp_path / "notify") if request.param == "path" else f"@ddpm-test-{uuid.uuid4().hex}")
    yield ear
    ear.close()


def test_it_says_once_that_the_start_is_over_and_that_the_end_has_begun(ear: Ear) -> None:
    notifier = Notifier(ear.address)
    for _ in range(3):
        notifier.ready()
    for _ in range(3):
        notifier.stopping()
    assert ear.heard() == ["READY=1", "STOPPING=1"]


def test_a_status_is_one_line_and_told_when_it_changes(ear: Ear) -> None:
    notifier = Notifier(ear.address)
    for text in ("orders running", "orders running", "orders degraded: away\nMAINPID=1", "half of a pair \ud800"):
        notifier.status(text)
    assert ear.heard() == [
        "STATUS=orders running",
        "STATUS=orders degraded: away MAINPID=1",
        "STATUS=half of a pair ?",
    ]


def test_signs_of_life_come_twice_as_often_as_they_are_wanted(ear: Ear) -> None:
    now = 100.0
    notifier = Notifier(ear.address, 10.0, lambda: now)
    given = []
    for _ in range(21):
        notifier.alive()
        given += ear.heard()
        now += 1.0
    assert given == ["WATCHDOG=1"] * 5


def test_nobody_is_told_of_life_who_did_not_ask(ear: Ear) -> None:
    foreign = {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    for environment in ({"NOTIFY_SOCKET": ear.address}, foreign):
        Notifier.taken(environment).alive()
    assert ear.heard() == []


def test_the_environment_names_it_and_keeps_nothing_for_child_processes(ear: Ear) -> None:
    environment = {
        "NOTIFY_SOCKET": ear.address,
        "WATCHDOG_USEC": "60000000",
        "WATCHDOG_PID": str(os.getpid()),
        "PATH": "/bin",
    }
    Notifier.taken(environment).alive()
    assert ear.heard() == ["WATCHDOG=1"]
    assert environment == {"PATH": "/bin"}


def test_without_systemd_it_is_silent() -> None:
    with capture_logs() as lines:
        notifier = Notifier.taken({})
        for say in (notifier.ready, notifier.alive, notifier.stopping):
            say()
        notifier.status("orders running")
    assert lines == []


def test_a_line_that_is_dead_is_told_once_and_disturbs_nothing(tmp_path: Path) -> None:
    with capture_logs() as lines:
        notifier = Notifier(str(tmp_path / "nobody"), 10.0)
        notifier.ready()
        notifier.alive()
    (line,) = lines
    assert line["log_level"] == "warning" and "systemd" in line["event"]
