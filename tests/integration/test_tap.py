"""`ddpm tap` beside a pipeline that runs: what it shows at each place, and that the pipeline does not notice."""

import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml

from ddpm.broker.members import members
from ddpm.broker.produce import Record
from ddpm.broker.topics import TopicSpec, ensure_topics
from harness.process import THIS_DDPM, Ddpm, ddpm
from harness.waiting import eventually
from harness.world import World, json_records

EMAIL = "bob@example.org"


class Tap:
    """One that runs; its lines as they come."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._out, self._err = folder / "tap.out", folder / "tap.err"
        with self._out.open("w") as out, self._err.open("w") as err:
            command = [*THIS_DDPM, "tap", *words, "--config", str(folder / "app-config.yaml")]
            self.popen = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    @property
    def lines(self) -> list[str]:
        return self._out.read_text().splitlines()

    @property
    def said(self) -> str:
        return self._err.read_text()

    def end(self) -> int:
        self.popen.send_signal(signal.SIGINT)
        return self.popen.wait(30)


@contextmanager
def tapping(folder: Path, *words: str) -> Iterator[Tap]:
    tap = Tap(folder, *words)
    try:
        eventually(lambda: "waiting for records" in tap.said or tap.popen.poll() is not None, "it begins", 60)
        yield tap
    finally:
        if tap.popen.poll() is None:
            tap.popen.kill()
        tap.popen.wait()


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    """With a configuration of a pipeline, which need not run."""
    world.create_topic()
    config = world.config(
        processors=[
            {"mapping": "root = this\nroot.double = this.n * 2"},
            {"mapping": 'root = if this.exists("bad") { throw("bad address " + this.email) }'},
        ],
        postgres={
            "columns": {
                "n": "integer",
                "double": "integer",
                "contact": {"type": "text", "from": "email"},
                "born": "date",
            }
        },
        privacy={"mask": ["email", "born"]},
    )
    (tmp_path / "app-config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def records(*numbers: int) -> list[Record]:
    return json_records([{"n": number, "email": EMAIL} for number in numbers])


def settings(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "app-config.yaml").read_text())
    return found


def numbers(lines: Sequence[str]) -> set[int]:
    return {json.loads(json.loads(line)["value"])["n"] for line in lines}


def test_what_comes_is_shown_at_each_place_and_the_pipeline_does_not_notice(world: World, folder: Path) -> None:
    world.produce(records(0))
    with Ddpm(settings(folder), folder) as running:
        running.wait_healthy()
        world.wait_consumed()
        before = [each.client_id for each in members(world.brokers, world.group)]
        with (
            tapping(folder) as source,
            tapping_at(folder, "sink", "--filter", "this.double >= 20") as sink,
            tapping_at(folder, "dead-letters", "--json") as letters,
        ):
            world.produce([*records(7, 10), Record(value=b"poison", key=b"k")])
            eventually(lambda: len(source.lines) == 3 and len(sink.lines) == 1 and letters.lines, "all is shown", 30)
            assert [each.client_id for each in members(world.brokers, world.group)] == before
            assert (source.end(), sink.end(), letters.end()) == (0, 0, 0)
        world.wait_consumed()
        assert world.count() == 3
        assert running.stop() == 0
    shown = "\n".join([*source.lines, *sink.lines, *letters.lines])
    assert EMAIL not in shown
    assert any('"n": 7' in line and '"email": "***"' in line for line in source.lines)
    assert any("(6 bytes, not shown: privacy.mask)" in line and "k" in line for line in source.lines)
    assert {"n=10", "double=20", "contact=***"} <= set(sink.lines[0].split())
    letter = json.loads(letters.lines[0])
    assert (letter["stage"], letter["code"], letter["topic"]) == ("parse", "not_json", world.topic)


@contextmanager
def tapping_at(folder: Path, place: str, *words: str) -> Iterator[Tap]:
    own = folder / place
    own.mkdir()
    (own / "app-config.yaml").write_text((folder / "app-config.yaml").read_text())
    with tapping(own, "--at", place, *words) as tap:
        yield tap


def test_a_filter_a_rate_and_a_number(world: World, folder: Path) -> None:
    with tapping(folder, "--json", "--filter", "this.n % 2 == 0", "-n", "2") as tap:
        world.produce([Record(value=b"poison"), *records(1, 2, 3, 4, 5)])
        assert tap.popen.wait(30) == 0
        assert len(tap.lines) == 2
        assert numbers(tap.lines) <= {2, 4}
    with tapping(folder, "--rate", "5") as tap:
        world.produce(records(*range(2_000)))
        eventually(lambda: "left out (--rate 5)" in tap.said, "it says what it left out", 30)
        shown = len(tap.lines)
        assert tap.end() == 0
        assert 5 <= shown < 200


def test_partitions_that_are_added_are_looked_at_too(world: World, folder: Path) -> None:
    with tapping(folder, "--json") as tap:
        ensure_topics(world.brokers, [TopicSpec(world.topic, world.partitions + 1)])
        world.produce([replace(each, partition=world.partitions) for each in records(*range(100))])
        eventually(lambda: len(tap.lines) >= 10, "those of the new partition are shown", 60)
        assert {json.loads(line)["partition"] for line in tap.lines} == {world.partitions}


def test_the_api_shows_the_newest_records_and_what_becomes_of_each(world: World, folder: Path) -> None:
    world.produce([*records(1, 2), Record(value=b"\xff")])
    with Ddpm(settings(folder), folder) as running:
        running.wait_healthy()
        answer = httpx.get(f"{running.url}/v1/pipelines/pipeline/records?count=3", timeout=30, trust_env=False)
        assert answer.status_code == 200, answer.text
        assert EMAIL not in answer.text
        found = answer.json()["records"]
        written = [each["documents"][0] for each in found if each["documents"][0]["outcome"] == "written"]
        values = [{cell["column"]: cell["value"] for cell in each["columns"]} for each in written]
        assert sorted(each["double"] or "" for each in values) == ["2", "4"]
        assert {each["contact"] for each in values} == {"***"}
        (poison,) = (each for each in found if each["documents"][0]["outcome"] == "dead_letter")
        assert poison["value"]["text"] == "(1 byte, not shown: privacy.mask)"
        assert running.stop() == 0


def test_a_filter_that_cannot_be_read_is_told(world: World, folder: Path) -> None:
    ran = ddpm("tap", "--filter", "this.n = 1", cwd=folder)
    assert ran.returncode == 2, ran.stderr
    assert 'the filter cannot be used: "=" assigns; compare with "=="' in ran.stderr


def dead_letters(running: Ddpm) -> httpx.Response:
    return httpx.get(f"{running.url}/v1/pipelines/pipeline/dead-letters?letters=9", timeout=10, trust_env=False)


def test_rows_and_dead_letters_are_shown_without_what_is_hidden(world: World, folder: Path) -> None:
    refused = [{"n": 3, "email": EMAIL, "born": EMAIL}, {"n": 4, "email": EMAIL, "bad": True}]
    world.produce([*records(1), *json_records(refused)])
    with Ddpm(settings(folder), folder) as running:
        running.wait_healthy()
        world.wait_consumed()
        assert EMAIL not in httpx.get(f"{running.url}/v1/logs?lines=1000", timeout=10, trust_env=False).text
        eventually(lambda: dead_letters(running).json()["open"] == 2, "they are counted", 30)
        dead = dead_letters(running)
        assert len(dead.json()["letters"]) == 2
        assert any("bad address ***" in each["message"] for each in dead.json()["reasons"])
        assert EMAIL not in dead.text
        assert running.stop() == 0
    assert "records refused, the first one:" in running.log
    assert EMAIL not in running.log
    listed = (("dlq", "list"), ("dlq", "list", "--letters"), ("dlq", "list", "--json", "--letters"))
    commands = (("rows",), ("rows", "--json"), *listed)
    said = [ddpm(*words, cwd=folder) for words in (*commands, ("peek",), ("peek", "--json"), ("peek", "--raw"))]
    letter, _ = world.dead()
    said.append(ddpm("dlq", "show", f"{letter.partition}:{letter.offset}", cwd=folder))
    assert [each.returncode for each in said] == [0] * len(said), [each.stderr for each in said]
    assert [EMAIL in each.stdout for each in said] == [False] * len(said)
    assert all("***" in each.stdout or words[0] == "dlq" for each, words in zip(said, commands, strict=False))
    assert letter.value is not None
    assert EMAIL.encode() in letter.value, "what is kept is whole"
