"""A pipeline that stands still is restarted with that reason; one that has nothing to read is left alone."""

from pathlib import Path
from typing import Any

import httpx2 as httpx
from kafka import KafkaProducer

from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World, json_records

SHIPPED = Path(__file__).parents[2] / "pipelines" / "benthos" / "pipeline.yaml"
STALL_TIMEOUT = 4
# One step of the history that the API shows.
STEP_SECONDS = 5.0


def hanging_template(folder: Path) -> Path:
    """The shipped pipeline, with a first step that never comes to an end."""
    path = folder / "hanging.yaml"
    steps = '{{ {"processors": origin + [{"sleep": {"duration": "10h"}}] + parser} | yaml(2) }}'
    text = SHIPPED.read_text().replace("{{ pipeline | yaml(2) }}", steps)
    path.write_text(text)
    return path


def pipeline(ddpm: Ddpm) -> dict[str, Any]:
    body: dict[str, Any] = httpx.get(f"{ddpm.url}/v1/pipelines/pipeline", timeout=10, trust_env=False).json()
    return body


def test_an_engine_that_takes_records_and_never_commits_is_restarted_as_stalled(world: World, tmp_path: Path) -> None:
    world.create_topic()
    world.produce(json_records([{"n": n} for n in range(30)]))
    config = world.config(
        engine={"stall_timeout": f"{STALL_TIMEOUT}s", "drain": "1s"}, pipeline_template=str(hanging_template(tmp_path))
    )
    with Ddpm(config, tmp_path) as running:
        events = eventually(
            lambda: [event for event in pipeline(running)["events"] if event["kind"] == "stall"],
            "the stall is told",
            timeout=60,
        )
        assert events[-1]["message"].startswith("stalled: no offset was committed in partition")
        assert f"of topic {world.topic}" in events[-1]["message"]
        eventually(lambda: pipeline(running)["restarts"] >= 1, "the engine is restarted", timeout=60)
        assert (
            "stalled" in pipeline(running)["last_exit"]["reason"] or "drain" in pipeline(running)["last_exit"]["reason"]
        )


def test_a_group_that_begins_at_the_end_is_no_stall_and_loses_nothing_between_two_runs(
    world: World, tmp_path: Path
) -> None:
    world.create_topic()
    world.produce(json_records([{"n": n} for n in range(30)]))
    config = world.config(kafka={"start_from": "latest"}, engine={"stall_timeout": f"{STALL_TIMEOUT}s"})
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        looks = 3 * STALL_TIMEOUT / STEP_SECONDS + 1
        eventually(lambda: len(pipeline(running)["history"]["lag"]) > looks, "time passes", timeout=60)
        now = pipeline(running)
        assert now["lag"]["records"] == 0
        assert (now["state"], now["restarts"]) == ("running", 0)
        assert running.stop() == 0
        world.produce(json_records([{"n": n} for n in range(30, 60)]))
        running.start()
        running.wait_healthy()
        world.wait_consumed()
        assert running.stop() == 0
    assert sorted(row["data"]["n"] for row in world.rows("data")) == list(range(30, 60))


def test_markers_of_transactions_at_the_end_are_no_stall(world: World, tmp_path: Path) -> None:
    world.create_topic()
    producer = KafkaProducer(bootstrap_servers=[world.bootstrap], transactional_id=f"stall-{world.tag}")
    producer.init_transactions()
    for commit in (True, False, True):
        producer.begin_transaction()
        for partition in range(3):
            producer.send(world.topic, b'{"n": 1}', partition=partition)
        producer.flush()
        producer.commit_transaction() if commit else producer.abort_transaction()
    producer.close()
    with Ddpm(world.config(engine={"stall_timeout": f"{STALL_TIMEOUT}s"}), tmp_path) as running:
        running.wait_healthy()
        eventually(lambda: world.count() >= 6, "all that can be read is in the table")
        world.wait_consumed()
        seen = len(pipeline(running)["history"]["lag"])
        looks = 3 * STALL_TIMEOUT / STEP_SECONDS + 1
        eventually(lambda: len(pipeline(running)["history"]["lag"]) > seen + looks, "time passes", timeout=60)
        now = pipeline(running)
        assert now["lag"]["records"] == 0
        assert (now["state"], now["restarts"]) == ("running", 0)
        assert [event for event in now["events"] if event["kind"] == "stall"] == []
        assert world.count() == 6, "records of an aborted transaction are no rows"
        assert running.stop() == 0
