"""Pipelines that are made, changed and deleted over HTTP: they are kept, survive a restart, and only they restart."""

from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml

from harness.process import Ddpm, ddpm
from harness.shop import Shop
from harness.world import World

YAML = {"Content-Type": "application/yaml"}


@pytest.fixture
def shop(world: World, tmp_path: Path) -> Shop:
    return Shop(world, tmp_path)


def client(running: Ddpm) -> httpx.Client:
    return httpx.Client(base_url=f"{running.url}/v1", timeout=90, trust_env=False)


def engines(running: Ddpm) -> dict[str, list[int]]:
    """The process ids of the engines, by pipeline."""
    found = httpx.get(f"{running.url}/v1/pipelines", timeout=10, trust_env=False).json()["pipelines"]
    return {each["name"]: [replica["pid"] for replica in each["replicas"]] for each in found}


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert (found["status"], found["detail"]) == (status, found["error"]["message"])
    return found


def stored(shop: Shop) -> Path:
    return shop.folder / ".ddpm" / "pipelines" / "made.yaml"


def test_a_pipeline_lives_by_the_api_alone(shop: Shop) -> None:
    settings = shop.settings(filed={})
    made = shop.settings(made={})["pipelines"]["made"]
    times = yaml.safe_dump(made | {"processors": [{"mapping": "root.n = this.n * 10"}]})
    with Ddpm(settings, shop.folder) as running, client(running) as api:
        running.wait_healthy()
        before = engines(running)
        answer = api.post("/pipelines", json={"name": "made", "pipeline": made})
        assert answer.status_code == 201, answer.text
        assert (answer.json()["added"], answer.headers["location"]) == (["made"], "/v1/pipelines/made")
        first = answer.headers["etag"]
        assert stored(shop).stat().st_mode & 0o777 == 0o600
        shop.produce("made", 1)
        shop.wait_for("made", 1)
        shown = api.get("/pipelines/made/config")
        assert shown.headers["etag"] == api.get("/pipelines/made").headers["etag"] == first
        assert shown.json()["editable"]
        assert "***" in shown.json()["configuration"]["postgres"]["url"]

        assert problem(api.put("/pipelines/made", content=times, headers=YAML), 428)["hint"]
        answer = api.put("/pipelines/made", content=times, headers=YAML | {"If-Match": first})
        assert answer.status_code == 200, answer.text
        second = answer.headers["etag"]
        problem(api.put("/pipelines/made", content=times, headers=YAML | {"If-Match": first}), 412)
        problem(api.put("/pipelines/made", content=times, headers=YAML | {"If-None-Match": "*"}), 412)
        assert engines(running)["filed"] == before["filed"], "its engine was left alone"
        shop.produce("made", 2)
        shop.wait_for("made", 1, 20)
        assert running.stop() == 0
    assert "20" in ddpm("rows", "made", cwd=shop.folder).stdout, "commands know it, too"

    with running, client(running) as api:
        running.wait_healthy()
        assert api.get("/pipelines/made").headers["etag"] == second
        assert ddpm("plan", "--url", running.url, cwd=shop.folder).stdout == "nothing would change\n"
        problem(api.delete("/pipelines/made", headers={"If-Match": first}), 412)
        answer = api.delete("/pipelines/made", headers={"If-Match": second})
        assert (answer.status_code, answer.json()["removed"]) == (200, ["made"])
        assert list(stored(shop).parent.iterdir()) == []
        problem(api.delete("/pipelines/made"), 404)
        assert set(engines(running)) == {"filed"}
        records = httpx.get(f"{running.url}/v1/audit", timeout=10, trust_env=False).json()["records"]
        asked = [(each["action"], each["pipeline"], each["outcome"]) for each in records if each["pipeline"]]
        assert {("create pipeline", "made", "ok"), ("change pipeline", "made", "refused")} <= set(asked)
        assert ("delete pipeline", "made", "ok") in asked
        assert all(not each["parameters"] for each in records if each["action"] == "create pipeline")
        assert running.stop() == 0


def test_what_cannot_be_run_is_put_back(shop: Shop) -> None:
    settings = shop.settings(filed={})
    made = shop.settings(made={})["pipelines"]["made"]
    with Ddpm(settings, shop.folder) as running, client(running) as api:
        running.wait_healthy()
        tag = api.put("/pipelines/made", json=made).headers["etag"]
        before, anyhow = engines(running), {"If-Match": "*"}
        assert "app-config.yaml" in problem(api.put("/pipelines/filed", json=made), 409)["detail"]
        again = problem(api.post("/pipelines", json={"name": "made", "pipeline": made}), 409)
        assert again["detail"] == "there is a pipeline made already"

        wrong = problem(api.put("/pipelines/made", content="replicsa: 1\n", headers=YAML | anyhow), 422)
        (said,) = (each for each in wrong["problems"] if each["code"] == "unknown-field")
        assert (said["path"], said["line"], said["hint"]) == ("pipelines.made.replicsa", 1, 'did you mean "replicas"?')
        for name, status in (("made", 409), ("other", 409)):
            away = made | {"postgres": {"url": "postgresql://nobody@127.0.0.1:1/x", "table": "t"}}
            headers = anyhow if name == "made" else {}
            why = problem(api.put(f"/pipelines/{name}", json=away, headers=headers), status)["detail"]
            assert "the former configuration runs on" in why
        assert api.get("/pipelines/made").headers["etag"] == tag
        assert [each.name for each in stored(shop).parent.iterdir()] == ["made.yaml"]
        assert engines(running) == before

        # Edits that nobody asked to take up do not come along.
        shop.write(filed={"replicas": 2})
        assert "app-config.yaml changed" in problem(api.delete("/pipelines/made"), 409)["detail"]
        shop.produce("made", 1)
        shop.wait_for("made", 1)
        assert running.stop() == 0
