"""Dead letters of a pipeline on the embedded servers, which only their ddpm knows the addresses of."""

from pathlib import Path

import yaml

from ddpm.devstack.running import running_bootstrap, running_dsn
from harness.process import Ddpm, ddpm
from harness.waiting import eventually
from harness.world import World


def test_letters_are_replayed_beside_a_running_ddpm(engine_binary: Path, tmp_path: Path) -> None:
    section = {
        "kafka": {"brokers": ["embedded"], "topics": ["events"], "consumer_group": "g"},
        "postgres": {"url": "embedded", "table": "events", "columns": {"n": "integer"}},
        "engine": {"binary": str(engine_binary)},
        "server": {"port": 0},
    }
    with Ddpm({"app": section}, tmp_path) as running:
        running.wait_healthy()
        data = tmp_path / ".ddpm"
        world = World(running_bootstrap(data), running_dsn(data), engine_binary, partitions=1, tag="x")
        lines = tmp_path / "records"
        lines.write_text('{"n": 1}\n{"n": "2x"}\n')
        assert command(tmp_path, "produce", str(lines)) == "2 records produced into events\n"
        eventually(lambda: "pipeline: 1 dead letter open" in command(tmp_path, "dlq", "list"), "it is a dead letter")
        section["processors"] = [{"mapping": 'root.n = this.n.string().trim_suffix("x").number()'}]
        (tmp_path / "app-config.yaml").write_text(yaml.safe_dump({"app": section}))
        said = command(tmp_path, "dlq", "replay", "--yes")
        assert said == "1 dead letter of pipeline replayed: 1 landed, 0 failed again\n"
        assert sorted(row["n"] for row in world.rows(table="events")) == [1, 2]
        assert running.stop() == 0


def command(folder: Path, *arguments: str) -> str:
    done = ddpm(*arguments, "--config", "app-config.yaml", cwd=folder)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout
