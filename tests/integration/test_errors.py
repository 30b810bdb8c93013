"""What a user sees when something is wrong: one clear message, the right exit code, nothing half-made."""

import socket
import stat
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from harness.process import ddpm
from harness.world import World


def run(world: World, folder: Path, **sections: Any) -> tuple[int, str]:
    path = folder / "app-config.yaml"
    path.write_text(yaml.safe_dump(world.config(**sections)))
    ended = ddpm("run", "--config", str(path), cwd=folder)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr


def made(world: World) -> list[str]:
    """Tables and topics of this world that exist."""
    with psycopg.connect(world.dsn) as connection:
        found = connection.execute("select to_regclass(%s)::text", [world.table]).fetchone()
    from ddpm.broker.topics import existing

    topics = existing([world.bootstrap])
    return [name for name in (found and found[0], world.topic in topics and world.topic) if name]


def test_unknown_key_with_a_suggestion(world: World, tmp_path: Path) -> None:
    code, message = run(world, tmp_path, postgres={"tabel": "x"})
    assert code == 2
    assert "error[unknown-field] app.postgres.tabel: unknown field" in message
    assert 'did you mean "table"?' in message
    assert made(world) == []


def test_empty_topics(world: World, tmp_path: Path) -> None:
    code, message = run(world, tmp_path, kafka={"topics": []})
    assert (code, "app.kafka.topics" in message) == (2, True)


def test_bad_bloblang_names_the_mapping(world: World, tmp_path: Path) -> None:
    code, message = run(world, tmp_path, processors=[{"mapping": "root = this.foo("}])
    assert code == 2
    assert "app.processors" in message
    assert made(world) == []


def test_missing_config_path(tmp_path: Path) -> None:
    ended = ddpm("run", cwd=tmp_path)
    assert ended.returncode == 2
    assert "CONFIG_PATH" in ended.stderr


def test_config_path_that_does_not_exist(tmp_path: Path) -> None:
    ended = ddpm("run", cwd=tmp_path, env={"CONFIG_PATH": "nowhere.yaml"})
    assert (ended.returncode, "nowhere.yaml" in ended.stderr) == (2, True)


def test_yaml_syntax_error_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "app-config.yaml").write_text("app:\n  kafka: {brokers: [a\n")
    ended = ddpm("run", "--config", "app-config.yaml", cwd=tmp_path)
    assert ended.returncode == 2
    assert "app-config.yaml:2:20: error[yaml-syntax]" in ended.stderr


def test_port_in_use(world: World, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, message = run(world, tmp_path, server={"port": taken.getsockname()[1]})
    assert code == 3
    assert "the port is in use" in message
    assert made(world) == []


def test_broker_unreachable(world: World, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        broker = f"127.0.0.1:{closed.getsockname()[1]}"
        code, message = run(world, tmp_path, kafka={"brokers": [broker]})
    assert (code, broker in message) == (3, True)
    assert made(world) == []


def test_wrong_password_is_named_and_not_shown(world: World, tmp_path: Path) -> None:
    user, _, rest = world.dsn.partition("://")[2].partition(":")
    url = f"postgresql://{user}:wrong-hunter2@{rest.partition('@')[2]}"
    code, message = run(world, tmp_path, postgres={"url": url})
    assert code == 3
    assert "password" in message
    assert "hunter2" not in message
    assert made(world) == []


@pytest.mark.parametrize("body", ['#!/bin/sh\necho \'{"inputs": [], "outputs": [], "processors": []}\'\n', "junk"])
def test_engine_without_the_plugin(world: World, tmp_path: Path, body: str) -> None:
    binary = tmp_path / "other-engine"
    binary.write_text(body)
    binary.chmod(stat.S_IRWXU)
    code, message = run(world, tmp_path, engine={"binary": str(binary)})
    assert code == 2
    assert str(binary) in message
    assert made(world) == []


def test_table_of_the_forerunner(world: World, tmp_path: Path) -> None:
    world.execute(f'create table "{world.table}" (id uuid primary key, timestamp timestamptz, data text)')
    code, message = run(world, tmp_path)
    assert code == 3
    assert "ALTER TABLE" in message
    assert world.rows() == []


@pytest.mark.parametrize("file", ["version.json", "state/pipeline.json", "state/events.jsonl"])
def test_a_data_folder_of_a_newer_ddpm_is_left_as_it_is(world: World, tmp_path: Path, file: str) -> None:
    newer = tmp_path / ".ddpm" / file
    newer.parent.mkdir(parents=True)
    newer.write_text('{"version": 5, "ddpm": "3.0.0"}')
    code, message = run(world, tmp_path)
    assert code == 3
    assert "has version 5, written by ddpm 3.0.0" in message
    assert "hint: upgrade ddpm to 3.0.0 or later" in message
    assert [path for path in (tmp_path / ".ddpm").rglob("*") if path.is_file()] == [newer]
    assert made(world) == []


def test_tables_of_a_newer_ddpm_are_left_as_they_are(world: World, tmp_path: Path) -> None:
    schema = f"newer_{world.tag}"
    world.execute(
        f"create schema {schema}",
        f"create table {schema}.ddpm_schema as select 5 as version, '3.0.0' as ddpm",
    )
    code, message = run(world, tmp_path, postgres={"table": f"{schema}.{world.table}"})
    assert code == 3
    assert f"what ddpm keeps in the schema {schema}" in message
    assert "hint: upgrade ddpm to 3.0.0 or later" in message
    with psycopg.connect(world.dsn) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = %s", [schema]).fetchall()
    assert tables == [("ddpm_schema",)]
    assert made(world) == []
