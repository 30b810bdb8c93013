"""The topic of a kafka sink is away or too small: the state says so, and only what the topic never takes is dead."""

import json
from pathlib import Path

from ddpm.broker.connection import admin
from ddpm.broker.dump import dump
from ddpm.broker.produce import Record
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World, json_records


def reason(running: Ddpm) -> tuple[str, str]:
    _, body = running.health()
    now = body["pipelines"][0] if body else {"state": "", "reason": ""}
    return now["state"], now["reason"]


def copied(world: World, topic: str) -> set[int]:
    return {json.loads(record.value or b"")["n"] for record in dump([world.bootstrap], [topic])}


def test_a_topic_that_is_deleted_is_named_and_written_when_it_is_back(world: World, tmp_path: Path) -> None:
    copy = f"copy-{world.tag}"
    world.create_topic()
    config = world.config(sinks=[{"kafka": {"topic": copy}}])
    del config["app"]["postgres"]
    with Ddpm(config, tmp_path) as running, admin([world.bootstrap]) as client:
        running.wait_healthy()
        world.produce(json_records([{"n": number} for number in range(100)]))
        world.wait_consumed()
        assert copied(world, copy) == set(range(100))
        client.delete_topics([copy])
        world.produce(json_records([{"n": number} for number in range(100, 200)]))
        wanted = ("failed", f"kafka sink: the topic {copy} is not there")
        eventually(lambda: reason(running) == wanted, f"it says {wanted}", 60)
        client.create_topics({copy: {"num_partitions": 3, "replication_factor": 1}})
        world.wait_consumed()
        eventually(lambda: reason(running)[0] == "running", "it runs again", 60)
        assert running.stop() == 0
        assert running.log.count("does not take rows (topic)") == 1
    assert copied(world, copy) == set(range(100, 200))
    assert world.dead() == []


def test_a_record_that_the_topic_does_not_take_is_dead_and_in_the_table(world: World, tmp_path: Path) -> None:
    from kafka.admin import ConfigResource

    copy = f"copy-{world.tag}"
    world.create_topic()
    config = world.config(postgres={"columns": {"n": "integer"}}, sinks=["postgres", {"kafka": {"topic": copy}}])
    with Ddpm(config, tmp_path) as running, admin([world.bootstrap]) as client:
        running.wait_healthy()
        client.alter_configs([ConfigResource("TOPIC", copy, {"max.message.bytes": "10000"})])
        large = json.dumps({"n": 100, "text": "x" * 20_000}).encode()
        world.produce([*json_records([{"n": number} for number in range(100)]), Record(value=large)])
        world.wait_consumed("postgres", "kafka")
        assert running.stop() == 0
    assert copied(world, copy) == set(range(100))
    assert sorted(row["n"] for row in world.rows("n")) == list(range(101))
    (letter,) = world.dead()
    headers = dict(letter.headers)
    assert (letter.value, headers["__connect.errors.exception.class.name"]) == (large, b"too_large")
    assert headers["__connect.errors.stage"] == b"sink"
    assert headers["ddpm.errors.sink"] == b"kafka"
