"""A configuration of several files with an overlay: what a file that is added, edited or removed does."""

from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml

from harness.process import Ddpm, ddpm
from harness.shop import Shop
from harness.waiting import eventually
from harness.world import World


@pytest.fixture
def shop(world: World, tmp_path: Path) -> Shop:
    return Shop(world, tmp_path)


def engines(running: Ddpm) -> dict[str, list[int]]:
    """The process ids of the engines, by pipeline."""
    found = httpx.get(f"{running.url}/v1/pipelines", timeout=10, trust_env=False).json()["pipelines"]
    return {each["name"]: [replica["pid"] for replica in each["replicas"]] for each in found}


def put(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content))


def test_files_of_a_folder_are_taken_up_one_by_one(shop: Shop) -> None:
    whole = shop.settings(kept={}, edited={}, gone={})
    conf, overlay = shop.folder / "conf", shop.folder / "prod.yaml"
    put(conf / "app.yaml", {"app": whole["app"]})
    for name, pipeline in whole["pipelines"].items():
        put(conf / f"{name}.yaml", {"pipelines": {name: pipeline}})
    put(overlay, {"pipelines": {"edited": {"processors": [{"mapping": "root.n = this.n * 10"}]}}})
    options = ["--config", str(conf), "--overlay", str(overlay), "--set", "pipelines.kept.replicas=1", "--watch"]
    with Ddpm({}, shop.folder, options=options) as running:
        running.wait_healthy()
        for name in ("kept", "edited"):
            shop.produce(name, 1)
        shop.wait_for("kept", 1)
        shop.wait_for("edited", 10)
        before = engines(running)
        new = shop.settings(new={})["pipelines"]
        put(conf / "new.yaml", {"pipelines": {**new, "kept": {}}})
        eventually(lambda: "conf/kept.yaml, line 2" in running.log, "a name that is taken is refused, with its place")
        assert engines(running) == before

        put(conf / "new.yaml", {"pipelines": new})
        (conf / "gone.yaml").unlink()
        put(overlay, {"pipelines": {"edited": {"processors": [{"mapping": "root.n = this.n * 100"}]}}})
        eventually(lambda: set(engines(running)) == {"kept", "edited", "new"}, "the files are taken up by themselves")
        running.wait_healthy()
        after = engines(running)
        assert after["kept"] == before["kept"], "its engine was left alone"
        assert after["edited"] != before["edited"]
        shop.produce("new", 2)
        shop.produce("edited", 2)
        shop.wait_for("new", 2)
        shop.wait_for("edited", 10, 200)
        ran = ddpm("plan", "--url", running.url, *options[:-1], cwd=shop.folder)
        assert ran.stdout == "nothing would change\n", ran.stderr
        assert running.stop() == 0
