"""Each sink of a pipeline is run by itself: a group, engines, a state and dead letters of its own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml

from ddpm.broker.dump import dump
from ddpm.broker.offsets import committed
from ddpm.broker.produce import Record
from ddpm.contract import Header
from harness.process import Ddpm, ddpm
from harness.waiting import eventually
from harness.world import World, json_records

COLUMNS = {"columns": {"n": "integer"}}


@pytest.fixture
def copy(world: World) -> str:
    world.create_topic()
    return f"copy-{world.tag}"


def config(world: World, copy: str, **sections: Any) -> dict[str, Any]:
    return world.config(name="orders", postgres=COLUMNS, sinks=["postgres", {"kafka": {"topic": copy}}], **sections)


def copied(world: World, copy: str) -> list[int]:
    return sorted(json.loads(record.value or b"")["n"] for record in dump([world.bootstrap], [copy]))


def written(world: World) -> list[int]:
    return sorted(row["n"] for row in world.rows("n"))


def states(running: Ddpm) -> dict[str, str]:
    return {each["name"]: each["state"] for each in running.health()[1]["pipelines"]}


def configure(folder: Path, settings: dict[str, Any]) -> str:
    path = folder / "app-config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def get(running: Ddpm, path: str) -> Any:
    return httpx.get(f"{running.url}{path}", timeout=10, trust_env=False).json()


def test_states_lag_replicas_and_letters_are_each_sinks_own(world: World, copy: str, tmp_path: Path) -> None:
    with Ddpm(config(world, copy), tmp_path) as running:
        running.wait_healthy()
        # A document without a number is none for the table, and none of the topic's business.
        world.produce([*json_records([{"n": number} for number in range(50)]), Record(value=b'{"n": "none"}')])
        world.wait_consumed("postgres", "kafka")
        eventually(lambda: len(world.dead()) == 1, "the letter is there")
        listed = {each["name"]: each for each in get(running, "/v1/pipelines")["pipelines"]}
        assert {(each["part_of"], each["sink"]) for each in listed.values()} == {
            ("orders", "postgres"),
            ("orders", "kafka"),
        }
        assert all(len(each["replicas"]) == 1 for each in listed.values())
        detail = get(running, "/v1/pipelines/orders.kafka")
        assert detail["source"]["consumer_group"] == f"{world.group}.kafka"
        assert [sink["kind"] for sink in detail["sinks"]] == ["kafka"]

        def open_letters() -> dict[str, int | None]:
            now = get(running, "/v1/pipelines")["pipelines"]
            return {each["name"]: (each["dead_letters"] or {}).get("open") for each in now}

        eventually(lambda: open_letters() == {"orders.postgres": 1, "orders.kafka": 0}, "each counts its own letters")
        refused = httpx.post(f"{running.url}/v1/pipelines/orders/pause", json={}, timeout=10, trust_env=False)
        assert refused.status_code == httpx.codes.NOT_FOUND
        assert "orders.postgres, orders.kafka" in refused.json()["error"]["hint"]
        page = running.metrics()
        assert all(f'ddpm_lag_records{{pipeline="{name}"' in page for name in listed), page
        assert running.stop() == 0
    headers = dict(world.dead()[0].headers)
    assert (headers[Header.PIPELINE], headers[Header.SINK]) == (b"orders", b"postgres")
    assert written(world) == list(range(50))
    assert len(list(dump([world.bootstrap], [copy]))) == 51


def test_a_letter_is_replayed_into_its_own_sink_alone(world: World, copy: str, tmp_path: Path) -> None:
    settings = config(world, copy)
    path = configure(tmp_path, settings)
    with Ddpm(settings, tmp_path) as running:
        running.wait_healthy()
        world.produce([Record(value=b'{"n": "none"}'), *json_records([{"n": 1}])])
        world.wait_consumed("postgres", "kafka")
        assert running.stop() == 0
    shown = ddpm("dlq", "list", "orders", "--letters", "--config", path, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "0:0" in shown.stdout
    assert "orders.kafka: no open dead letters" in shown.stdout
    (letter,) = json.loads(
        ddpm("dlq", "list", "orders.postgres", "--letters", "--json", "--config", path, cwd=tmp_path).stdout
    )[0]["letters"]
    whole = json.loads(ddpm("dlq", "show", letter["id"], "--json", "--config", path, cwd=tmp_path).stdout)
    assert (whole["pipeline"], whole["sink"]) == ("orders.postgres", "postgres")
    # The table takes it by now; the topic has it already.
    mended = config(world, copy, processors=[{"mapping": "root = this\nroot.n = this.n.number().catch(7)"}])
    path = configure(tmp_path, mended)
    before = len(list(dump([world.bootstrap], [copy])))
    replayed = ddpm("dlq", "replay", "orders", "--yes", "--json", "--config", path, cwd=tmp_path)
    assert replayed.returncode == 0, replayed.stderr
    found = {each["pipeline"]: each["replayed"] for each in json.loads(replayed.stdout)}
    assert found == {"orders.postgres": 1, "orders.kafka": 0}
    assert written(world) == [1, 7]
    assert len(list(dump([world.bootstrap], [copy]))) == before


def test_all_or_one_of_them_are_paused_and_stay_so(world: World, copy: str, tmp_path: Path) -> None:
    with Ddpm(config(world, copy), tmp_path) as running:
        running.wait_healthy()

        def asked(*words: str) -> str:
            ran = ddpm(*words, "--url", running.url, cwd=tmp_path)
            assert ran.returncode == 0, ran.stderr
            return ran.stdout

        asked("pause", "orders.kafka")
        assert states(running) == {"orders.postgres": "running", "orders.kafka": "paused"}
        world.produce(json_records([{"n": 1}]))
        world.wait_consumed("postgres")
        assert asked("pause", "orders").count(" is paused") == 2
        assert set(states(running).values()) == {"paused"}
        assert "orders.postgres" in asked("status", "orders")
        asked("resume")
        assert set(states(running).values()) == {"running"}
        world.wait_consumed("postgres", "kafka")
        assert running.stop() == 0
    assert (written(world), copied(world, copy)) == ([1], [1])


def reached(world: World, group: str) -> Mapping[Any, int | None]:
    return committed([world.bootstrap], group, [world.topic])


def test_sinks_that_are_run_otherwise_go_on_where_they_were(world: World, copy: str, tmp_path: Path) -> None:
    """Together, each by itself, and together again: nothing is missing, and no topic gets a record twice."""

    def run(fan_out: str, first: int, *sinks: str) -> None:
        with Ddpm(config(world, copy, fan_out=fan_out), tmp_path) as running:
            running.wait_healthy()
            world.produce(json_records([{"n": number} for number in range(first, first + 30)]))
            world.wait_consumed(*sinks)
            assert running.stop() == 0

    run("together", 0)
    run("separate", 30, "postgres", "kafka")
    assert (written(world), copied(world, copy)) == (list(range(60)), list(range(60)))
    run("together", 60)
    assert set(reached(world, f"{world.group}.kafka").values()) == {None}
    run("separate", 90, "postgres", "kafka")
    assert (written(world), copied(world, copy)) == (list(range(120)), list(range(120)))


def test_a_sink_that_was_behind_misses_nothing_when_it_is_left_alone(world: World, copy: str, tmp_path: Path) -> None:
    # A group that begins anew would begin at the end.
    latest = {"kafka": {"start_from": "latest"}}
    with Ddpm(config(world, copy, **latest), tmp_path) as running:
        running.wait_healthy()
        world.produce(json_records([{"n": number} for number in range(30)]))
        world.wait_consumed("postgres", "kafka")
        ran = ddpm("pause", "orders.kafka", "--url", running.url, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        world.produce(json_records([{"n": number} for number in range(30, 60)]))
        world.wait_consumed("postgres")
        assert running.stop() == 0
    only = config(world, copy, **latest)
    only["app"]["sinks"] = [{"kafka": {"topic": copy}}]
    with Ddpm(only, tmp_path) as running:
        eventually(lambda: states(running) == {"orders": "paused"}, "it is paused, as its only sink was")
        ran = ddpm("resume", "orders", "--url", running.url, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        world.wait_consumed()
        assert running.stop() == 0
    assert copied(world, copy) == list(range(60))


def test_pauses_go_along_when_sinks_are_run_otherwise(world: World, copy: str, tmp_path: Path) -> None:
    def run(fan_out: str, expected: dict[str, str], *words: str) -> None:
        with Ddpm(config(world, copy, fan_out=fan_out), tmp_path) as running:
            eventually(lambda: states(running) == expected, f"the states are {expected}")
            if words:
                ran = ddpm(*words, "--url", running.url, cwd=tmp_path)
                assert ran.returncode == 0, ran.stderr
            assert running.stop() == 0

    run("separate", {"orders.postgres": "running", "orders.kafka": "running"}, "pause", "orders.kafka")
    run("separate", {"orders.postgres": "running", "orders.kafka": "paused"})
    run("together", {"orders": "paused"})
    run("separate", {"orders.postgres": "paused", "orders.kafka": "paused"}, "resume")
    run("together", {"orders": "running"})


def test_a_record_that_no_sink_got_is_replayed_once_into_each_however_they_are_run(
    world: World, copy: str, tmp_path: Path
) -> None:
    """Written while they are run together, replayed into one by itself, and into the other together again."""
    broken, mended = "root = this\nroot.n = this.m.number()", "root = this\nroot.n = this.n"
    with Ddpm(config(world, copy, fan_out="together", processors=[{"mapping": broken}]), tmp_path) as running:
        running.wait_healthy()
        world.produce(json_records([{"n": 1}]))
        world.wait_consumed()
        assert running.stop() == 0

    def listed(fan_out: str) -> dict[str, list[str | None]]:
        path = configure(tmp_path, config(world, copy, fan_out=fan_out, processors=[{"mapping": mended}]))
        found = ddpm("dlq", "list", "orders", "--letters", "--json", "--config", path, cwd=tmp_path)
        assert found.returncode == 0, found.stderr
        return {each["pipeline"]: [letter["sink"] for letter in each["letters"]] for each in json.loads(found.stdout)}

    def replay(name: str) -> None:
        path = str(tmp_path / "app-config.yaml")
        ran = ddpm("dlq", "replay", name, "--yes", "--config", path, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr

    assert listed("together") == {"orders": [None]}
    assert listed("separate") == {"orders.postgres": ["postgres"], "orders.kafka": ["kafka"]}
    replay("orders.kafka")
    assert copied(world, copy) == [1]
    assert listed("separate") == {"orders.postgres": ["postgres"], "orders.kafka": []}
    assert listed("together") == {"orders": ["postgres"]}
    replay("orders")
    assert listed("together") == {"orders": []}
    assert (written(world), copied(world, copy)) == ([1], [1])


def test_letters_of_a_sink_that_is_gone_keep_no_other_letters(world: World, copy: str, tmp_path: Path) -> None:
    gone = f"gone-{world.tag}"
    settings = config(world, copy, processors=[{"mapping": "root = this\nroot.n = this.m.number()"}])
    settings["app"]["sinks"].append({"kafka": {"topic": gone, "name": "a-gone-one"}})
    with Ddpm(settings, tmp_path) as running:
        running.wait_healthy()
        world.produce(json_records([{"n": 1}]))
        world.wait_consumed("postgres", "kafka", "a-gone-one")
        eventually(lambda: len(world.dead()) == 3, "the letters are there")
        assert running.stop() == 0
    path = configure(tmp_path, config(world, copy))
    ran = ddpm("dlq", "replay", "orders", "--yes", "--config", path, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "it has no sink a-gone-one any more" in ran.stderr
    assert (written(world), copied(world, copy)) == ([1], [1])
