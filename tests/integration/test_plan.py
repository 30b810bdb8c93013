"""A plan says what a changed configuration would do, and its hash carries out that and nothing else."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
import yaml

from ddpm.broker.topics import TopicSpec, ensure_topics, existing
from ddpm.engine.process import free_port
from harness.process import Ddpm, ddpm
from harness.shop import Shop
from harness.waiting import eventually
from harness.world import World


@pytest.fixture
def shop(world: World, tmp_path: Path) -> Shop:
    return Shop(world, tmp_path)


def plan(running: Ddpm, shop: Shop) -> tuple[str, dict[str, Any]]:
    """What `ddpm plan` shows, and the same as JSON."""
    shown, as_json = (ddpm("plan", *words, "--url", running.url, cwd=shop.folder) for words in ((), ("--json",)))
    assert not shown.returncode + as_json.returncode, shown.stderr + as_json.stderr
    return shown.stdout, json.loads(as_json.stdout)


def apply(running: Ddpm, shop: Shop, *words: str) -> tuple[int, str, str]:
    ran = ddpm("apply", *words, "--url", running.url, cwd=shop.folder)
    return ran.returncode, ran.stdout, ran.stderr


def listed(running: Ddpm) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{running.url}/v1/pipelines", timeout=10, trust_env=False).json()
    return found


def engines(running: Ddpm) -> dict[str, int]:
    return {each["name"]: each["replicas"][0]["pid"] for each in listed(running)["pipelines"]}


def test_a_plan_says_what_would_be_made_and_its_hash_does_that_and_nothing_else(shop: Shop) -> None:
    with Ddpm(shop.settings(kept={}, edited={}, gone={}), shop.folder) as running:
        running.wait_healthy()
        before, ran = engines(running), listed(running)["configuration"]
        assert plan(running, shop)[0] == "nothing would change\n"
        code, said, _ = apply(running, shop, "--json")
        assert (code, json.loads(said)["state"]) == (0, "done"), "a tool gets an answer as ever"

        mapping = {"processors": [{"mapping": "root.n = this.n * 10"}]}
        wide = {"kafka": {"topics": [shop.topic("new"), f"made-{shop.world.tag}"], "min_partitions": 3}}
        shop.write(kept={}, edited=mapping, new=wide)
        shown, made = plan(running, shop)
        assert re.search(r"\+ *- mapping: root.n = this.n \* 10\n", shown)
        assert "drain its engines, and start them with the new configuration [restart]" in shown
        assert f"create the topic made-{shop.world.tag}: 3 partitions, replication factor 1" in shown
        assert f"grow the topic {shop.topic('new')} from 1 to 3 partitions [key order changes]" in shown
        assert f'CREATE TABLE "public"."{shop.table("new")}"' in shown
        assert "drain its engines, and end them [stop]" in shown
        assert "kept: unchanged" in shown
        assert (urlsplit(shop.world.dsn).password or "no password") not in shown
        changes = {each["name"]: each["change"] for each in made["pipelines"]}
        assert changes == {"kept": "unchanged", "edited": "changed", "new": "added", "gone": "removed"}
        # Nothing of it has happened.
        assert engines(running) == before
        assert f"made-{shop.world.tag}" not in existing([shop.world.bootstrap])

        # Somebody makes the topic meanwhile, and edits the file.
        ensure_topics([shop.world.bootstrap], [TopicSpec(f"made-{shop.world.tag}", 3)])
        shop.write(kept={"scale": {"min": 1, "max": 2}}, edited=mapping, new=wide)
        code, _, said = apply(running, shop, "--plan", made["hash"])
        assert code == 1
        assert f"the plan {made['hash']} is stale: kept was edited since" in said
        assert f'new has no "create the topic made-{shop.world.tag}' in said
        assert engines(running) == before

        shown, made = plan(running, shop)
        assert "scale as it says by then; its engines run on [in place]" in shown
        assert apply(running, shop, "--plan", made["hash"])[:2] == (
            0,
            "added: new; changed: edited, kept; removed: gone\n",
        )
        now = engines(running)
        assert now.keys() == {"kept", "edited", "new"}
        assert now["kept"] == before["kept"], "it was changed in place"
        assert now["edited"] != before["edited"]
        running.wait_healthy()
        shop.produce("edited", 1)
        shop.wait_for("edited", 10)
        taken = listed(running)["configuration"]
        assert (taken["hash"], ran["hash"]) == (made["wanted"], made["running"])
        assert taken["since"] > ran["since"]
        detail = httpx.get(f"{running.url}/v1/pipelines/edited", timeout=10, trust_env=False).json()
        assert any(f"is {made['wanted']} from now on" in each["message"] for each in detail["events"])
        hashes = {each["config_hash"] for each in listed(running)["pipelines"] if each["name"] == "edited"}
        assert f'ddpm_pipeline_config_info{{pipeline="edited",hash="{hashes.pop()}"}} 1' in running.metrics()
        assert "ddpm_config_changed 0" in running.metrics()
        assert running.stop() == 0


def test_what_no_plan_can_do_is_said(shop: Shop) -> None:
    with Ddpm(shop.settings(orders={}), shop.folder) as running:
        running.wait_healthy()
        code, _, said = apply(running, shop, "--plan", "0123456789ab")
        assert (code, "this ddpm has made no plan 0123456789ab since it started" in said) == (1, True)

        columns = {"n": "bigint", "more": "text"}
        shop.write(orders={"postgres": {"table": shop.table("orders"), "columns": columns}}, audit={"once": True})
        eventually(lambda: "ddpm_config_changed 1" in running.metrics(), "the edit is noticed")
        shown, made = plan(running, shop)
        assert "[needs a person]" in shown
        assert f'ALTER TABLE "public"."{shop.table("orders")}" ADD COLUMN "more" text' in shown
        assert "! audit has changed, and ends by itself (once)" in shown
        assert made["obstacles"][0]["effect"] == "needs a person"
        code, _, said = apply(running, shop, "--yes")
        assert (code, "this ddpm cannot carry that out" in said) == (1, True)

        shop.write(orders={"processors": [{"mapping": "root = thiss.("}]})
        refused = ddpm("plan", "--url", running.url, cwd=shop.folder)
        assert (refused.returncode, "processors[0].mapping" in refused.stderr) == (1, True)
        settings = shop.settings(orders={"replicas": 2})
        settings["app"]["logger"] = {"level": "DEBUG"}
        (shop.folder / "app-config.yaml").write_text(yaml.safe_dump(settings))
        assert "~ ddpm: log as app.logger says by then [in place]" in plan(running, shop)[0]
        code, said, error = apply(running, shop)
        assert (code, "there is no terminal on which to confirm this" in error) == (2, True)
        assert "pass --yes, or `ddpm plan` to see what would be done" in error
        assert apply(running, shop, "--yes")[0] == 0
        assert running.stop() == 0


def test_without_a_ddpm_a_plan_is_what_a_start_would_make(shop: Shop) -> None:
    settings = shop.settings(orders={"kafka": {"topics": [f"made-{shop.world.tag}"]}})
    settings["app"]["server"] = {"port": free_port()}
    (shop.folder / "app-config.yaml").write_text(yaml.safe_dump(settings))
    ran = ddpm("plan", cwd=shop.folder)
    assert ran.returncode == 0, ran.stderr
    assert "this is what `ddpm run` would make" in ran.stderr
    assert "+ orders: added" in ran.stdout
    assert f"create the topic made-{shop.world.tag}: 3 partitions, replication factor 1" in ran.stdout
    assert f"made-{shop.world.tag}" not in existing([shop.world.bootstrap])
