"""A configuration that is edited while it runs is taken up: what differs changes over, the rest is left alone."""

import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2 as httpx
import pytest
import yaml

from ddpm.broker.dump import dump
from ddpm.broker.offsets import committed
from harness.process import Ddpm, ddpm
from harness.shop import Shop
from harness.waiting import eventually
from harness.world import World, json_records


@pytest.fixture
def shop(world: World, tmp_path: Path) -> Shop:
    return Shop(world, tmp_path)


def get(running: Ddpm, path: str) -> Any:
    return httpx.get(f"{running.url}{path}", timeout=10, trust_env=False).json()


def engines(running: Ddpm) -> dict[str, list[int]]:
    """The process ids of the engines, by pipeline."""
    found = get(running, "/v1/pipelines")["pipelines"]
    return {each["name"]: [replica["pid"] for replica in each["replicas"]] for each in found}


def reload(running: Ddpm, shop: Shop, *words: str) -> str:
    ran = ddpm("reload", "--url", running.url, *words, cwd=shop.folder)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_only_what_differs_is_run_otherwise(shop: Shop) -> None:
    with Ddpm(shop.settings(kept={}, edited={}, gone={}), shop.folder) as running:
        running.wait_healthy()
        for name in ("kept", "edited", "gone"):
            shop.produce(name, 1)
            shop.wait_for(name, 1)
        before = engines(running)
        shop.write(kept={}, edited={"processors": [{"mapping": "root.n = this.n * 10"}]}, new={})
        changed = eventually(lambda: get(running, "/v1/pipelines")["config_changed"], "the edit is noticed")
        assert "`ddpm reload` applies it" in changed
        said = reload(running, shop)
        assert said == "added: new; changed: edited; removed: gone\n"
        after = engines(running)
        assert after["kept"] == before["kept"], "its engine was left alone"
        assert after["edited"] != before["edited"]
        assert set(after) == {"kept", "edited", "new"}
        assert get(running, "/v1/pipelines")["config_changed"] is None
        for name in ("kept", "edited", "new"):
            shop.produce(name, 2)
        shop.wait_for("kept", 1, 2)
        shop.wait_for("edited", 1, 20)
        shop.wait_for("new", 2)
        running.wait_healthy()
        assert 'pipeline="new"' in running.metrics()
        assert 'ddpm_pipeline_state{pipeline="gone"' not in running.metrics()
        assert running.stop() == 0
    reached = committed([shop.world.bootstrap], f"{shop.world.group}-gone", [shop.topic("gone")])
    assert max(each or 0 for each in reached.values()) == 1, "it ended by a drain, and can go on"


def test_what_cannot_be_run_changes_nothing(shop: Shop) -> None:
    with Ddpm(shop.settings(orders={}), shop.folder) as running:
        running.wait_healthy()
        before = engines(running)

        def refused(**pipelines: dict[str, Any]) -> str:
            shop.write(**pipelines)
            ran = ddpm("reload", "--url", running.url, cwd=shop.folder)
            assert ran.returncode == 1, ran.stdout
            assert engines(running) == before
            return ran.stderr

        assert "processors[0].mapping" in refused(orders={"processors": [{"mapping": "root = thiss.("}]})
        assert "unknown field" in refused(orders={"kafkaa": {}})
        said = refused(orders={}, other={"postgres": {"url": "postgresql://nobody@127.0.0.1:1/x", "table": "t"}})
        assert "the former configuration runs on" in said
        wide = shop.settings(orders={})
        wide["app"]["metrics"] = {"push_gateway": "http://127.0.0.1:1"}
        (shop.folder / "app-config.yaml").write_text(yaml.safe_dump(wide))
        ran = ddpm("reload", "--url", running.url, cwd=shop.folder)
        assert "app.metrics has changed, which concerns the whole process" in ran.stderr
        shop.produce("orders", 1)
        shop.wait_for("orders", 1)
        running.wait_healthy()
        assert running.stop() == 0


