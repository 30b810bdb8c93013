"""`ddpm offsets`: a running pipeline is paused, moved and resumed; nothing is written twice or lost by it."""

import json
from pathlib import Path
from typing import Any

import httpx2 as httpx
import yaml

from ddpm.broker.offsets import committed
from harness.offline import ddpm
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World, json_records


def offsets(folder: Path, *arguments: str) -> dict[str, Any]:
    ran = ddpm("offsets", *arguments, "--json", "--config", str(folder / "app-config.yaml"), cwd=folder)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    (answer,) = found if isinstance(found, list) else [found]
    return dict(answer)


def test_a_running_pipeline_reads_again_from_the_beginning(world: World, tmp_path: Path) -> None:
    world.create_topic()
    world.produce(json_records([{"n": n} for n in range(300)]))
    with Ddpm(world.config(), tmp_path) as running:
        running.wait_healthy()
        world.wait_consumed()
        got = offsets(tmp_path, "get")
        assert [(row["committed"], row["end"], row["lag"]) for row in got["partitions"]] == [(100, 100, 0)] * 3
        world.execute(f'delete from "{world.table}" where partition = 1')

        shown = offsets(tmp_path, "reset", "--to-earliest", "--topic", f"{world.topic}:1", "--dry-run")
        assert (shown["moved"], shown["partitions"][0]["to"], shown["partitions"][0]["again"]) == (False, 0, 100)
        assert world.count() == 200

        reset = ("reset", "--to-earliest", "--topic", f"{world.topic}:1", "--url", running.url, "--yes")
        assert offsets(tmp_path, *reset)["moved"]
        eventually(lambda: world.count() == 300, "the records are read again")
        detail = httpx.get(f"{running.url}/v1/pipelines/pipeline", timeout=10, trust_env=False).json()
        assert detail["wish"] == "run"
        assert "pause requested" in " ".join(event["message"] for event in detail["events"])

        # A group that somebody else keeps alive is left alone.
        foreign = ("reset", "--to-earliest", "--url", "http://127.0.0.1:9", "--yes")
        ran = ddpm("offsets", *foreign, "--config", str(tmp_path / "app-config.yaml"), cwd=tmp_path)
        assert ran.returncode == 3
        assert "cannot be set" in ran.stderr
        assert running.stop() == 0
    assert world.count() == 300


def test_a_stopped_pipeline_is_moved_by_numbers_and_times(world: World, tmp_path: Path) -> None:
    world.create_topic()
    world.produce(json_records([{"n": n} for n in range(300)]))
    (tmp_path / "app-config.yaml").write_text(yaml.safe_dump(world.config()))
    away = ("--url", "http://127.0.0.1:9", "--yes")
    assert [row["committed"] for row in offsets(tmp_path, "get")["partitions"]] == [None] * 3
    for arguments, expected in (
        (("--to-latest",), 100),
        (("--by", "-40"), 60),
        (("--by=-1000",), 0),
        (("--to-datetime", "2030-01-01"), 100),
        (("--to-datetime", "1h"), 0),
    ):
        assert offsets(tmp_path, "reset", *arguments, *away)["moved"]
        reached = committed([world.bootstrap], world.group, [world.topic])
        assert set(reached.values()) == {expected}, arguments
    for wrong, said in {
        (): "say one of --to-earliest",
        ("--to-latest", "--by", "1"): "say one of --to-earliest",
        ("--to-latest", "--topic", "other"): "reads nothing of other",
        ("--to-datetime", "soon"): "is not a time",
    }.items():
        ran = ddpm("offsets", "reset", *wrong, "--config", str(tmp_path / "app-config.yaml"), cwd=tmp_path)
        assert (ran.returncode, said in ran.stderr) == (2, True), ran.stderr
