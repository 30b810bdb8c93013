"""`ddpm dlq` on real dead letters: what it lists, shows and discards."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record, produce
from harness.audit import Poison, Row, audit
from harness.process import Ddpm, ddpm
from harness.world import World, json_records

NUMBERED = {"columns": {"n": "integer"}}
ESCAPES = "\x1b[2J\x1b]0;owned\x07"


def expected(record: RawRecord) -> Row | Poison:
    try:
        document = json.loads(record.value or b"")
    except ValueError:
        return Poison("not_json")
    return document if isinstance(document["n"], int) else Poison("22P02")


class Dlq:
    """The command, as a person in the same folder calls it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, *arguments: str, code: int = 0) -> str:
        done = ddpm("dlq", *arguments, "--config", "app-config.yaml", cwd=self._folder)
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def poisoned(world: World, tmp_path: Path) -> Iterator[Dlq]:
    """20 rows and 5 dead letters of two kinds, by a ddpm that has ended since."""
    world.create_topic()
    broken = Record(value=f"{{broken{ESCAPES}".encode(), key=b"k", headers=(("trace", ESCAPES.encode()),), partition=0)
    typed = json_records([{"n": f"x{number}"} for number in range(3)])
    world.produce([*json_records([{"n": number} for number in range(20)]), broken, broken, *typed])
    with Ddpm(world.config(postgres=NUMBERED), tmp_path) as running:
        world.wait_consumed()
        assert running.stop() == 0
    yield Dlq(tmp_path)
    assert audit(world, expected, crashed=True).rows == 20


def test_letters_are_listed_by_reason_and_one_by_one(poisoned: Dlq, world: World) -> None:
    shown = poisoned("list")
    assert "pipeline: 5 dead letters open" in shown
    (found,) = poisoned.json("list")
    assert (found["topic"], found["open"]) == (world.dead_topic, 5)
    assert [(each["stage"], each["code"], each["count"]) for each in found["reasons"]] == [
        ("sink", "22P02", 3),
        ("parse", "not_json", 2),
    ]
    assert found["reasons"][0]["message"] == 'invalid input syntax for type integer: "…"'
    assert found["reasons"][0]["first"] <= found["reasons"][0]["last"]
    (found,) = poisoned.json("list", "pipeline", "--letters", "--limit", "2", "--reason", "sink")
    assert [each["code"] for each in found["letters"]] == ["22P02", "22P02"]
    assert found["letters"][0]["failed_at"] >= found["letters"][1]["failed_at"]
    assert "… and 1 more" in poisoned("list", "--letters", "--limit", "2", "--reason", "22P02")
    assert poisoned("list", "--to", "1h") == "pipeline: no open dead letters\n"


def test_a_letter_is_shown_whole_and_harmless(poisoned: Dlq, world: World) -> None:
    (found,) = poisoned.json("list", "--letters", "--reason", "not_json")
    letter_id = found["letters"][0]["id"]
    shown = poisoned("show", letter_id)
    assert not set(shown) & set("\x1b\x07")
    for text in (f"dead letter {letter_id} of pipeline", "reason", "parse/not_json", f"{world.topic}:0:", "\\x1b[2J"):
        assert text in shown
    assert "00000000  7b 62 72 6f 6b 65 6e 1b" in poisoned("show", letter_id, "--hex")
    told = poisoned.json("show", letter_id)
    assert told["value"]["text"] == f"{{broken{ESCAPES}"
    assert told["headers"] == [{"name": "trace", "value": told["headers"][0]["value"]}]
    assert told["config_hash"]
    assert told["origin"]["source"] >= 1
    assert "there is no dead letter 0:99999" in poisoned("show", "0:99999", code=2)
    assert "is not the id of a dead letter" in poisoned("show", "latest", code=2)


def test_what_was_discarded_is_remembered(poisoned: Dlq, world: World) -> None:
    assert "there is no terminal on which to confirm this" in poisoned("discard", code=2)
    assert "2 dead letters of pipeline selected:" in poisoned("discard", "--reason", "not_json", "--dry-run")
    assert poisoned("discard", "--reason", "not_json", "--yes") == "2 dead letters of pipeline discarded\n"
    (found,) = poisoned.json("list")
    assert (found["open"], found["discarded"]) == (3, 2)
    assert "no open dead letter of pipeline is selected" in poisoned("discard", "--reason", "not_json", "--yes")
    (found,) = poisoned.json("list", "--all", "--letters")
    handled = [each["handled"]["deed"] for each in found["letters"] if each["handled"]]
    assert handled == ["discarded"] * 2
    one = next(each["id"] for each in found["letters"] if not each["handled"])
    assert poisoned.json("discard", "--id", one, "--yes")["discarded"] == 1
    assert poisoned.json("list")[0]["open"] == 2
    assert len(world.dead()) == 5, "the letters themselves stay"


def test_a_copy_of_a_letter_counts_as_the_same(poisoned: Dlq, world: World) -> None:
    first = world.dead()[0]
    copy = tuple((name, value or b"") for name, value in first.headers)
    produce([world.bootstrap], world.dead_topic, [Record(value=first.value, key=first.key, headers=copy)])
    assert poisoned.json("list")[0]["open"] == 5
    again = world.dead()[-1]
    assert poisoned.json("show", f"{again.partition}:{again.offset}")["copies"] == 2
    assert poisoned.json("discard", "--id", f"{again.partition}:{again.offset}", "--yes")["discarded"] == 1
    assert poisoned.json("list")[0]["open"] == 4
    assert poisoned.json("discard", "--yes")["discarded"] == 4
