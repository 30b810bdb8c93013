"""The membership of an engine that is killed is ended at once, and nobody else's is touched."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from confluent_kafka import Consumer

from ddpm.broker.connection import admin
from ddpm.broker.members import members as known
from ddpm.broker.produce import Record
from ddpm.broker.topics import TopicSpec, ensure_topics
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World

STRANGER = "somebody-else"
TOLD = "engines that ended without leaving their group were removed from it"


def members(world: World) -> dict[str, str]:
    """The id of each member of the group, by what it calls itself."""
    known([world.bootstrap], world.group)  # waits until the broker keeps groups at all
    with admin([world.bootstrap]) as client:
        found = client.describe_groups([world.group])[world.group]["members"]
    return {each["client_id"]: each["member_id"] for each in found}


def replicas(running: Ddpm) -> list[dict[str, Any]]:
    answer = httpx.get(f"{running.url}/v1/pipelines/pipeline", timeout=10, trust_env=False)
    found: list[dict[str, Any]] = answer.json()["replicas"]
    return found


def kill(running: Ddpm, world: World, index: int) -> str:
    """kill -9 of a replica's engine; returns what it called itself, once its membership has ended."""
    pid = replicas(running)[index]["pid"]
    (name,) = (each for each in members(world) if each.startswith(f"ddpm-pipeline.{index}."))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: running.log.count(TOLD), "the group is told")
    assert name not in members(world)
    return name


def send(world: World, numbers: range) -> None:
    values = [json.dumps({"n": n}).encode() for n in numbers]
    world.produce(Record(value=value, partition=at % 3) for at, value in enumerate(values))


@contextmanager
def stranger(world: World) -> Iterator[None]:
    """A consumer of something else in the same group, as of a team that took the name as well."""
    topic = f"other-{world.tag}"
    ensure_topics([world.bootstrap], [TopicSpec(topic, 1)])
    stop = threading.Event()
    consumer = Consumer(
        {
            "bootstrap.servers": world.bootstrap,
            "group.id": world.group,
            "client.id": STRANGER,
            # All members of a group have to know one way to share partitions out.
            "partition.assignment.strategy": "cooperative-sticky",
        }
    )
    consumer.subscribe([topic])

    def poll() -> None:
        while not stop.is_set():
            consumer.poll(0.1)

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        eventually(lambda: STRANGER in members(world), "the stranger has joined")
        yield
    finally:
        stop.set()
        thread.join()
        consumer.close()


def test_the_only_engine_comes_back_without_waiting_for_the_session_of_the_one_before(
    world: World, tmp_path: Path
) -> None:
    with Ddpm(world.config(postgres={"columns": {"n": "integer"}}), tmp_path) as running:
        running.wait_healthy()
        send(world, range(300))
        world.wait_consumed()
        gone = kill(running, world, 0)
        send(world, range(300, 600))
        world.wait_consumed()
        (present,) = members(world)
        assert present.startswith("ddpm-pipeline.0.")
        assert present != gone
        assert running.stop() == 0
        assert members(world) == {}, "an engine that drains leaves by itself"
    assert sorted(row["n"] for row in world.rows("n")) == list(range(600))


def test_nobody_elses_membership_is_ended(world: World, tmp_path: Path) -> None:
    world.create_topic()
    config = world.config(postgres={"columns": {"n": "integer"}}, replicas=2)
    with stranger(world), Ddpm(config, tmp_path) as running:
        eventually(lambda: len(members(world)) == 3, "both replicas and the stranger are in the group", 60)
        before = members(world)
        gone = kill(running, world, 0)
        eventually(lambda: len(members(world)) == 3, "the engine is back")
        after = members(world)
        assert {name: after.get(name) for name in before.keys() - {gone}} == {
            name: member for name, member in before.items() if name != gone
        }
        assert running.log.count(TOLD) == 1
        send(world, range(300))
        world.wait_consumed()
        assert running.stop() == 0
    assert sorted(row["n"] for row in world.rows("n")) == list(range(300))


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSEGV])
def test_an_engine_that_crashes_is_seen_off_like_one_that_is_killed(
    world: World, tmp_path: Path, signum: signal.Signals
) -> None:
    with Ddpm(world.config(), tmp_path) as running:
        running.wait_healthy()
        eventually(lambda: members(world), "the engine is in its group")
        os.kill(replicas(running)[0]["pid"], signum)
        eventually(lambda: running.log.count(TOLD), "the group is told")
        assert running.stop() == 0
