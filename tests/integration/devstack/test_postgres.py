"""The embedded PostgreSQL, as its clients and its owner see it."""

import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from ddpm.devstack import EmbeddedPostgres, remove_data
from ddpm.devstack.identity import account_for_server, place_outside
from ddpm.devstack.postgres import running_on
from ddpm.errors import MissingToolError
from harness.waiting import eventually


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder below folders that only their owner can enter, as pytest makes them."""
    yield tmp_path / "postgres"
    remove_data(tmp_path)


def ask(server: EmbeddedPostgres, statement: str) -> str:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return str(row[0]) if row else ""


def test_data_survives_crash_stop_and_another_port(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        first = postgres.port
        ask(postgres, "create table kept as select 42 as answer")
        for immediate_shutdown in (True, False):
            before = postgres.pid
            if immediate_shutdown:
                postgres.restart(immediate=True)
            else:
                postgres.kill()
                postgres.start()
            assert postgres.pid not in (None, before)
            assert postgres.port == first
            assert ask(postgres, "select answer from kept") == "42"
    assert running_on(folder) == []

    with socket.create_server(("127.0.0.1", first)), EmbeddedPostgres(folder, first) as again:
        assert again.port != first
        assert ask(again, "select answer from kept") == "42"
        with pytest.raises(MissingToolError, match="is in use by pid"):
            EmbeddedPostgres(folder).start()


def test_commits_are_durable_and_access_needs_the_password(postgres: EmbeddedPostgres) -> None:
    assert ask(postgres, "show fsync") == ask(postgres, "show synchronous_commit") == "on"
    assert ask(postgres, "select current_database() || current_user") == "ddpmddpm"
    assert ask(postgres, "select left(rolpassword, 13) from pg_authid where rolname = 'ddpm'") == "SCRAM-SHA-256"
    assert stat.S_IMODE(postgres.passfile.stat().st_mode) == 0o600
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://ddpm@127.0.0.1:{postgres.port}/ddpm?sslmode=disable&passfile=/dev/null")


def test_psql_command_works_and_hides_the_password(postgres: EmbeddedPostgres) -> None:
    password = postgres.dsn.split(":")[2].split("@")[0]
    assert password not in postgres.psql_command
    command = f"{postgres.psql_command} --tuples-only --command 'select 41 + 1'"
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)  # noqa: S602 -- as typed
    assert ran.stdout.strip() == "42"


def test_suspended_server_keeps_connections_and_says_nothing(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        postgres.suspend()
        try:
            with pytest.raises(psycopg.OperationalError, match="timeout"):
                psycopg.connect(f"{postgres.dsn}&connect_timeout=2")
        finally:
            postgres.resume()
        assert connection.execute("select 1").fetchone() == (1,)


def test_server_left_by_a_killed_run_is_ended_and_its_data_used(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        ask(postgres, "create table kept as select 42 as answer")
        command = psutil.Process(postgres.pid).cmdline()
    account = account_for_server()
    orphan = subprocess.Popen(
        command,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: running_on(folder), "the orphan runs")
        with EmbeddedPostgres(folder) as again:
            assert orphan.poll() is not None
            assert ask(again, "select answer from kept") == "42"
    finally:
        orphan.kill()
        orphan.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run PostgreSQL as somebody else")
def test_data_goes_where_the_other_user_can_enter_and_is_removed_from_there(folder: Path) -> None:
    locked = stat.S_IMODE(folder.parents[1].stat().st_mode)
    with EmbeddedPostgres(folder) as postgres:
        assert psutil.Process(postgres.pid).uids().effective != 0
    outside = place_outside(folder)
    assert outside is not None
    assert (outside / "data" / "PG_VERSION").exists()
    assert stat.S_IMODE(folder.parents[1].stat().st_mode) == locked
    remove_data(folder.parent)
    assert not outside.exists()


def test_stale_note_of_a_running_process_is_not_in_the_way(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        note = (postgres.data / "postmaster.pid").read_text().splitlines()
    # As in a container, where the number of a dead server soon belongs to another process.
    (postgres.data / "postmaster.pid").write_text("\n".join([str(os.getppid()), *note[1:]]))
    with EmbeddedPostgres(folder):
        pass


def test_data_of_another_version_is_refused_and_kept(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        pass
    (postgres.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(MissingToolError, match=r"was made by PostgreSQL 17, but PostgreSQL 18 is installed"):
        EmbeddedPostgres(folder).start()
    assert (postgres.data / "base").is_dir()
