"""A sink that is one Python file outside of ddpm."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from harness import outside
from harness.process import THIS_DDPM, Ddpm
from harness.waiting import eventually
from harness.world import World, json_records


@pytest.fixture
def site(tmp_path: Path) -> dict[str, str]:
    folder = outside.install(tmp_path / "site")
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}


def ddpm(site: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*THIS_DDPM, *words], env=os.environ | site, capture_output=True, text=True, check=False)


def test_a_sink_in_one_file_outside_gets_every_document(world: World, tmp_path: Path, site: dict[str, str]) -> None:
    file = tmp_path / "made" / "orders.jsonl"
    world.create_topic()
    world.produce(json_records([{"n": number} for number in range(1_000)]))
    sinks: list[Any] = ["postgres", {"text_file": {"path": str(file)}}]
    columns = {"columns": {"n": "integer"}}
    with Ddpm(world.config(postgres=columns, sinks=sinks), tmp_path, env=site) as running:
        world.wait_consumed("postgres", "text_file")
        told = httpx.get(f"{running.url}/v1/pipelines/pipeline.text_file").json()
        counted = 'ddpm_engine_sink_rows_total{pipeline="pipeline.text_file",replica="0"} 1000'
        eventually(lambda: counted in running.metrics(), "the page of metrics counts them")
        assert running.stop() == 0
    assert sorted(json.loads(line)["n"] for line in file.read_text().splitlines()) == list(range(1_000))
    assert sorted(row["n"] for row in world.rows()) == list(range(1_000))
    assert ("text_file", str(file)) in {(sink["kind"], sink["name"]) for sink in told["sinks"]}


def test_it_alone_needs_no_table_and_passes_what_processors_made(
    world: World, tmp_path: Path, site: dict[str, str]
) -> None:
    file = tmp_path / "orders.jsonl"
    world.create_topic()
    world.produce(json_records([{"n": number} for number in range(10)]))
    config = world.config(
        sinks=[{"text_file": {"path": str(file)}}], processors=[{"mapping": "root.twice = this.n * 2"}]
    )
    del config["app"]["postgres"]
    with Ddpm(config, tmp_path, env=site) as running:
        world.wait_consumed()
        assert running.stop() == 0
    assert sorted(json.loads(line)["twice"] for line in file.read_text().splitlines()) == list(range(0, 20, 2))


def test_records_wait_while_it_is_away_and_the_reason_is_told(
    world: World, tmp_path: Path, site: dict[str, str]
) -> None:
    """A folder in the file's place, which also root cannot write to."""
    file = tmp_path / "orders.jsonl"
    file.mkdir()
    world.create_topic()
    world.produce(json_records([{"n": number} for number in range(10)]))
    with Ddpm(world.config(sinks=[{"text_file": {"path": str(file)}}]), tmp_path, env=site) as running:
        reason = eventually(lambda: waits(running), "the pipeline says that it waits", timeout=60)
        assert "is a directory" in reason
        file.rmdir()
        world.wait_consumed()
        assert running.stop() == 0
    assert len(file.read_text().splitlines()) == 10
    assert world.dead() == []


def waits(running: Ddpm) -> str | None:
    told = httpx.get(f"{running.url}/v1/pipelines/pipeline").json()
    reason: str = told["reason"]
    return reason if "text_file sink: " in reason else None


def test_what_it_says_of_itself_is_shown(site: dict[str, str]) -> None:
    assert "text_file  sink    a text file, a document a line, at least once" in ddpm(site, "plugins", "list").stdout
    assert "the file; its folder is made" in ddpm(site, "plugins", "describe", "text_file").stdout
    assert "- a record that comes again changes nothing" not in ddpm(site, "plugins", "describe", "text_file").stdout
    schema = json.loads(ddpm(site, "schema").stdout)
    assert schema["$defs"]["sinks.text_file"]["properties"]["path"]["examples"] == ["/data/orders.jsonl"]


def test_one_that_is_broken_is_listed_with_what_is_wrong(tmp_path: Path) -> None:
    folder = outside.install(tmp_path / "site", "text_file = text_sink:Nothing")
    listed = ddpm({"PYTHONPATH": str(folder)}, "plugins", "list")
    assert listed.returncode == 0
    assert "text_file  sink    the sink" in listed.stdout
    assert "cannot be imported: AttributeError" in listed.stdout
