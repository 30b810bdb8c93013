"""Postgres away in every way: degraded, or failed where a person must act; no dead letter, no flood; recovery alone."""

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ddpm.broker.produce import Record
from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from ddpm.engine.progress import Progress
from harness.audit import audit
from harness.folders import FreshDir
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World

COLUMNS = {"n": "integer", "said": "text"}
ROLE = "writer"
# What one outage may cost in the log: the engine's first and last line, ddpm's states, a few from libraries.
MOST_LINES = 40


@pytest.fixture(scope="module")
def own_postgres(fresh_dir: FreshDir, progress: Progress) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(fresh_dir("away-postgres"), progress=progress) as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(f"create role {ROLE} login password '{ROLE}'")
            connection.execute("grant create on schema public to public")
        yield server


@pytest.fixture
def away(kafka: EmbeddedKafka, own_postgres: EmbeddedPostgres, engine_binary: Path) -> World:
    """A world whose pipeline is an ordinary user of a Postgres that may be broken."""
    return World(kafka.bootstrap, own_postgres.dsn, engine_binary)


class Load:
    """A steady trickle of records, so that something is always on its way."""

    def __init__(self, world: World) -> None:
        self.produced = 0
        self._world = world
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.2):
            batch = range(self.produced, self.produced + 200)
            self.produced += self._world.produce(
                Record(value=json.dumps({"n": n, "said": f"record {n}"}).encode(), partition=n % 3) for n in batch
            )

    def end(self) -> None:
        self._over.set()
        self._thread.join()


@dataclass(frozen=True)
class Fault:
    """What is broken while the block runs; `says` must stand in the reason of the state."""

    name: str
    broken: Callable[[World, EmbeddedPostgres], AbstractContextManager[None]]
    says: str
    state: str = "degraded"


def by_statements(break_it: str, mend_it: str) -> Callable[[World, EmbeddedPostgres], AbstractContextManager[None]]:
    """A fault that SQL makes and mends; sessions begin again, as they would after a failover or with a pooler."""

    @contextmanager
    def fault(world: World, _: EmbeddedPostgres) -> Iterator[None]:
        names = {"table": world.table, "role": ROLE}
        world.execute(*break_it.format(**names).split(";\n"), _END_SESSIONS)
        try:
            yield
        finally:
            world.execute(*mend_it.format(**names).split(";\n"))

    return fault


_END_SESSIONS = f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{ROLE}'"


def raising(code: str) -> Callable[[World, EmbeddedPostgres], AbstractContextManager[None]]:
    """Every insert fails with a SQLSTATE, as if it met another transaction."""
    return by_statements(
        "create or replace function refuse() returns trigger language plpgsql as "
        f"$$ begin raise exception 'as if' using errcode = '{code}'; end $$;\n"
        'create trigger refuse before insert on "{table}" execute function refuse()',
        'drop trigger refuse on "{table}"',
    )


@contextmanager
def stopped(_: World, postgres: EmbeddedPostgres) -> Iterator[None]:
    postgres.kill()
    try:
        yield
    finally:
        postgres.start()


@contextmanager
def frozen(_: World, postgres: EmbeddedPostgres) -> Iterator[None]:
    postgres.suspend()
    try:
        yield
    finally:
        postgres.resume()


@contextmanager
def starting(_: World, postgres: EmbeddedPostgres) -> Iterator[None]:
    """A standby that never gets far enough to be read: it answers that the database is starting up."""
    signal_file, settings = postgres.data / "standby.signal", postgres.data / "postgresql.auto.conf"
    before = settings.read_text()
    postgres.kill()
    settings.write_text(before + "hot_standby = off\nprimary_conninfo = 'host=127.0.0.1 port=1'\n")
    signal_file.touch()
    starter = threading.Thread(target=lambda: _suppressed(postgres.start))
    starter.start()
    try:
        yield
    finally:
        signal_file.unlink()
        settings.write_text(before)
        postgres.kill()
        starter.join()
        postgres.start()


def _suppressed(call: Callable[[], object]) -> None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 -- it never comes up, which is what it is for
        print(f"as wanted: {error}")


@contextmanager
def locked(world: World, _: EmbeddedPostgres, setting: str) -> Iterator[None]:
    world.execute(f"alter role {ROLE} set {setting} = '300ms'", _END_SESSIONS)
    with psycopg.connect(world.dsn) as connection:
        connection.execute(f'lock table "{world.table}" in access exclusive mode')
        yield
    world.execute(f"alter role {ROLE} reset {setting}", _END_SESSIONS)


@contextmanager
def full_disk(world: World, postgres: EmbeddedPostgres) -> Iterator[None]:
    """The table stands on a file system of 24 MB that somebody else fills."""
    place = postgres.data.parent / f"small-{world.tag}"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0777", "small", place], check=True)
    try:
        inside = place / "space"
        inside.mkdir()
        owner = postgres.data.stat()
        shutil.chown(inside, owner.st_uid, owner.st_gid)
        world.execute(
            f"create tablespace small_{world.tag} location '{inside}'",
            f'alter table "{world.table}" set tablespace small_{world.tag}',
            f'alter index "{world.table}_pkey" set tablespace small_{world.tag}',
        )
        filler = place / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError as error:
                print(f"full: {error.strerror}")
        yield
        filler.unlink()
        eventually(lambda: world.count() > 0, "it is mended")
    finally:
        world.execute(
            f'alter table "{world.table}" set tablespace pg_default',
            f'alter index "{world.table}_pkey" set tablespace pg_default',
            f"drop tablespace small_{world.tag}",
        )
        subprocess.run(["umount", place], check=True)


