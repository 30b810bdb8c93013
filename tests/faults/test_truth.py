"""Health is true: whatever is stopped, frozen or killed, the answer is 503 with its name, and 200 once it is mended."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from ddpm.engine.progress import Progress
from harness.folders import FreshDir
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World, json_records

# The promise: a fault is told, and its end is told, within so many seconds.
TOLD_WITHIN = 10.0


@pytest.fixture(scope="module")
def own_kafka(fresh_dir: FreshDir, progress: Progress) -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(fresh_dir("truth-kafka"), progress=progress) as server:
        yield server


@pytest.fixture(scope="module")
def own_postgres(fresh_dir: FreshDir, progress: Progress) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(fresh_dir("truth-postgres"), progress=progress) as server:
        yield server


@pytest.fixture
def fragile(own_kafka: EmbeddedKafka, own_postgres: EmbeddedPostgres, engine_binary: Path) -> World:
    """A world on servers that may be broken."""
    return World(own_kafka.bootstrap, own_postgres.dsn, engine_binary)


@pytest.fixture
def running(fragile: World, tmp_path: Path) -> Iterator[Ddpm]:
    with Ddpm(fragile.config(), tmp_path) as ddpm:
        ddpm.wait_healthy()
        fragile.produce(json_records([{"n": n} for n in range(30)]))
        fragile.wait_consumed()
        yield ddpm
        assert ddpm.stop() == 0


def seconds_until(ddpm: Ddpm, status: int, culprit: str = "") -> float:
    """Wait until /readyz and /health give that answer, naming the culprit; returns how long it took."""
    begin = time.monotonic()

    def told() -> bool:
        code, body = ddpm.health()
        return code == status and (not culprit or any(culprit in each for each in body["culprits"]))

    eventually(told, f"/health answers {status} {culprit}", timeout=TOLD_WITHIN + 20)
    took = time.monotonic() - begin
    assert httpx.get(f"{ddpm.url}/readyz", timeout=10, trust_env=False).status_code == status
    assert httpx.get(f"{ddpm.url}/livez", timeout=10, trust_env=False).status_code == 200
    return took


def check(ddpm: Ddpm, culprit: str, break_it: Callable[[], None], mend_it: Callable[[], None]) -> None:
    break_it()
    try:
        assert seconds_until(ddpm, 503, culprit) < TOLD_WITHIN
    finally:
        mend_it()
    assert seconds_until(ddpm, 200) < TOLD_WITHIN


def test_a_frozen_kafka(running: Ddpm, own_kafka: EmbeddedKafka) -> None:
    check(running, "kafka: ", own_kafka.suspend, own_kafka.resume)


def test_a_frozen_postgres(running: Ddpm, own_postgres: EmbeddedPostgres) -> None:
    check(running, "postgres: ", own_postgres.suspend, own_postgres.resume)


def test_a_stopped_kafka(running: Ddpm, own_kafka: EmbeddedKafka, fragile: World) -> None:
    check(running, "kafka: ", own_kafka.kill, own_kafka.start)
    fragile.produce(json_records([{"n": n} for n in range(30)]))
    fragile.wait_consumed()


def test_a_stopped_postgres(running: Ddpm, own_postgres: EmbeddedPostgres, fragile: World) -> None:
    check(running, "postgres: ", own_postgres.kill, own_postgres.start)
    fragile.produce(json_records([{"n": n} for n in range(30)]))
    fragile.wait_consumed()
    assert fragile.count() == 60


def test_a_frozen_engine(running: Ddpm) -> None:
    pid = running.engine_pid
    check(running, "engine", lambda: os.kill(pid, signal.SIGSTOP), lambda: os.kill(pid, signal.SIGCONT))
    assert running.engine_pid == pid
