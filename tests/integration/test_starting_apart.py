"""Of several pipelines, one that cannot be prepared keeps no other from running."""

import signal
import socket
from pathlib import Path
from typing import Any

import yaml

from harness.process import Ddpm, ddpm
from harness.waiting import eventually
from harness.world import World, json_records


def config(world: World, away: str) -> dict[str, Any]:
    def own(name: str, **postgres: Any) -> dict[str, Any]:
        return {
            "kafka": {"consumer_group": f"{world.group}-{name}"},
            "postgres": {"table": f"{world.table}_{name}", **postgres},
        }

    pipelines = {"good": own("good"), "misfit": own("misfit"), "away": own("away", url=away)}
    return world.config() | {"pipelines": pipelines}


def states(running: Ddpm) -> dict[str, tuple[str, str]]:
    return {each["name"]: (each["state"], each["reason"]) for each in running.health()[1]["pipelines"]}


def test_a_dead_database_and_a_table_that_does_not_fit_leave_the_others_alone(world: World, tmp_path: Path) -> None:
    world.create_topic()
    world.produce(json_records([{"n": number} for number in range(30)]))
    misfit = f"{world.table}_misfit"
    world.execute(f'create table "{misfit}" (id uuid primary key, data text)')
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        away = f"postgresql://ddpm:hunter2secret@127.0.0.1:{closed.getsockname()[1]}/shop"
        with Ddpm(config(world, away), tmp_path) as running:
            eventually(lambda: states(running)["good"][0] == "running", "the good one runs")
            eventually(lambda: len(world.rows(table=f"{world.table}_good")) == 30, "its records are stored")
            found = states(running)
            assert found["misfit"][0] == "failed"
            assert found["misfit"][1].startswith("pipelines.misfit.postgres.table: ")
            assert found["away"][0] == "recovering"
            assert found["away"][1].startswith("pipelines.away.postgres.url: ")
            status, health = running.health()
            assert (status, "away" in str(health), "hunter2" in str(health)) == (503, True, False)
            world.execute(f'drop table "{misfit}"')
            eventually(lambda: states(running)["misfit"][0] == "running", "it is tried again by itself", 60)
            eventually(lambda: len(world.rows(table=misfit)) == 30, "and stores the records")
            assert running.stop(signal.SIGTERM) == 0
            assert "Traceback" not in running.log


def test_when_no_pipeline_can_ever_be_prepared_ddpm_ends_and_names_each(world: World, tmp_path: Path) -> None:
    wanted = config(world, world.dsn)
    del wanted["pipelines"]["good"]
    for name in wanted["pipelines"]:
        world.execute(f'create table "{world.table}_{name}" (id uuid primary key, data text)')
    (tmp_path / "app-config.yaml").write_text(yaml.safe_dump(wanted))
    ended = ddpm("run", "--config", "app-config.yaml", cwd=tmp_path)
    assert ended.returncode == 3
    assert "pipelines.misfit.postgres.table: " in ended.stderr
    assert "pipelines.away.postgres.table: " in ended.stderr
