"""Kafka comes back with an older log, as from a restored disk: one topic, and other records at offsets of before."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2 as httpx
import pytest

from ddpm.broker.produce import Record
from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from ddpm.engine.progress import Progress
from harness.folders import FreshDir
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World


@pytest.fixture(scope="module")
def old_kafka(fresh_dir: FreshDir, progress: Progress) -> Iterator[EmbeddedKafka]:
    """A broker that no other test uses: its disk is put back."""
    with EmbeddedKafka(fresh_dir("older-kafka"), progress=progress) as kafka:
        yield kafka


@pytest.fixture
def world(old_kafka: EmbeddedKafka, postgres: EmbeddedPostgres, engine_binary: Path) -> World:
    return World(old_kafka.bootstrap, postgres.dsn, engine_binary)


class Disk:
    """The broker's disk: a copy is made, and put back later."""

    def __init__(self, kafka: EmbeddedKafka, folder: Path) -> None:
        self._kafka, self._copy = kafka, folder / "copy"

    def copy(self) -> None:
        self._kafka.stop()
        shutil.copytree(self._kafka.data_dir / "data", self._copy)
        self._kafka.start()

    def put_back(self) -> None:
        self._kafka.kill()
        shutil.rmtree(self._kafka.data_dir / "data")
        shutil.copytree(self._copy, self._kafka.data_dir / "data")
        self._kafka.start()


def send(world: World, life: str, first: int, end: int) -> None:
    world.produce(
        Record(json.dumps({"n": n, "life": life}).encode(), partition=n % world.partitions) for n in range(first, end)
    )


def rows(world: World) -> Counter[tuple[str, int]]:
    return Counter((row["data"]["life"], int(row["data"]["n"])) for row in world.rows("data"))


def of(world: World, life: str) -> int:
    return sum(1 for each, _ in rows(world) if each == life)


def alarms(running: Ddpm) -> list[str]:
    answer = httpx.get(f"{running.url}/v1/pipelines/pipeline", timeout=10, trust_env=False).json()
    return [event["message"] for event in answer["events"] if event["kind"] == "alarm"]


def everything(first: int, old: int, new: int) -> Counter[tuple[str, int]]:
    """All that was acknowledged in either life, once."""
    return Counter(
        [("first", n) for n in range(first)] + [("old", n) for n in range(old)] + [("new", n) for n in range(new)]
    )


@pytest.mark.parametrize("more", [300, 6_000], ids=["shorter", "longer"])
def test_records_at_offsets_of_before_become_rows_while_it_runs(
    world: World, old_kafka: EmbeddedKafka, tmp_path: Path, more: int
) -> None:
    disk = Disk(old_kafka, tmp_path)
    world.create_topic()
    with Ddpm(world.config(), tmp_path) as running:
        running.wait_healthy()
        send(world, "first", 0, 1_500)
        world.wait_consumed()
        disk.copy()
        send(world, "old", 0, 3_000)
        eventually(partial(has, world, "old", 3_000), "what only the old log has is in the table", 60)
        disk.put_back()
        send(world, "new", 0, more)
        eventually(partial(has, world, "new", more), "all of the new log is in the table", 90)
        world.wait_consumed()
        eventually(lambda: running.health()[0] == 200, "it is well again")
        assert "Kafka has another log than before" in alarms(running)[0]
        assert running.stop() == 0
    assert rows(world) == everything(1_500, 3_000, more)


def test_records_at_offsets_of_before_become_rows_when_it_was_stopped(
    world: World, old_kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    disk = Disk(old_kafka, tmp_path)
    world.create_topic()
    with Ddpm(world.config(), tmp_path) as running:
        running.wait_healthy()
        send(world, "first", 0, 1_500)
        world.wait_consumed()
        disk.copy()
        send(world, "old", 0, 900)
        eventually(partial(has, world, "old", 900), "what only the old log has is in the table", 60)
        world.wait_consumed()
        eventually(lambda: running.health()[0] == 200, "it is well")
        assert running.stop() == 0
        disk.put_back()
        send(world, "new", 0, 3_000)
        running.start()
        running.wait_healthy()
        world.wait_consumed()
        assert "Kafka has another log than before" in alarms(running)[0]
        assert running.stop() == 0
    assert rows(world) == everything(1_500, 900, 3_000)


def has(world: World, life: str, count: int) -> bool:
    return of(world, life) == count
