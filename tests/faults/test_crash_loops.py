"""A pipeline whose engine dies again and again says so, waits longer each time, and disturbs no other."""

from pathlib import Path
from typing import Any

import httpx2 as httpx

from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World, json_records


def dying_engine(world: World, folder: Path) -> Path:
    """An engine that checks configurations as it should and then dies when it is to run."""
    path = folder / "dying-engine"
    path.write_text(
        f'#!/bin/sh\n[ "$1" = "-c" ] || exec "{world.engine}" "$@"\n'
        """echo '{"level":"error","msg":"no luck today"}' >&2\nexit 7\n"""
    )
    path.chmod(0o755)
    return path


def pipelines(ddpm: Ddpm) -> dict[str, dict[str, Any]]:
    body = httpx.get(f"{ddpm.url}/v1/pipelines", timeout=10, trust_env=False).json()
    return {each["name"]: each for each in body["pipelines"]}


def test_one_that_crash_loops_leaves_the_others_alone_and_its_last_words_are_kept(world: World, tmp_path: Path) -> None:
    world.create_topic()
    config = world.config()
    engine = {"binary": str(dying_engine(world, tmp_path))}
    config["pipelines"] = [
        {"name": "good", "kafka": {"consumer_group": world.group}},
        {
            "name": "bad",
            "engine": engine,
            "kafka": {"consumer_group": f"{world.group}-bad"},
            "postgres": {"table": f"{world.table}_bad"},
        },
    ]
    with Ddpm(config, tmp_path) as running:
        loop = eventually(
            lambda: (bad := pipelines(running)["bad"])["restarts"] >= 3 and bad, "the bad one loops", timeout=60
        )
        bad = eventually(
            lambda: (seen := pipelines(running)["bad"])["state"] == "recovering" and seen, "it waits", timeout=60
        )
        assert "exited with code 7, the 4th time in a row; starting again in" in bad["reason"]
        assert bad["next_retry"] is not None
        assert (loop["last_exit"]["code"], loop["last_exit"]["log"]) == (7, ["error: no luck today"])
        world.produce(json_records([{"n": n} for n in range(300)]))
        world.wait_consumed()
        good = pipelines(running)["good"]
        assert (good["state"], good["restarts"]) == ("running", 0)
        code, body = running.health()
        assert code == 503
        assert [each.partition(" ")[0] for each in body["culprits"]] == ["bad"]
        assert running.stop() == 0
        running.start()
        kept = eventually(lambda: pipelines(running)["bad"]["last_exit"], "the last exit of the run before is known")
        assert kept["log"] == ["error: no luck today"]
        assert running.stop() == 0
    assert world.count() == 300
