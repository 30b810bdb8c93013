"""`ddpm provision`: topics and tables exist afterwards, whoever else makes them at once; no engine is needed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import yaml

from ddpm.broker.offsets import Partition, watermarks
from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from harness.process import ddpm
from harness.world import World

AT_ONCE = 2


def provision(folder: Path, world: World, **sections: object) -> "CompletedProcess[str]":
    folder.mkdir(exist_ok=True)
    file = folder / "app-config.yaml"
    file.write_text(yaml.safe_dump(world.config(**sections)))
    return ddpm("provision", "--config", str(file), cwd=folder)


def corner(kafka: EmbeddedKafka, postgres: EmbeddedPostgres) -> World:
    return World(kafka.bootstrap, postgres.dsn, Path("no-engine"))


def test_several_at_once_make_everything_once_and_one_that_does_not_fit_nothing(
    kafka: EmbeddedKafka, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    world = corner(kafka, postgres)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = list(pool.map(lambda number: provision(tmp_path / str(number), world), range(AT_ONCE)))
    assert [ran.returncode for ran in runs] == [0] * AT_ONCE, [ran.stderr for ran in runs]
    assert all(f"topics {world.topic}" in ran.stdout and f"table {world.table}" in ran.stdout for ran in runs)
    assert sum("table created" in ran.stderr for ran in runs) == 1
    assert set(watermarks([world.bootstrap], [world.topic, world.dead_topic])) == {
        *(Partition(world.topic, number) for number in range(world.partitions)),
        Partition(world.dead_topic, 0),
    }
    assert world.count() == 0
    misfit = provision(tmp_path, world, postgres={"columns": {"n": "integer"}})
    assert misfit.returncode == 3, "the table may be changed as well as the configuration"
    assert world.table in misfit.stderr


def test_a_server_that_is_away_is_an_error_of_the_environment(
    kafka: EmbeddedKafka, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    world = corner(kafka, postgres)
    ran = provision(tmp_path, world, postgres={"url": "postgresql://nobody@127.0.0.1:1/nowhere"})
    assert ran.returncode == 3
    assert "127.0.0.1:1" in ran.stderr
