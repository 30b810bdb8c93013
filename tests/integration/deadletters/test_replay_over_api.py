"""Dead letters through the API and the metrics of a running ddpm."""

import re
from pathlib import Path
from typing import Any

import httpx2 as httpx

from ddpm.broker.produce import Record
from harness.process import Ddpm, ddpm
from harness.waiting import eventually
from harness.world import World, json_records

NUMBERED = {"columns": {"n": "integer"}}


class Api:
    """The API of a running ddpm, about one pipeline's dead letters."""

    def __init__(self, running: Ddpm, pipeline: str) -> None:
        self._base = running.url.removesuffix("/health")
        self._address = f"{self._base}/v1/pipelines/{pipeline}/dead-letters"

    def get(self, path: str = "", **params: Any) -> dict[str, Any]:
        answer = httpx.get(self._address + path, params=params, trust_env=False, timeout=30)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def post(self, deed: str, **body: Any) -> dict[str, Any]:
        answer = httpx.post(f"{self._address}/{deed}", json=body, trust_env=False, timeout=30)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found


def metric(running: Ddpm, name: str, **labels: str) -> float | None:
    """One value of the page; None while it is not there."""
    for line in running.metrics().splitlines():
        found = re.fullmatch(rf"{name}\{{(.*)\}} (\S+)", line)
        if found and all(f'{key}="{value}"' in found[1] for key, value in labels.items()):
            return float(found[2])
    return None


def test_two_pipelines_share_a_topic_and_each_sees_its_own(world: World, tmp_path: Path) -> None:
    other = f"other-{world.tag}"
    config = world.config(postgres=NUMBERED)
    config["pipelines"] = {
        "first": {},
        "second": {"kafka": {"topics": [other], "consumer_group": other}, "postgres": {"table": f"t_{world.tag}"}},
    }
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        first, second = Api(running, "first"), Api(running, "second")
        eventually(lambda: metric(running, "ddpm_dead_letters_open", pipeline="first") == 0, "none is open yet")
        world.produce([*json_records([{"n": 1}, {"n": 2}]), *[Record(value=b"{x", partition=0)] * 3])
        eventually(lambda: metric(running, "ddpm_dead_letters_open", pipeline="first") == 3, "the depth is told")
        oldest = metric(running, "ddpm_dead_letters_oldest_open_timestamp_seconds", pipeline="first")
        assert oldest is not None
        assert metric(running, "ddpm_dead_letters_open", pipeline="second") == 0
        assert metric(running, "ddpm_dead_letters_oldest_open_timestamp_seconds", pipeline="second") is None
        told = first.get(letters=2)
        assert (told["open"], told["complete"], len(told["letters"])) == (3, True, 2)
        assert [(each["code"], each["count"]) for each in told["reasons"]] == [("not_json", 3)]
        assert second.get()["open"] == 0
        one = told["letters"][0]["id"]
        assert first.get(f"/{one}")["value"]["text"] == "{x"

        assert second.post("discard")["discarded"] == 0, "not the other's"
        assert first.post("discard", ids=[one])["discarded"] == 1
        assert first.get()["open"] == 2
        by_command = ddpm("dlq", "discard", "first", "--yes", "--config", "app-config.yaml", cwd=tmp_path)
        assert by_command.stdout == "2 dead letters of first discarded\n", by_command.stderr
        eventually(lambda: metric(running, "ddpm_dead_letters_open", pipeline="first") == 0, "ddpm hears of it")
        handled = metric(running, "ddpm_dead_letters_handled_total", pipeline="first", deed="discarded")
        assert handled == 3
        assert running.stop() == 0
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        eventually(
            lambda: metric(running, "ddpm_dead_letters_handled_total", pipeline="first", deed="discarded") == 3,
            "it is remembered over restarts",
        )
        assert metric(running, "ddpm_dead_letters_open", pipeline="first") == 0
        assert running.stop() == 0