def test_an_engine_that_does_not_come_up_gives_way_to_the_former_configuration(shop: Shop) -> None:
    with Ddpm(shop.settings(orders={}), shop.folder) as running:
        running.wait_healthy()
        template = shop.folder / "deaf.yaml"
        usual = (Path(__file__).parents[2] / "pipelines" / "benthos" / "pipeline.yaml").read_text()
        # The engine accepts it, and gets no connection to what it reads from.
        deaf = "input:\n  socket: {network: tcp, address: '127.0.0.1:1'}\n"
        template.write_text(usual.replace("input:\n  {{ input | yaml(2) }}\n", deaf))
        wide = {"table": shop.table("orders"), "columns": {"n": "numeric"}, "evolve": "widen"}
        shop.write(orders={"pipeline_template": str(template), "postgres": wide})
        ran = ddpm("reload", "--url", running.url, cwd=shop.folder)
        assert ran.returncode == 1, ran.stdout
        assert "the former configuration runs on: orders does not run with the new configuration" in ran.stderr
        # The table has followed, and takes what the former configuration writes.
        assert "widen the column n from bigint to numeric" in running.log
        running.wait_healthy()
        shop.produce("orders", 1)
        shop.wait_for("orders", 1)
        assert running.stop() == 0


def test_sinks_are_put_apart_and_together_again(world: World, tmp_path: Path) -> None:
    world.create_topic()
    copy = f"copy-{world.tag}"

    def settings(fan_out: str) -> dict[str, Any]:
        sinks: list[Any] = ["postgres", {"kafka": {"topic": copy}}]
        return world.config(name="orders", postgres={"columns": {"n": "bigint"}}, sinks=sinks, fan_out=fan_out)

    with Ddpm(settings("together"), tmp_path) as running:
        running.wait_healthy()
        world.produce(json_records([{"n": 1}]))
        world.wait_consumed()
        for fan_out, numbers in (("separate", [1, 2]), ("together", [1, 2, 3])):
            (tmp_path / "app-config.yaml").write_text(yaml.safe_dump(settings(fan_out)))
            ran = ddpm("reload", "--url", running.url, cwd=tmp_path)
            assert ran.returncode == 0, ran.stderr
            world.produce(json_records([{"n": numbers[-1]}]))
            world.wait_consumed(*(("postgres", "kafka") if fan_out == "separate" else ()))
            assert sorted(row["n"] for row in world.rows("n")) == numbers
        running.wait_healthy()
        assert running.stop() == 0
    assert len(list(dump([world.bootstrap], [copy]))) == 3


@pytest.mark.parametrize("way", ["SIGHUP", "--watch"])
def test_a_signal_or_a_saved_file_reloads_too(shop: Shop, way: str) -> None:
    options = ["--watch"] if way == "--watch" else []
    with Ddpm(shop.settings(orders={}), shop.folder, options=options) as running:
        running.wait_healthy()
        shop.write(orders={}, new={})
        if way == "SIGHUP":
            running.popen.send_signal(signal.SIGHUP)
        eventually(lambda: set(engines(running)) == {"orders", "new"}, "the new one is there", 30)
        running.wait_healthy()
        shop.produce("new", 1)
        shop.wait_for("new", 1)
        assert running.stop() == 0


def test_a_password_that_was_rotated_is_taken_up_by_itself(world: World, tmp_path: Path) -> None:
    role, secret = f"role_{world.tag}", tmp_path / "password"
    first, second = "First-password-1", "Second-password-2"
    world.execute(f"CREATE ROLE {role} SUPERUSER LOGIN PASSWORD '{first}'")
    secret.write_text(first + "\n")
    parts = urlsplit(world.dsn)
    url = urlunsplit(parts._replace(netloc=f"{role}:${{file:password}}@{parts.hostname}:{parts.port}"))
    world.create_topic()
    try:
        with Ddpm(world.config(postgres={"url": url, "columns": {"n": "bigint"}}), tmp_path) as running:
            running.wait_healthy()
            world.produce(json_records([{"n": 1}]))
            world.wait_consumed()
            before = engines(running)
            world.execute(
                f"ALTER ROLE {role} PASSWORD '{second}'",
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'",
            )
            world.produce(json_records([{"n": 2}]))
            secret.write_text(second + "\n")
            eventually(lambda: engines(running) != before, "its engine was started again", 60)
            world.wait_consumed()
            running.wait_healthy()
            assert sorted(row["n"] for row in world.rows("n")) == [1, 2]
            assert not world.dead()
            shown = running.log + running.metrics() + httpx.get(f"{running.url}/v1/pipelines/pipeline").text
            assert first not in shown
            assert second not in shown
            assert running.stop() == 0
        written = [path.read_bytes() for path in (tmp_path / ".ddpm").rglob("*") if path.is_file()]
        assert not any(word.encode() in content for word in (first, second) for content in written)
    finally:
        # What it made beside its table is that of other tests, too.
        world.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER", f"DROP ROLE {role}")