FAULTS = [
    Fault("stopped", stopped, "postgres: "),
    Fault("frozen", frozen, "postgres: "),
    Fault("starting", starting, "postgres: "),
    Fault(
        "read-only",
        by_statements(
            "alter role {role} set default_transaction_read_only = on",
            "alter role {role} reset default_transaction_read_only;\n" + _END_SESSIONS,
        ),
        "read-only",
    ),
    Fault(
        "no connections",
        by_statements("alter role {role} connection limit 0", "alter role {role} connection limit -1"),
        "too many connections",
    ),
    Fault("disk full", full_disk, "(resources)"),
    Fault("lock timeout", lambda world, server: locked(world, server, "lock_timeout"), "(lock)"),
    Fault("statement timeout", lambda world, server: locked(world, server, "statement_timeout"), "(timeout)"),
    Fault("deadlock", raising("40P01"), "(contention)"),
    Fault("serialization failure", raising("40001"), "(contention)"),
    Fault(
        "table away",
        by_statements(
            'alter table "{table}" rename to "{table}_away"', 'alter table "{table}_away" rename to "{table}"'
        ),
        "is not there any more",
        "failed",
    ),
    Fault(
        "right revoked",
        by_statements(
            'alter table "{table}" owner to current_user;\nrevoke all on "{table}" from {role}',
            'grant all on "{table}" to {role}',
        ),
        "has no right to write the table",
        "failed",
    ),
    Fault(
        "column renamed",
        by_statements('alter table "{table}" rename said to told', 'alter table "{table}" rename told to said'),
        "has no column said any more",
        "failed",
    ),
    Fault(
        "column of another type",
        by_statements(
            'alter table "{table}" alter said type integer using 0',
            "alter table \"{table}\" alter said type text using 'record ' || n",
        ),
        "said was text and is integer",
        "failed",
    ),
    Fault(
        "column that must be given",
        by_statements(
            'alter table "{table}" add extra integer not null default 1;\n'
            'alter table "{table}" alter extra drop default',
            'alter table "{table}" drop extra',
        ),
        "has a column extra that every row must give",
        "failed",
    ),
    Fault(
        "key dropped",
        by_statements(
            'alter table "{table}" drop constraint "{table}_pkey"',
            'alter table "{table}" add primary key (source, partition, "offset")',
        ),
        'ADD PRIMARY KEY ("source", "partition", "offset")',
        "failed",
    ),
    Fault(
        "trigger that skips rows",
        by_statements(
            "create or replace function skip() returns trigger language plpgsql as $$ begin return null; end $$;\n"
            'create trigger skip before insert on "{table}" for each row execute function skip()',
            'drop trigger skip on "{table}"',
        ),
        "a trigger of the table",
        "failed",
    ),
    Fault(
        "sequence at its end",
        by_statements(
            'alter table "{table}" add nr integer;\n'
            "create sequence few maxvalue 2;\n"
            "grant all on few to {role};\n"
            "select nextval('few'), nextval('few');\n"
            "alter table \"{table}\" alter nr set default nextval('few')",
            'alter table "{table}" drop nr;\ndrop sequence few',
        ),
        "(refused)",
    ),
]


def state(running: Ddpm) -> dict[str, Any]:
    _, body = running.health()
    return body["pipelines"][0] if body else {"state": None, "reason": ""}


def said(running: Ddpm, fault: Fault) -> bool:
    now = state(running)
    return now["state"] == fault.state and fault.says in now["reason"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_postgres_is_away_and_comes_back(
    away: World, own_postgres: EmbeddedPostgres, tmp_path: Path, fault: Fault
) -> None:
    away.create_topic()
    url = away.dsn.replace("ddpm:", f"{ROLE}:", 1).replace(away.dsn.split(":")[2].split("@")[0], ROLE, 1)
    config = away.config(postgres={"url": url, "columns": COLUMNS, "write_timeout": "3s"})
    with Ddpm(config, tmp_path) as running, ExitStack() as ending:
        running.wait_healthy()
        engine = running.engine_pid
        load = Load(away)
        ending.callback(load.end)
        eventually(lambda: load.produced >= 1_000, "records flow")
        lines = running.log.count("\n")
        with fault.broken(away, own_postgres):
            eventually(lambda: said(running, fault), f"it says {fault.says!r}, last: {state(running)}", 45)
            before = load.produced
            eventually(lambda: load.produced >= before + 1_000, "records come all the while")
            assert said(running, fault), state(running)
        eventually(lambda: running.health()[0] == 200, "it is well again by itself", 60)
        load.end()
        away.wait_consumed()
        assert running.engine_pid == engine, "the engine waited and was not restarted"
        assert running.log.count("\n") - lines <= MOST_LINES, running.log
        assert running.stop() == 0
    books = audit(away, lambda record: json.loads(record.value or b""))
    assert (books.rows, books.dead) == (load.produced, 0)


def test_a_table_that_goes_while_nothing_flows_is_told(
    away: World, own_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    fault = next(fault for fault in FAULTS if fault.name == "table away")
    with Ddpm(away.config(), tmp_path) as running:
        running.wait_healthy()
        with fault.broken(away, own_postgres):
            eventually(lambda: said(running, fault), "it is told without a record", 15)
            assert f"the table {away.table} is not there any more" in state(running)["reason"]
        eventually(lambda: state(running)["state"] == "running", "it runs again", 15)
        assert running.stop() == 0
