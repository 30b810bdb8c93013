"""What Kafka changes or forgets about a consumer group: partitions are added, offsets are deleted. Nothing is lost."""

import shutil
import time
from collections import Counter
from pathlib import Path

import httpx2 as httpx
import pytest

from ddpm.broker.produce import Record
from ddpm.broker.topics import TopicSpec, ensure_topics
from harness.faults import forget_group
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World

# The watchdog of stalls would come after a minute.
SOON_SECONDS = 30.0


@pytest.fixture
def latest(world: World, tmp_path: Path) -> Ddpm:
    """A pipeline that begins at the end, on a topic that has records already; nothing runs yet."""
    world.create_topic()
    send(world, -60, 0)
    return Ddpm(world.config(kafka={"start_from": "latest"}), tmp_path)


def send(world: World, first: int, end: int, partitions: tuple[int, ...] = (0, 1, 2)) -> None:
    """Number records from `first` to before `end`."""
    values = [str(n).encode() for n in range(first, end)]
    world.produce(Record(value=value, partition=partitions[i % len(partitions)]) for i, value in enumerate(values))


def written(world: World) -> Counter[int]:
    return Counter(int(row["data"]) for row in world.rows("data"))


def await_all(world: World, end: int) -> None:
    """Everything from 0 to before `end` becomes a row, once, and nothing else."""
    world.wait_consumed(timeout=SOON_SECONDS)
    assert written(world) == Counter(range(end))


def grow(world: World, partitions: int) -> None:
    ensure_topics([world.bootstrap], [TopicSpec(world.topic, partitions)])


def control(running: Ddpm, what: str) -> None:
    url = f"{running.url}/v1/pipelines/pipeline/{what}"
    httpx.post(url, json={}, timeout=10, trust_env=False).raise_for_status()


def status(running: Ddpm) -> dict[str, object]:
    answer = httpx.get(f"{running.url}/v1/pipelines/pipeline", timeout=10, trust_env=False)
    found: dict[str, object] = answer.json()
    return found


def alarms(running: Ddpm) -> list[str]:
    events = status(running)["events"]
    assert isinstance(events, list)
    return [event["message"] for event in events if event["kind"] == "alarm"]


def test_partitions_that_are_added_are_read_from_their_beginning_and_soon(world: World, latest: Ddpm) -> None:
    with latest as running:
        running.wait_healthy()
        send(world, 0, 300)
        await_all(world, 300)
        begun = time.monotonic()
        grow(world, 5)
        send(world, 300, 800, (3, 4))
        await_all(world, 800)
        assert time.monotonic() - begun < SOON_SECONDS
        assert running.stop() == 0
        grow(world, 6)
        send(world, 800, 1_100, (5, 0))
        running.start()
        running.wait_healthy()
        await_all(world, 1_100)
        assert running.stop() == 0


def test_offsets_that_kafka_forgets_are_restored_and_an_alarm_tells(world: World, latest: Ddpm) -> None:
    with latest as running:
        running.wait_healthy()
        send(world, 0, 300)
        await_all(world, 300)
        control(running, "pause")
        eventually(lambda: status(running)["state"] == "paused", "it is paused")
        forget_group(world)
        send(world, 300, 900)
        told = eventually(lambda: alarms(running), "an alarm tells")
        assert f"the consumer group {world.group} had committed" in told[0]
        control(running, "resume")
        await_all(world, 900)
        assert running.stop() == 0
        forget_group(world)
        send(world, 900, 1_200)
        running.start()
        running.wait_healthy()
        await_all(world, 1_200)
        assert "had committed" in alarms(running)[0]
        assert running.stop() == 0
        # The folder of ddpm is lost as well, as that of a container may be: the table knows what was read.
        forget_group(world)
        shutil.rmtree(running.folder / ".ddpm" / "progress")
        send(world, 1_200, 1_500)
        running.start()
        running.wait_healthy()
        await_all(world, 1_500)
        assert "the first ones of which the table has rows" in alarms(running)[0]
        assert running.stop() == 0
