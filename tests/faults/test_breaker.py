"""A topic full of poison: the pipeline pauses and says why, and hardly a record goes to the dead letters."""

import json
from pathlib import Path
from typing import Any

from ddpm.broker.produce import Record
from harness.audit import Poison, audit, headers
from harness.process import Ddpm, ddpm
from harness.waiting import eventually
from harness.world import World, json_records

POISON = 50_000
# So many of the letters that the breaker holds back are delivered, to be looked at.
SAMPLE = 20
MESSAGE = "__connect.errors.exception.message"


def poison(count: int) -> list[Record]:
    return [Record(value=b"{broken", partition=number % 3) for number in range(count)]


def pipeline(running: Ddpm) -> dict[str, Any]:
    _, body = running.health()
    found: dict[str, Any] = body["pipelines"][0] if body else {}
    return found


def paused(running: Ddpm) -> bool:
    return bool(pipeline(running).get("state") == "paused")


def test_pure_poison_pauses_the_pipeline_and_stays_where_it_is(world: World, tmp_path: Path) -> None:
    world.create_topic()
    world.produce(poison(POISON))
    config = world.config(batching={"count": 4_000, "period": "5s"})
    with Ddpm(config, tmp_path) as running:
        eventually(lambda: paused(running), "the breaker pauses the pipeline")
        status, body = running.health()
        assert status == 503
        assert "500 of 1000 records in a row are dead, now mostly for the reason not_json" in body["culprits"][0]
        assert "ddpm_breaker_trips_total{" in running.metrics()
        assert "what the breaker holds back is not waited for" in running.log
        # It opened within the first batch: what it saw is shown all the same.
        listed = ddpm("dlq", "list", "--json", "--config", str(running.config_path), cwd=tmp_path).stdout
        assert "held back by the breaker" in listed
        assert len(world.dead()) == SAMPLE
        assert all(b"held back by the breaker" in headers(letter)[MESSAGE] for letter in world.dead())
        assert world.lag() == POISON
        assert running.stop() == 0
    # It stays paused over a restart, with the same reason, until it is resumed; then the rest is judged again.
    with Ddpm(config, tmp_path) as running:
        eventually(lambda: paused(running), "it is still paused")
        assert "paused by the breaker" in pipeline(running)["reason"]
        assert running.stop() == 0
    config["app"]["dead_letter"]["breaker"] = "off"
    with Ddpm(config, tmp_path) as running:
        eventually(lambda: paused(running), "it is still paused")
        assert ddpm("resume", "pipeline", "--url", running.url, cwd=tmp_path).returncode == 0
        world.wait_consumed()
        assert running.health()[0] == 200
        assert running.stop() == 0
    books = audit(world, lambda _: Poison("not_json"), crashed=True)
    assert books.dead == POISON


def test_a_third_of_poison_is_no_reason_to_pause(world: World, tmp_path: Path) -> None:
    world.create_topic()
    good = json_records([{"n": number} for number in range(8_000)])
    mixed = [record for pair in zip(good[::2], good[1::2], poison(4_000), strict=True) for record in pair]
    world.produce(mixed)
    with Ddpm(world.config(), tmp_path) as running:
        running.wait_healthy()
        world.wait_consumed()
        assert running.health()[0] == 200
        assert running.stop() == 0
    assert (world.count(), len(world.dead())) == (8_000, 4_000)


def test_a_bounded_run_ends_with_the_reason(world: World, tmp_path: Path) -> None:
    world.create_topic()
    world.produce(poison(5_000))
    config = world.config(once=True, engine={"drain": "2s"})
    (tmp_path / "app-config.yaml").write_text(json.dumps(config))
    ended = ddpm("run", "--config", "app-config.yaml", cwd=tmp_path)
    assert ended.returncode == 1
    assert "500 of 1000 records in a row are dead" in ended.stderr
    assert len(world.dead()) < 500 + SAMPLE


def test_what_refuses_all_rows_counts_as_well(world: World, tmp_path: Path) -> None:
    """Rows that Postgres refuses are dead letters too; the limit is the same."""
    world.create_topic()
    world.produce(json_records([{"n": "not a number"}] * 3_000))
    config = world.config(
        # Batches in the order in which they were read: side by side their records need not be in a row.
        postgres={"columns": {"n": "integer"}, "max_in_flight": 1},
        engine={"drain": "2s"},
        batching={"count": 200, "period": "20ms"},
    )
    with Ddpm(config, tmp_path) as running:
        eventually(lambda: paused(running), "the breaker pauses the pipeline")
        assert "now mostly for the reason 22P02" in pipeline(running)["reason"]
        # What passed before the limit, and the sample of what is held back since.
        assert len(world.dead()) < 500 + SAMPLE
        assert running.stop() == 0
