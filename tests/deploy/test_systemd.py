"""A real ddpm tells systemd how it is; a real systemd runs the unit that is shipped, and its own tools look at it."""

import configparser
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from ddpm.errors import ExitCode
from ddpm.supervisor.runner import ALIVE_WITHIN_SECONDS
from harness.process import Ddpm
from harness.systemd import service
from harness.tools import SYSTEMD_ANALYZE, require
from harness.waiting import eventually
from harness.world import World, json_records

UNIT = Path(__file__).parents[2] / "deployments" / "systemd" / "ddpm.service"
DRAIN = 20
# ddpm ends an engine by force 5 s after its drain, closes its server within 5 s, and needs some time around that.
AFTER_THE_DRAIN = 15
# systemd's word for what is below: OK. An unprotected service has 9.6.
MOST_EXPOSED = 1.5


class Manager:
    """Listens as systemd does."""

    def __init__(self, address: Path) -> None:
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._thread = threading.Thread(target=self._listen, name="systemd")
        self._thread.start()

    def _listen(self) -> None:
        while message := self._socket.recv(65_536):
            self.heard.append(message.decode())

    def close(self, address: Path) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(address))
        self._thread.join()
        self._socket.close()


@contextmanager
def manager(address: Path) -> Iterator[Manager]:
    listening = Manager(address)
    try:
        yield listening
    finally:
        listening.close(address)


def test_systemd_hears_of_the_start_of_life_and_of_the_end(world: World, tmp_path: Path) -> None:
    address = tmp_path / "notify"
    env = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "1000000"}
    with manager(address) as systemd, Ddpm(world.config(), tmp_path, env=env) as running:
        eventually(lambda: "READY=1" in systemd.heard, "the start is over", 90)
        assert world.count() == 0, "and the table is there"
        running.wait_healthy()
        eventually(lambda: "STATUS=pipeline running" in systemd.heard, "the status says that it runs")
        eventually(lambda: systemd.heard.count("WATCHDOG=1") >= 3, "signs of life are given", 10)
        child = Path(f"/proc/{running.engine_pid}/environ").read_bytes()
        assert b"NOTIFY_SOCKET" not in child and b"WATCHDOG" not in child
        assert "STOPPING=1" not in systemd.heard
        assert running.stop() == 0
        assert "STOPPING=1" in systemd.heard
        assert systemd.heard.count("READY=1") == 1


class UnitFile(configparser.RawConfigParser):
    """A unit: its names have capitals, and may come more than once."""

    def __init__(self) -> None:
        super().__init__(strict=False, delimiters=("=",))

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def service_section() -> configparser.SectionProxy:
    parsed = UnitFile()
    parsed.read(UNIT)
    return parsed["Service"]


def test_the_times_of_the_unit_fit_ddpm() -> None:
    unit = service_section()
    assert unit["Type"] == "notify"
    assert int(unit["TimeoutStopSec"]) >= DRAIN + AFTER_THE_DRAIN
    assert int(unit["WatchdogSec"]) > ALIVE_WITHIN_SECONDS, "systemd is not quicker to call it stuck than ddpm itself"
    assert (unit["Restart"], int(unit["RestartPreventExitStatus"])) == ("on-failure", ExitCode.CONFIG)
    # The engine would take the signal for its own, and ddpm its end for a crash.
    assert unit["KillMode"] == "mixed"


@pytest.fixture
def runnable(tmp_path: Path) -> Path:
    """The unit as it is on a machine where its command exists."""
    program = tmp_path / "ddpm"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / "units" / UNIT.name
    copy.parent.mkdir()
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={program}", UNIT.read_text()))
    return copy


def analyzed(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [require(SYSTEMD_ANALYZE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_systemd_understands_every_line_of_the_unit(runnable: Path) -> None:
    assert _complaints(runnable) == ""
    runnable.write_text(runnable.read_text().replace("WatchdogSec=", "WatchDogSec="))
    assert "WatchDogSec" in _complaints(runnable)


def _complaints(unit: Path) -> str:
    # Other units of the machine may have faults of their own.
    said = analyzed("verify", "--recursive-errors=no", unit).stderr
    return "\n".join(line for line in said.splitlines() if unit.name in line)


def test_the_service_is_hardly_exposed(runnable: Path) -> None:
    threshold = f"--threshold={MOST_EXPOSED * 10:.0f}"
    assert analyzed("security", "--offline=yes", threshold, runnable).returncode == 0
    runnable.write_text(runnable.read_text().replace("CapabilityBoundingSet=\n", ""))
    assert analyzed("security", "--offline=yes", threshold, runnable).returncode != 0


@pytest.fixture
def installed(world: World, tmp_path: Path) -> Path:
    """What docs/deploy-systemd.md puts into /etc/ddpm."""
    url = urlsplit(world.dsn)
    assert url.password
    config = world.config()
    del config["app"]["engine"]
    credential = "${file:/run/credentials/ddpm.service/postgres-password}"
    config["app"]["postgres"]["url"] = world.dsn.replace(url.password, credential)
    etc = tmp_path / "etc"
    (etc / "credentials").mkdir(parents=True)
    (etc / "app-config.yaml").write_text(yaml.safe_dump(config))
    (etc / "credentials" / "postgres-password").write_text(f"{url.password}\n")
    (etc / "credentials").chmod(0o700)
    return etc


def test_a_real_systemd_runs_it_in_the_sandbox(
    world: World, engine_binary: Path, installed: Path, tmp_path: Path
) -> None:
    """Started when the tables exist; a process that is stuck is ended and started again; stopped after a drain."""
    world.create_topic()
    with service(UNIT, installed, engine_binary, tmp_path, {"WatchdogSec": "4", "RestartSec": "1"}) as running:
        started = running.ctl("start", "ddpm.service")
        assert started.returncode == 0, started.stderr + running.log.read_text()
        assert world.count() == 0, "the table is there"
        eventually(lambda: running.shown("StatusText") == "pipeline running", "systemd shows how it is")
        world.produce(json_records([{"n": number} for number in range(500)]))
        world.wait_consumed()
        reloaded = running.ctl("reload", "ddpm.service")
        assert reloaded.returncode == 0, reloaded.stderr + running.log.read_text()
        eventually(lambda: "nothing has changed" in running.log.read_text(), "it has read its configuration again")
        running.signal("SIGSTOP")
        eventually(lambda: running.shown("NRestarts") == "1", "the watchdog notices", 60)
        eventually(lambda: running.shown("StatusText") == "pipeline running", "it runs again")
        world.produce(json_records([{"n": number} for number in range(500, 1000)]))
        world.wait_consumed()
        assert running.ctl("stop", "ddpm.service").returncode == 0
        assert (running.shown("Result"), running.shown("ExecMainStatus")) == ("success", "0")
    assert sorted(row["data"]["n"] for row in world.rows("data")) == list(range(1000))


def test_a_wrong_configuration_is_not_tried_again(engine_binary: Path, installed: Path, tmp_path: Path) -> None:
    (installed / "app-config.yaml").write_text("app: {nmae: orders}")
    with service(UNIT, installed, engine_binary, tmp_path, {"RestartSec": "100ms"}) as running:
        assert running.ctl("start", "ddpm.service").returncode != 0
        assert (running.shown("ActiveState"), running.shown("ExecMainStatus")) == ("failed", str(ExitCode.CONFIG.value))
        assert "nmae" in running.log.read_text()
