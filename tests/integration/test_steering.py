"""The control commands against the real thing: what they ask for comes true, and no record is the worse for it."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from harness.audit import Row, audit
from harness.process import Ddpm, alive, ddpm
from harness.waiting import eventually
from harness.world import World, json_records

NUMBERED = {"columns": {"n": "integer"}}


def as_document(record: RawRecord) -> Row:
    document: Row = json.loads(record.value or b"")
    return document


class Client:
    """The commands of a person who sits at the same machine, in another terminal."""

    def __init__(self, running: Ddpm) -> None:
        self._running = running

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run a command to its end, check its exit code and return what it printed."""
        done = ddpm(*arguments, cwd=self._running.folder, env=self._env())
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def status(self) -> dict[str, Any]:
        """The pipeline as `ddpm status` gives it to tools, whatever it says."""
        done = ddpm("status", "pipeline", "--json", cwd=self._running.folder, env=self._env())
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def pids(self) -> set[int]:
        """The engines that run."""
        return {replica["pid"] for replica in self.status()["replicas"] if replica["pid"] is not None}

    @contextmanager
    def following(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """A command that goes on until it is ended."""
        with subprocess.Popen(
            [sys.executable, "-m", "ddpm", *arguments],
            cwd=self._running.folder,
            env=os.environ | self._env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def _env(self) -> dict[str, str]:
        return {"DDPM_URL": self._running.url.removesuffix("/health")}


class Traffic:
    """Numbered records, a few at a time, for as long as the block lasts."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.produced = 0

    def _records(self) -> Iterator[Record]:
        number = 0
        while not self._over.wait(0.01):
            yield Record(value=b'{"n": %d}' % number, partition=number % 3)
            number += 1

    def _run(self) -> None:
        self.produced = self._world.produce(self._records())

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_what_was_paused_stays_paused_until_it_is_resumed(world: World, tmp_path: Path) -> None:
    world.create_topic()
    world.produce(json_records([{"n": number} for number in range(300)]))
    config = world.config(postgres=NUMBERED)
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        ask = Client(running)
        world.wait_consumed()
        (engine,) = ask.pids()
        assert ask("pause", "pipeline") == "pipeline is paused: paused on request\n"
        assert not alive(engine)
        world.produce(json_records([{"n": number} for number in range(300, 400)]))
        assert "paused" in ask("status"), "paused on purpose is well"
        assert running.stop() == 0

        running.start().wait_healthy()
        assert (ask.status()["state"], ask.pids()) == ("paused", set())
        assert world.lag() == 100
        assert ask("resume", "pipeline").startswith("pipeline is running")
        world.wait_consumed()
        assert running.stop() == 0
    assert audit(world, as_document).rows == 400


def test_a_restart_brings_another_engine_and_loses_nothing(world: World, tmp_path: Path) -> None:
    world.create_topic()
    traffic = Traffic(world)
    with Ddpm(world.config(postgres=NUMBERED), tmp_path) as running:
        running.wait_healthy()
        ask = Client(running)
        with traffic:
            eventually(world.count, "rows arrive")
            before = ask.pids()
            assert ask("restart", "pipeline").startswith("pipeline is running")
            after = ask.pids()
            assert (len(after), before & after) == (1, set())
            seen = world.count()
            eventually(lambda: world.count() > seen, "rows arrive again")
        world.wait_consumed()
        assert running.stop() == 0
    assert audit(world, as_document).rows == traffic.produced


def test_replicas_come_and_go_as_asked(world: World, tmp_path: Path) -> None:
    world.create_topic()
    traffic = Traffic(world)
    with Ddpm(world.config(postgres=NUMBERED), tmp_path) as running:
        running.wait_healthy()
        ask = Client(running)
        with traffic:
            (first,) = ask.pids()
            ask("scale", "pipeline", "3")
            three = ask.pids()
            assert len(three) == 3
            assert first in three, "the replica that ran is left alone"
            ask("scale", "pipeline", "4", code=1)
            ask("scale", "pipeline", "1")
            assert ask.pids() == {first}
            assert not any(alive(pid) for pid in three - {first})
            assert ask.status()["scaling"]["mode"] == "manual"
            ask("scale", "pipeline", "auto")
            assert ask.status()["scaling"]["mode"] == "fixed"
        world.wait_consumed()
        assert running.stop() == 0
    assert audit(world, as_document).rows == traffic.produced


def test_what_happens_can_be_followed(world: World, tmp_path: Path) -> None:
    world.create_topic()
    with Ddpm(world.config(postgres=NUMBERED), tmp_path) as running:
        running.wait_healthy()
        ask = Client(running)
        with ask.following("logs", "-f", "pipeline", "--json") as logs, ask.following("events", "-f") as events:
            (engine,) = ask.pids()
            lines = (json.loads(line) for line in logs.stdout or ())
            assert any(line["replica"] == 0 and line["level"] == "info" for line in lines), "what an engine says"
            assert any("running" in line for line in events.stdout or ())

            assert ask("drain", "pipeline").startswith("pipeline is stopped")
            assert not alive(engine)
            assert any(line["message"] == "drain requested" for line in lines)
            assert any(" pipeline stopped " in line for line in events.stdout or ())
            assert "stopped" in ask("status", code=1), "who stopped it may have forgotten that"

            assert ask("resume", "pipeline").startswith("pipeline is running")
            assert any(" pipeline running " in line for line in events.stdout or ())
            for command in (logs, events):
                command.send_signal(signal.SIGINT)
                assert command.wait(30) == 0
        world.produce(json_records([{"n": number} for number in range(30)]))
        world.wait_consumed()
        assert "✓" not in ask("status", "pipeline"), "no symbols for a reader that is no terminal"
        assert running.stop() == 0
    assert audit(world, as_document).rows == 30
