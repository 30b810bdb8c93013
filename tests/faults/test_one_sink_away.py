"""Each sink of a pipeline is run by itself: one that is away, or wrong, holds no other one, and misses nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ddpm.broker.connection import admin
from ddpm.broker.dump import dump
from harness.process import Ddpm
from harness.proxy import Mode, Proxy
from harness.waiting import eventually
from harness.world import World, json_records

COUNT = 2_000


@pytest.fixture
def copy(world: World) -> str:
    world.create_topic()
    return f"copy-{world.tag}"


@pytest.fixture
def proxy(world: World) -> Iterator[Proxy]:
    """Stands between ddpm and Postgres."""
    at = urlsplit(world.dsn)
    assert at.hostname is not None
    assert at.port is not None
    with Proxy(at.hostname, at.port) as between:
        yield between


def config(world: World, copy: str, port: int) -> dict[str, Any]:
    at = urlsplit(world.dsn)
    url = world.dsn.replace(f":{at.port}/", f":{port}/")
    return world.config(
        name="orders",
        postgres={"url": url, "columns": {"n": "integer"}, "write_timeout": "3s"},
        sinks=["postgres", {"kafka": {"topic": copy}}],
    )


def produce(world: World, first: int) -> None:
    world.produce(json_records([{"n": number} for number in range(first, first + COUNT)]))


def written(world: World) -> list[int]:
    return sorted(row["n"] for row in world.rows("n"))


def copied(world: World, copy: str) -> list[int]:
    return sorted(json.loads(record.value or b"")["n"] for record in dump([world.bootstrap], [copy]))


def states(running: Ddpm) -> dict[str, str]:
    return {each["name"].partition(".")[2]: each["state"] for each in running.health()[1]["pipelines"]}


def test_a_database_that_is_silent_does_not_hold_the_topic(
    world: World, copy: str, proxy: Proxy, tmp_path: Path
) -> None:
    with Ddpm(config(world, copy, proxy.port), tmp_path) as running:
        running.wait_healthy()
        produce(world, 0)
        world.wait_consumed("postgres", "kafka")
        proxy.mode = Mode.BLACK_HOLE
        proxy.reset()
        produce(world, COUNT)
        world.wait_consumed("kafka")
        assert copied(world, copy) == list(range(2 * COUNT))
        eventually(lambda: states(running) == {"postgres": "degraded", "kafka": "running"}, "only one waits", 60)
        assert world.lag(".postgres") == COUNT
        proxy.mode = Mode.PASS
        proxy.reset()
        world.wait_consumed("postgres")
        running.wait_healthy()
        assert running.stop() == 0
    assert (written(world), copied(world, copy)) == (list(range(2 * COUNT)), list(range(2 * COUNT)))
    assert world.dead() == []


def test_a_topic_that_is_gone_does_not_hold_the_database(world: World, copy: str, proxy: Proxy, tmp_path: Path) -> None:
    with Ddpm(config(world, copy, proxy.port), tmp_path) as running, admin([world.bootstrap]) as client:
        running.wait_healthy()
        produce(world, 0)
        world.wait_consumed("postgres", "kafka")
        client.delete_topics([copy])
        produce(world, COUNT)
        world.wait_consumed("postgres")
        assert written(world) == list(range(2 * COUNT))
        eventually(lambda: states(running) == {"postgres": "running", "kafka": "failed"}, "only one waits", 60)
        client.create_topics({copy: {"num_partitions": 3, "replication_factor": 1}})
        world.wait_consumed("kafka")
        eventually(lambda: set(states(running).values()) == {"running"}, "both run again", 60)
        assert running.stop() == 0
    assert (written(world), copied(world, copy)) == (list(range(2 * COUNT)), list(range(COUNT, 2 * COUNT)))
    assert world.dead() == []


def test_a_database_that_is_away_from_the_start_does_not_hold_the_topic(
    world: World, copy: str, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.mode = Mode.BLACK_HOLE
    produce(world, 0)
    with Ddpm(config(world, copy, proxy.port), tmp_path) as running:
        world.wait_consumed("kafka")
        eventually(lambda: states(running) == {"postgres": "recovering", "kafka": "running"}, "one has to wait", 60)
        proxy.mode = Mode.PASS
        proxy.reset()
        world.wait_consumed("postgres")
        running.wait_healthy()
        assert running.stop() == 0
    assert (written(world), copied(world, copy)) == (list(range(COUNT)), list(range(COUNT)))
