"""`ddpm peek`: records as they lie in a topic and as the pipeline takes them, while nothing reads for it."""

import json
from pathlib import Path

import pytest
import yaml

from ddpm.broker.members import members
from ddpm.broker.offsets import committed
from ddpm.broker.produce import Record
from harness.offline import ddpm
from harness.world import World

SETTINGS = {
    "postgres": {"columns": {"n": "bigint"}},
    "processors": [{"filter": "this.n != 0"}, {"mapping": "root.n = this.n * 2"}],
}


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    world.create_topic()
    big = 2**53 + 1
    values = [json.dumps({"n": big}).encode(), b"\x1b[31mpoison", b'{"n": 0}', None]
    for index, value in enumerate(values):
        headers = (("trace", b"\x00a"),) if index == 0 else ()
        world.produce([Record(value=value, key=f"key {index}".encode(), partition=1, headers=headers)])
    (tmp_path / "app-config.yaml").write_text(yaml.safe_dump(world.config(**SETTINGS)))
    return tmp_path


def peek(folder: Path, *words: str) -> str:
    ran = ddpm("peek", *words, "--config", str(folder / "app-config.yaml"), cwd=folder)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_record_is_shown_raw_and_step_by_step(world: World, folder: Path) -> None:
    shown = peek(folder, f"{world.topic}:1:0")
    assert f"{world.topic}:1:0: 23 bytes" in shown
    assert "key key 0" in shown
    assert r"header trace: \x00a" in shown
    assert '"n": 9007199254740993' in shown, "every digit as it was parsed"
    assert "18014398509481986" in shown, "and what the mapping makes of it"
    raw = peek(folder, f"{world.topic}:1:1", "--raw")
    assert "1b 5b 33 31 6d" in raw
    assert "\x1b" not in raw, "nothing in a record acts on the terminal"
    assert "dead letter: parse" in peek(folder, f"{world.topic}:1:1")


def test_the_newest_are_shown_in_the_order_that_they_were_written(world: World, folder: Path) -> None:
    lines = [json.loads(line) for line in peek(folder, "-n", "3", "--json").splitlines()]
    assert [(each["partition"], each["offset"]) for each in lines] == [(1, 1), (1, 2), (1, 3)]
    assert [each["key"] for each in lines] == ["key 1", "key 2", "key 3"]
    outcomes = [[document["outcome"] for document in each["answer"]["documents"]] for each in lines]
    assert outcomes == [["dead_letter"], ["filtered"], ["dead_letter"]]
    assert lines[-1]["value"] is None


def test_nobody_notices(world: World, folder: Path) -> None:
    peek(folder, "pipeline", "-n", "1")
    assert set(committed([world.bootstrap], world.group, [world.topic]).values()) == {None}
    assert members([world.bootstrap], world.group) == ()


def test_what_is_not_there_is_said_with_the_way_on(world: World, folder: Path) -> None:
    ran = ddpm("peek", f"{world.topic}:1:77", "--config", str(folder / "app-config.yaml"), cwd=folder)
    assert ran.returncode == 2
    assert f"there is no record at {world.topic}:1:77" in ran.stderr
    assert f"`ddpm trace {world.topic}:1:77` says why" in ran.stderr
