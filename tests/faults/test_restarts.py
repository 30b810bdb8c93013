"""Kills and stalls in the middle of 100,000 records: each of them once, and only poison in the dead letters."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from ddpm.devstack import EmbeddedPostgres
from harness.audit import Books, Poison, Row, audit
from harness.process import Ddpm, alive
from harness.waiting import eventually
from harness.world import World

RECORDS = 100_000
PER_SECOND = 10_000
POISON_EVERY = 100
# Fewer records while the fault lasts, and the test would have shown nothing.
DURING_FAULT = 1_000

COLUMNS = {"n": "integer", "padding": "text"}


def value(number: int) -> bytes:
    shown = number if number % POISON_EVERY else f"poison {number}"
    return json.dumps({"n": shown, "padding": "x" * (number % 200)}).encode()


def expected(record: RawRecord) -> Row | Poison:
    document = json.loads(record.value or b"")
    return document if isinstance(document["n"], int) else Poison("22P02")


class Load:
    """A producer that goes on whatever happens; `produced` is what it has handed over so far."""

    def __init__(self, world: World) -> None:
        self.produced = 0
        self._world = world
        self._delivered = 0
        self._thread = threading.Thread(target=self._run, name="load")

    def _run(self) -> None:
        self._delivered = self._world.produce(self._records())

    def _records(self) -> Iterator[Record]:
        begin = time.monotonic()
        for number in range(RECORDS):
            ahead = number / PER_SECOND - (time.monotonic() - begin)
            if ahead > 0.01:
                time.sleep(ahead)
            self.produced = number
            yield Record(value=value(number), key=str(number).encode(), partition=number % 3)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def wait_for(self, count: int) -> None:
        eventually(lambda: self.produced >= count, f"{count} records produced")

    def finish(self) -> None:
        self._thread.join()
        assert self._delivered == RECORDS


@pytest.fixture
def config(world: World) -> dict[str, object]:
    world.create_topic()
    return world.config(postgres={"columns": COLUMNS}, batching={"count": 1000})


def check(world: World) -> Books:
    books = audit(world, expected, crashed=True)
    assert books.produced == RECORDS
    assert books.dead == RECORDS // POISON_EVERY
    return books


def with_fault(world: World, config: dict[str, object], folder: Path, fault: Callable[[Ddpm], None]) -> Ddpm:
    """Run ddpm under load; in the middle, have the fault happen and be over; then let all of it arrive."""
    with Ddpm(config, folder) as ddpm:
        ddpm.wait_healthy()
        with Load(world) as load:
            load.wait_for(RECORDS * 3 // 10)
            before = load.produced
            fault(ddpm)
            ddpm.wait_healthy()
            assert load.produced - before >= DURING_FAULT
            load.finish()
        world.wait_consumed()
        assert ddpm.stop() == 0
    return ddpm


def test_engine_killed(world: World, config: dict[str, object], tmp_path: Path) -> None:
    def kill_engine(ddpm: Ddpm) -> None:
        before = ddpm.engine_pid
        os.kill(before, signal.SIGKILL)
        eventually(lambda: ddpm.engine_pid not in (None, before), "another engine runs")

    with_fault(world, config, tmp_path, kill_engine)
    check(world)


def test_postgres_restarted_at_once(
    world: World, config: dict[str, object], tmp_path: Path, postgres: EmbeddedPostgres
) -> None:
    ddpm = with_fault(world, config, tmp_path, lambda _: postgres.restart(immediate=True))
    check(world)
    assert 1 <= ddpm.log.count("Postgres does not take rows") <= 10, "an outage is said, and not over and over"


def test_ddpm_killed_takes_its_engine_along(world: World, config: dict[str, object], tmp_path: Path) -> None:
    def kill_ddpm(ddpm: Ddpm) -> None:
        engine = ddpm.engine_pid
        ddpm.popen.kill()
        ddpm.popen.wait()
        eventually(lambda: not alive(engine), "the engine ends with its ddpm")
        ddpm.start()

    with_fault(world, config, tmp_path, kill_ddpm)
    check(world)


def test_sigterm_while_postgres_is_stopped(
    world: World, config: dict[str, object], tmp_path: Path, postgres: EmbeddedPostgres
) -> None:
    config["app"]["engine"]["drain"] = "6s"  # type: ignore[index]

    def stop_both(ddpm: Ddpm) -> None:
        engine = ddpm.engine_pid
        postgres.kill()
        try:
            eventually(lambda: "waiting" in ddpm.log, "ddpm says that it waits")
            ddpm.stop(timeout=30)
            assert not alive(engine)
        finally:
            postgres.start()
        ddpm.start()

    with_fault(world, config, tmp_path, stop_both)
    check(world)


def peak_memory(pid: int) -> int:
    """The largest resident size of a process so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


def test_outage_with_large_records_stays_within_memory(
    world: World, tmp_path: Path, postgres: EmbeddedPostgres
) -> None:
    large = 900_000
    records = [Record(value=json.dumps({"n": n, "padding": "x" * large}).encode(), partition=n % 3) for n in range(600)]
    world.create_topic()
    with Ddpm(world.config(postgres={"columns": COLUMNS, "write_timeout": "2s"}), tmp_path) as ddpm:
        ddpm.wait_healthy()
        engine = ddpm.engine_pid
        postgres.suspend()
        try:
            assert world.produce(records) == len(records)
            eventually(lambda: "waiting" in ddpm.log, "ddpm says that it waits")
            steady = Steady(lambda: peak_memory(engine))
            eventually(steady.reached, "the engine has taken in what it will", 60)
        finally:
            postgres.resume()
        world.wait_consumed()
        assert peak_memory(engine) < 1_000_000_000
        assert ddpm.engine_pid == engine
        assert ddpm.stop() == 0
    books = audit(world, lambda record: json.loads(record.value or b""))
    assert (books.rows, books.dead) == (600, 0)


class Steady:
    """Whether a figure has not grown for three seconds."""

    def __init__(self, figure: Callable[[], int]) -> None:
        self._figure = figure
        self._last, self._since = figure(), time.monotonic()

    def reached(self) -> bool:
        if (now := self._figure()) != self._last:
            self._last, self._since = now, time.monotonic()
        return time.monotonic() - self._since > 3
