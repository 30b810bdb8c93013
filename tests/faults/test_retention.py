"""Retention that overtakes a pipeline: what is gone is told and counted, and what is left arrives."""

from pathlib import Path

import httpx2 as httpx
from kafka import KafkaAdminClient, TopicPartition

from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World, json_records


def remove_before(world: World, offset: int) -> None:
    """What retention does, done by hand: it waits for nobody."""
    admin = KafkaAdminClient(bootstrap_servers=world.bootstrap)
    try:
        admin.delete_records({TopicPartition(world.topic, partition): offset for partition in range(3)})
    finally:
        admin.close()


def test_records_that_expire_unread_are_an_alarm_and_never_silence(world: World, tmp_path: Path) -> None:
    world.create_topic()
    world.produce(json_records([{"n": n} for n in range(300)]))
    with Ddpm(world.config(), tmp_path) as running:
        running.wait_healthy()
        world.wait_consumed()
        assert running.stop() == 0
    world.produce(json_records([{"n": n} for n in range(300, 900)]))
    remove_before(world, 200)
    with Ddpm(world.config(), tmp_path) as running:
        running.wait_healthy()
        world.wait_consumed()

        def told() -> list[str]:
            url = f"{running.url}/v1/pipelines/pipeline"
            events = httpx.get(url, timeout=10, trust_env=False).json()["events"]
            return sorted(event["message"] for event in events if event["kind"] == "alarm")

        assert eventually(told, "an alarm is among the events") == [
            f"100 offsets of {world.topic}/{partition} (100 to 199) were removed by the topic's retention before they "
            "were read"
            for partition in range(3)
        ]
        page = running.metrics()
        lines = [line for line in page.splitlines() if line.startswith("ddpm_partition_expired_offsets_total{")]
        assert len(lines) == 3
        assert all(float(line.split()[-1]) == 100 for line in lines)
        assert running.stop() == 0
    assert running.log.count("records lost to retention") == 3
    assert world.count() == 300 + 300
