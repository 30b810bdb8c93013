"""The dead-letter topic is away or too small: nothing is lost, it is said, and what can be mended mends itself."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx2 as httpx

from ddpm.broker.connection import admin
from ddpm.broker.produce import Record
from harness.audit import Poison
from harness.process import Ddpm, ddpm
from harness.waiting import eventually
from harness.world import World, json_records


def state(running: Ddpm) -> dict[str, Any]:
    _, body = running.health()
    return body["pipelines"][0] if body else {"state": None, "reason": ""}


def mixed(count: int) -> list[Record]:
    records = json_records([{"n": number} for number in range(count)])
    records[::10] = [Record(value=b"{poison", partition=number % 3) for number in range(0, count, 10)]
    return records


def expected(record: Any) -> Any:
    return Poison("not_json") if record.value == b"{poison" else {"data": json.loads(record.value)}


def test_a_dead_letter_topic_that_is_deleted_is_made_again(world: World, tmp_path: Path) -> None:
    world.create_topic()
    with Ddpm(world.config(), tmp_path) as running:
        running.wait_healthy()
        with admin([world.bootstrap]) as client:
            client.delete_topics([world.dead_topic])
        world.produce(mixed(3_000))
        world.wait_consumed()
        eventually(lambda: state(running)["state"] == "running", "it runs again")
        assert "was made again" in running.log
        assert running.stop() == 0
    dead = {letter.value for letter in world.dead()}
    assert (world.count(), dead, len(world.dead())) == (2_700, {b"{poison"}, 300)


def test_a_letter_that_is_too_large_for_the_topic_is_kept_in_a_table(world: World, tmp_path: Path) -> None:
    world.create_topic()
    with Ddpm(world.config(), tmp_path) as running:
        running.wait_healthy()
        set_limit(world, 10_000)
        large = b"{" + b"\x00\xff" * 20_000
        world.produce([Record(value=large, key=b"\x00k", headers=(("own", b"\xfe"),)), Record(value=b"{small")])
        world.wait_consumed()
        assert running.stop() == 0
    kept = [each for each in world.rows(table="ddpm_dead_letters") if each["topic"] == world.topic]
    assert [letter.value for letter in world.dead()] == [b"{small"]
    (row,) = kept
    assert (bytes(row["value"]), bytes(row["key"]), row["code"]) == (large, b"\x00k", "invalid_utf8")
    headers = {name: base64.b64decode(value) for name, value in row["headers"]}
    assert headers["own"] == b"\xfe"
    assert headers["__connect.errors.topic"] == world.topic.encode()


def test_a_letter_that_is_kept_in_a_table_is_listed_shown_and_replayed_like_others(
    world: World, tmp_path: Path
) -> None:
    def dlq(*arguments: str) -> str:
        done = ddpm("dlq", *arguments, "--config", str(running.config_path), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    world.create_topic()
    large = b"{" * 20_000
    with Ddpm(world.config(), tmp_path) as running:
        running.wait_healthy()
        set_limit(world, 10_000)
        world.produce([Record(value=large), Record(value=b"{small")])
        world.wait_consumed()
        eventually(lambda: open_letters(running) == 2, "the health knows of both", 60)
        assert running.stop() == 0
    (row,) = [each for each in world.rows(table="ddpm_dead_letters") if each["topic"] == world.topic]
    entry = f"table:{row['id']}"
    assert entry in dlq("list", "--letters")
    assert json.loads(dlq("show", entry, "--json"))["value"]["size"] == len(large)
    set_limit(world, 1_000_000)
    assert "1 failed again" in dlq("replay", "--id", entry, "--yes")
    assert [letter.value for letter in world.dead()] == [b"{small", large], "now it fits"
    assert json.loads(dlq("list", "--json"))[0]["open"] == 2
    dlq("discard", "--yes")
    assert json.loads(dlq("list", "--json"))[0]["open"] == 0


def open_letters(running: Ddpm) -> int:
    found: int = httpx.get(f"{running.url}/v1/pipelines/pipeline/dead-letters", trust_env=False).json()["open"]
    return found


def test_without_a_database_a_letter_that_is_too_large_waits_and_says_so(world: World, tmp_path: Path) -> None:
    world.create_topic()
    config = world.config(sinks=["stdout"])
    del config["app"]["postgres"]
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        set_limit(world, 10_000)
        world.produce([Record(value=b"{" * 20_000)])
        eventually(lambda: "too large for the topic" in state(running)["reason"], "it says what it waits for")
        assert state(running)["state"] == "degraded"
        set_limit(world, 1_000_000)
        world.wait_consumed()
        eventually(lambda: state(running)["state"] == "running", "it runs again")
        assert running.stop() == 0
        assert running.log.count("the dead letters wait (too_large)") == 1
    assert [letter.value for letter in world.dead()] == [b"{" * 20_000]


def test_without_a_database_headers_are_cut_before_a_letter_fits_nowhere(world: World, tmp_path: Path) -> None:
    world.create_topic()
    config = world.config(sinks=["stdout"])
    del config["app"]["postgres"]
    # The letter has the last value as it is, and both once more in base64.
    headers = (("h", b"a" * 450_000), ("h", b"b" * 450_000), ("own", b"\xfe"))
    repeated = Record(value=b"{poison", key=b"k", headers=headers)
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        set_limit(world, 1_000_000)
        world.produce([repeated, Record(value=b"{small")])
        world.wait_consumed()
        assert running.stop() == 0
    large, small = sorted(world.dead(), key=lambda letter: letter.value == b"{small")
    found = dict(large.headers)
    assert (large.value, large.key, small.value) == (b"{poison", b"k", b"{small")
    assert (found["own"], found["h"]) == (b"\xfe", b"b" * 450_000)
    assert json.loads(found["ddpm.errors.headers_cut"] or b"") == ["ddpm.errors.headers"]
    assert found["__connect.errors.topic"] == world.topic.encode()


def set_limit(world: World, size: int) -> None:
    from kafka.admin import ConfigResource

    with admin([world.bootstrap]) as client:
        client.alter_configs([ConfigResource("TOPIC", world.dead_topic, {"max.message.bytes": str(size)})])
