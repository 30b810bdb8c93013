"""Redelivery changes nothing: several topics in one pipeline, the group reset again and again, replicas come and go."""

import json
from pathlib import Path

import httpx2 as httpx

from ddpm.broker.offsets import lag, start_over
from ddpm.broker.produce import Record, produce
from ddpm.broker.topics import TopicSpec, ensure_topics
from harness.audit import headers
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World

RECORDS = 6_000
RESETS = 2
ORIGIN = ("topic", "partition", "offset")


def test_topics_resets_and_replicas_leave_every_record_once(world: World, tmp_path: Path) -> None:
    topics = [f"{world.topic}-{letter}" for letter in "ab"]
    ensure_topics([world.bootstrap], [TopicSpec(topic, 3, 1, {}) for topic in topics])
    for topic in topics:
        # The same offsets hold different records in each topic, and every fiftieth is poison.
        values = [json.dumps({"topic": topic, "n": n if n % 50 else "bad"}).encode() for n in range(RECORDS)]
        produce([world.bootstrap], topic, [Record(value=value, partition=n % 3) for n, value in enumerate(values)])
    config = world.config(
        kafka={"topics": topics}, postgres={"columns": {"topic": "text", "n": "integer"}}, batching={"count": 100}
    )
    for _ in range(1 + RESETS):
        with Ddpm(config, tmp_path) as running:
            running.wait_healthy()
            for replicas in (3, 1, 3):
                body = {"replicas": replicas}
                answer = httpx.post(f"{running.url}/v1/pipelines/pipeline/scale", json=body, trust_env=False)
                assert answer.is_success
                eventually(lambda: running.health()[0] == 200, "it is well")
            eventually(lambda: behind(world, topics) == 0, "all is read", 120)
            assert '"event": "audit:' not in running.log, "all that was read again is explained"
            assert running.stop() == 0
        start_over([world.bootstrap], world.group, topics, 30)
    rows = world.rows('source, "partition", "offset", topic, n')
    assert len({(row["source"], row["partition"], row["offset"]) for row in rows}) == len(rows)
    expected = sorted((topic, n) for topic in topics for n in range(RECORDS) if n % 50)
    assert sorted((row["topic"], row["n"]) for row in rows) == expected
    assert len({(row["topic"], row["source"]) for row in rows}) == len(topics)
    origins = {tuple(headers(letter)[f"__connect.errors.{part}"] for part in ORIGIN) for letter in world.dead()}
    assert len(origins) == len(topics) * RECORDS // 50


def behind(world: World, topics: list[str]) -> int:
    return sum(each.offsets for each in lag([world.bootstrap], world.group, topics).values())
