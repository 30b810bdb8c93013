"""What can go wrong, one function each: it happens, it is told where it must be, and it is over at the end."""

import contextlib
import ctypes
import os
import resource
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import httpx2 as httpx
import psycopg
import yaml
from psycopg import sql

from ddpm.broker.connection import admin
from ddpm.broker.offsets import Partition, watermarks
from ddpm.broker.topics import TopicSpec, ensure_topics
from ddpm.devstack.identity import account_for_server
from harness.gaps import Gaps
from harness.process import alive, ddpm
from harness.proxy import Mode
from harness.rig import Rig, scratch
from harness.standby import Standby
from harness.waiting import eventually
from harness.world import World

# How long a fault without an end of its own lasts.
A_WHILE = 8.0
# Longer than an offset waits for its commit.
A_MOMENT = 3.0
# Records of a partition, so many that their batch is not read yet; and so many that other batches hold them.
AHEAD, BATCHES_BEHIND = 1_500, 2_000
CALLED_OFF = 8
# Of a configuration while records come in.
CHANGES = 6


def engine_killed(rig: Rig) -> None:
    """kill -9 of the engine, over and over."""
    for _ in range(rig.times):
        kill_engine(rig)
        rig.traffic.wait_for(500)


def kill_engine(rig: Rig) -> None:
    """kill -9 of the engine, once; another one runs at the end."""
    before = rig.ddpm.engine_pid
    os.kill(before, signal.SIGKILL)
    eventually(lambda: not alive(before), "the engine is gone")
    # The wait before a restart grows with each crash in a row; asking for one is what a person would do.
    rig.restart()
    eventually(lambda: rig.ddpm.engine_pid not in (None, before), "another engine runs")


def configuration_reloaded(rig: Rig) -> None:
    """The configuration changes, and another pipeline comes and goes, over and over."""
    before = yaml.safe_load(rig.ddpm.config_path.read_text())
    others = {
        "kafka": {"consumer_group": f"{rig.world.group}-other"},
        "postgres": {"table": f"{rig.world.table}_other"},
        "dead_letter": {"topic": f"{rig.world.dead_topic}-other"},
    }
    for count in range(CHANGES):
        app = before["app"] | {"batching": {"count": 500 + count}}
        name = app.pop("name", "pipeline")
        own = {"kafka": {"consumer_group": rig.world.group}}
        pipelines: dict[str, Any] = {name: own} | ({} if count % 2 else {"other": others})
        rig.ddpm.config_path.write_text(yaml.safe_dump({"app": app, "pipelines": pipelines}))
        ran = ddpm("reload", "--url", rig.ddpm.url, cwd=rig.folder)
        assert ran.returncode == 0, ran.stderr
        rig.traffic.wait_for(1_000)
    rig.ddpm.config_path.write_text(yaml.safe_dump(before))


def ddpm_killed(rig: Rig) -> None:
    """kill -9 of ddpm, which takes its engine along, and another start."""
    engine = rig.ddpm.engine_pid
    rig.ddpm.popen.kill()
    rig.ddpm.popen.wait()
    eventually(lambda: not alive(engine), "the engine ends with its ddpm")
    rig.traffic.wait_for(1_000)
    rig.ddpm.start()


def sigterm_while_postgres_is_stalled(rig: Rig) -> None:
    """SIGTERM while Postgres is frozen: the drain cannot end well, and nothing is lost."""
    engine = rig.ddpm.engine_pid
    rig.servers.postgres.suspend()
    try:
        rig.told("postgres")
        rig.ddpm.stop(timeout=60)
        assert not alive(engine)
    finally:
        rig.servers.postgres.resume()
    rig.ddpm.start()


def engine_frozen(rig: Rig) -> None:
    """SIGSTOP of the engine for longer than its group waits for it."""
    pid = rig.ddpm.engine_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        rig.told("engine: does not answer")
        rig.traffic.wait_for(rig.traffic.per_second * 50)
    finally:
        if alive(pid):
            os.kill(pid, signal.SIGCONT)


def engine_out_of_memory(rig: Rig) -> None:
    """The engine gets no more memory from the system, and records grow."""
    pid = rig.ddpm.engine_pid
    resource.prlimit(pid, resource.RLIMIT_DATA, (1, 1))
    rig.traffic.padding = 50_000
    try:
        eventually(lambda: not alive(pid), "the engine ends for want of memory", 120)
    finally:
        rig.traffic.padding = 0
    rig.wait(A_WHILE)


def killed_while_one_batch_is_held_back(rig: Rig) -> None:
    """kill -9 of the engine while one batch waits for a transaction of somebody else, and later ones are done."""
    held = watermarks(rig.world.brokers, [rig.world.topic])[Partition(rig.world.topic, 0)].end + AHEAD
    with rig.superuser() as other:
        other.autocommit = False
        # Whether its row is there twice is known when that transaction ends.
        other.execute(
            sql.SQL('insert into {0} (source, "partition", "offset") select source, 0, %s from {0} limit 1').format(
                rig.table
            ),
            [held],
        )
        eventually(lambda: _has_rows_behind(rig, held), "later batches become rows", 120)
        # Committed offsets must not have passed the batch by then.
        rig.wait(A_MOMENT)
        kill_engine(rig)
        other.rollback()


def _has_rows_behind(rig: Rig, offset: int) -> bool:
    with rig.superuser() as admin:
        query = sql.SQL('select exists (select from {} where "partition" = 0 and "offset" > %s)').format(rig.table)
        row = admin.execute(query, [offset + BATCHES_BEHIND]).fetchone()
    return bool(row and row[0])


def kafka_killed(rig: Rig) -> None:
    """kill -9 of the broker, and another start."""
    rig.servers.kafka.kill()
    try:
        rig.told("kafka")
    finally:
        rig.servers.kafka.start()


def brokers_restarted_one_by_one(rig: Rig) -> None:
    """Each of three brokers is restarted, as for an upgrade: the next one when all copies are in step again."""
    cluster = rig.servers.cluster
    assert cluster is not None
    with Gaps(rig.world) as gaps:
        cluster.restart_one_by_one([rig.world.topic, rig.world.dead_topic])
        rig.wait(A_MOMENT)
    print(f"the longest time without a new row was {gaps.longest:.1f} s")


def postgres_restarted(rig: Rig) -> None:
    """An immediate restart of Postgres, as after a crash, over and over."""
    for _ in range(rig.times):
        rig.servers.postgres.restart(immediate=True)
        rig.traffic.wait_for(500)


def postgres_frozen(rig: Rig) -> None:
    """SIGSTOP of all of Postgres."""
    rig.servers.postgres.suspend()
    try:
        rig.told("postgres")
        rig.wait(A_WHILE)
    finally:
        rig.servers.postgres.resume()


def connections_full(rig: Rig) -> None:
    """Somebody takes all connections, and the engine loses its own."""
    with rig.superuser() as admin:
        taken: list[psycopg.Connection[tuple[object, ...]]] = []
        try:
            _terminate(rig, admin)
            _take_all(rig, taken)
            _terminate(rig, admin)
            _take_all(rig, taken)
            rig.told("postgres")
            rig.wait(A_WHILE)
        finally:
            for each in taken:
                each.close()


def _take_all(rig: Rig, taken: "list[psycopg.Connection[tuple[object, ...]]]") -> None:
    with contextlib.suppress(psycopg.OperationalError):
        while True:
            taken.append(rig.superuser())


def backends_terminated(rig: Rig) -> None:
    """An administrator ends the engine's backends, over and over."""
    with rig.superuser() as admin:
        for _ in range(rig.times * 2):
            _terminate(rig, admin)
            rig.traffic.wait_for(300)


def _terminate(rig: Rig, admin: "psycopg.Connection[tuple[object, ...]]") -> None:
    admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [rig.servers.role])


def disk_full(rig: Rig) -> None:
    """The disk that the table is on is full."""
    assert rig.disk is not None
    with _ballast(rig.disk):
        rig.told("disk left")
        rig.wait(A_WHILE)


def disk_of_ddpm_full(rig: Rig) -> None:
    """The disk that ddpm runs on is full: nothing can be logged or remembered."""
    with _ballast(rig.folder):
        rig.traffic.wait_for(2_000)
        os.kill(rig.ddpm.engine_pid, signal.SIGKILL)
        rig.traffic.wait_for(5_000)


@contextmanager
def _ballast(folder: Path) -> Iterator[None]:
    file = folder / "ballast"
    with file.open("wb", buffering=0) as stream:
        for size in (1_000_000, 4_096, 1):
            try:
                while True:
                    stream.write(b"\0" * size)
            except OSError:
                continue
    try:
        yield
    finally:
        file.unlink()


def lock_held(rig: Rig) -> None:
    """Somebody locks the table."""
    with rig.superuser() as admin, admin.transaction():
        admin.execute(sql.SQL("lock table {} in access exclusive mode").format(rig.table))
        rig.told("postgres", "table")
        rig.wait(A_WHILE)


def table_dropped(rig: Rig) -> None:
    """The table is dropped, and restored with all its rows."""
    kept = sql.Identifier(f"kept_{rig.world.tag}")
    with rig.superuser() as admin:
        with admin.transaction():
            # Nothing may come in between the copy and the drop.
            admin.execute(sql.SQL("lock table {} in access exclusive mode").format(rig.table))
            admin.execute(sql.SQL("create table {} (like {} including all)").format(kept, rig.table))
            admin.execute(sql.SQL("insert into {} select * from {}").format(kept, rig.table))
            admin.execute(sql.SQL("drop table {}").format(rig.table))
        rig.told(rig.world.table, "missing")
        rig.wait(A_WHILE)
        with admin.transaction():
            admin.execute(sql.SQL("alter table {} rename to {}").format(kept, rig.table))
            admin.execute(sql.SQL("alter table {} owner to {}").format(rig.table, rig.loader))


def key_dropped(rig: Rig) -> None:
    """The key by which records are distinguished is dropped, records are delivered again, and the key is restored."""
    rig.admin(sql.SQL("alter table {} drop constraint {}").format(rig.table, sql.Identifier(f"{rig.world.table}_pkey")))
    rig.told("add primary key")
    kill_engine(rig)
    rig.wait(A_WHILE)
    rig.told("add primary key")
    rig.admin(sql.SQL('alter table {} add primary key (source, partition, "offset")').format(rig.table))


def error_that_comes_and_goes(rig: Rig) -> None:
    """A trigger refuses all rows (P0001), and then none, over and over, in the middle of transactions too."""
    mood, function = sql.Identifier(f"mood_{rig.world.tag}"), sql.Identifier(f"refuse_{rig.world.tag}")
    rig.admin(
        sql.SQL("create table {} as select false as refuses").format(mood),
        sql.SQL("grant select on {} to {}").format(mood, rig.loader),
        sql.SQL(
            "create function {}() returns trigger language plpgsql as "
            "$$ begin if (select refuses from {}) then raise 'refused'; end if; return new; end $$"
        ).format(function, mood),
        sql.SQL("create trigger refuse before insert on {} for each row execute function {}()").format(
            rig.table, function
        ),
    )
    for number in range(rig.times * 10):
        rig.admin(sql.SQL("update {} set refuses = {}").format(mood, number % 2 == 0))
        rig.wait(0.1 + number % 7 / 20)
    rig.admin(
        sql.SQL("drop function {} cascade").format(function),
        sql.SQL("drop table {}").format(mood),
    )


def columns_added_under_poison(rig: Rig) -> None:
    """A column that may be empty is added, which holds nothing up, and one that every row must give, over and over."""
    for _ in range(rig.times):
        rig.admin(sql.SQL("alter table {} add note text").format(rig.table))
        rig.traffic.wait_for(300)
        with rig.superuser() as admin, admin.transaction():
            admin.execute(sql.SQL("alter table {} add must integer not null default 1").format(rig.table))
            admin.execute(sql.SQL("alter table {} alter must drop default").format(rig.table))
        rig.traffic.wait_for(300)
        rig.admin(sql.SQL("alter table {} drop must, drop note").format(rig.table))
        rig.traffic.wait_for(300)


def table_evolved_under_poison(rig: Rig) -> None:
    """The configuration gets columns and wider types, and the table follows by reload, over and over."""
    before = rig.ddpm.config_path.read_text()
    base = yaml.safe_load(before)

    def reload(more: dict[str, Any]) -> None:
        postgres = base["app"]["postgres"]
        app = base["app"] | {"postgres": postgres | {"columns": postgres["columns"] | more, "evolve": "widen"}}
        rig.ddpm.config_path.write_text(yaml.safe_dump({"app": app}))
        ran = ddpm("reload", "--url", rig.ddpm.url, cwd=rig.folder)
        assert ran.returncode == 0, ran.stderr
        rig.traffic.wait_for(500)

    names = [f"more_{number}" for number in range(CHANGES // 2)]
    for name in names:
        reload({name: {"type": "smallint", "from": {"partition": True}}, "n": "integer"})
        reload({name: {"type": "bigint", "from": {"partition": True}}, "n": "integer"})
    reload({"n": "bigint", "padding": "text"})
    drops = sql.SQL(", ").join(sql.SQL("drop {}").format(sql.Identifier(name)) for name in names)
    rig.admin(sql.SQL("alter table {} {}").format(rig.table, drops))
    events = ddpm("events", "--json", "--lines", "500", "--url", rig.ddpm.url, cwd=rig.folder).stdout
    assert events.count("was changed: add the column more_") == len(names)
    assert events.count("from smallint to bigint") == len(names)
    assert events.count("widen the column n from integer to bigint") == 1


def right_revoked(rig: Rig) -> None:
    """The right to insert is taken away, and given back."""
    rig.admin(sql.SQL("revoke insert on {} from {}").format(rig.table, rig.loader))
    try:
        rig.told(rig.world.table, "rights")
        rig.wait(A_WHILE)
    finally:
        rig.admin(sql.SQL("grant insert on {} to {}").format(rig.table, rig.loader))


def cut_in_the_middle_of_commits(rig: Rig) -> None:
    """The connection breaks after Postgres got a commit and before its answer arrives, over and over."""
    for number in range(1, rig.times + 1):
        rig.proxy.mode = Mode.CUT_COMMITS
        _await_cuts(rig, number)
        rig.proxy.mode = Mode.PASS
        rig.traffic.wait_for(500)


def _await_cuts(rig: Rig, count: int) -> None:
    eventually(lambda: rig.proxy.cuts >= count, f"{count} commits are cut", 120)


def connection_delayed(rig: Rig) -> None:
    """Everything between the engine and Postgres takes its time."""
    rig.proxy.mode = Mode.DELAY
    rig.wait(A_WHILE * 2)
    rig.proxy.mode = Mode.PASS


def connection_reset(rig: Rig) -> None:
    """A firewall resets all connections to Postgres, over and over."""
    for _ in range(rig.times * 2):
        rig.proxy.reset()
        rig.traffic.wait_for(300)


def connection_black_holed(rig: Rig) -> None:
    """What is sent to Postgres arrives nowhere, and nobody says so."""
    rig.proxy.mode = Mode.BLACK_HOLE
    try:
        rig.told("postgres")
        rig.wait(A_WHILE)
    finally:
        rig.proxy.mode = Mode.PASS


def password_rotated(rig: Rig) -> None:
    """The password in a file is another one, and the former one is refused; then it is the first one again."""
    with Gaps(rig.world) as gaps:
        for password in (secrets.token_hex(12), rig.servers.password):
            engine = rig.ddpm.engine_pid
            rig.rotate(password)
            with rig.superuser() as admin:
                _terminate(rig, admin)
            eventually(partial(_other_engine, rig, engine), "an engine with the new password is there")
            rig.traffic.wait_for(2_000)
    print(f"the longest time without a new row was {gaps.longest:.1f} s")


def _other_engine(rig: Rig, before: int) -> bool:
    return rig.ddpm.engine_pid != before and rig.ddpm.health()[0] == httpx.codes.OK


def primary_lost_of_two_hosts(rig: Rig) -> None:
    """kill -9 of a primary, whose standby is promoted later; the address names both."""
    with _promoted(rig):
        rig.servers.postgres.kill()
        rig.told("read-only", "in recovery")
        rig.wait(A_MOMENT)


def primary_lost_behind_a_name(rig: Rig) -> None:
    """kill -9 of a primary; its name leads to the standby, which is promoted later."""
    with _promoted(rig) as standby:
        rig.servers.postgres.kill()
        rig.proxy.reset()
        rig.told("postgres")
        rig.proxy.lead_to(standby.port)
        rig.told("read-only", "in recovery")
        rig.wait(A_MOMENT)


def primary_becomes_read_only(rig: Rig) -> None:
    """A planned switch: the primary takes no rows any more, its connections stay, and the standby is promoted."""
    with _promoted(rig):
        with rig.superuser() as admin:
            admin.execute("alter system set default_transaction_read_only = on")
            admin.execute("select pg_reload_conf()")
        rig.told("read-only")
        rig.wait(A_MOMENT)
        rig.servers.postgres.stop()


def primary_lost_while_commits_waited(rig: Rig) -> None:
    """The standby is away; commits that wait for it are given up, or called off by an administrator, over and over."""
    with _promoted(rig) as standby:
        rig.admin(sql.SQL("alter role {} set client_min_messages = error").format(rig.loader))
        with rig.superuser() as admin:
            _terminate(rig, admin)
        standby.kill()
        rig.told("timeout", "does not answer in time")
        # Such a commit makes rows on the primary alone. To be called off is no error of the statement.
        for _ in range(min(rig.times, CALLED_OFF)):
            rig.wait(1)
            with rig.superuser() as admin:
                admin.execute("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'")
        rig.wait(A_WHILE)
        rig.servers.postgres.kill()
        standby.start()


@contextmanager
def _promoted(rig: Rig) -> Iterator[Standby]:
    """Promote the standby at the end of the block; the same engine goes on there."""
    standby = rig.servers.standby
    assert standby is not None
    engine = rig.ddpm.engine_pid
    yield standby
    standby.promote()
    rig.switched()
    before = rig.world.count()
    eventually(lambda: rig.world.count() > before, "rows come in on the server that was promoted", 60)
    assert rig.ddpm.engine_pid == engine, "the engine waited and was not restarted"


def rebalance_storm(rig: Rig) -> None:
    """Replicas come and go every few seconds."""
    for number in range(rig.times + 2):
        rig.scale(1 if number % 2 else 3)
        rig.wait(3)
    rig.scale(1)


def rebalance_storm_with_postgres_stalled(rig: Rig) -> None:
    """Replicas come and go while Postgres is frozen."""
    rig.servers.postgres.suspend()
    try:
        rebalance_storm(rig)
    finally:
        rig.servers.postgres.resume()


def partitions_grown(rig: Rig) -> None:
    """Partitions are added by somebody else, while ddpm runs and while it does not."""
    _grow(rig, 5)
    rig.wait(A_WHILE)
    assert rig.ddpm.stop() == 0
    _grow(rig, 6)
    rig.traffic.wait_for(1_000)
    rig.ddpm.start()


def _grow(rig: Rig, partitions: int) -> None:
    ensure_topics(rig.world.brokers, [TopicSpec(rig.world.topic, partitions)])
    rig.traffic.partitions = partitions
    rig.traffic.wait_for(500)


def offsets_deleted_while_paused(rig: Rig) -> None:
    """Kafka forgets the group, as when its offsets expire, while ddpm is paused and while it does not run."""
    rig.pause()
    forget_group(rig.world)
    rig.traffic.wait_for(1_000)
    rig.resume()
    rig.wait(A_WHILE)
    assert rig.ddpm.stop() == 0
    forget_group(rig.world)
    rig.traffic.wait_for(1_000)
    rig.ddpm.start()


def forget_group(world: World) -> None:
    """Delete a group as soon as it has no members."""

    def forgotten() -> bool:
        with admin(world.brokers) as client:
            answers: dict[str, str] = client.delete_groups([world.group])
        return answers == {world.group: "OK"}

    eventually(forgotten, "the group is deleted")


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A folder on a disk of its own, so small; needs the right to mount."""
    folder = scratch()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "ddpm-test", str(folder)], check=True)
    try:
        account = account_for_server()
        if account is not None:
            os.chown(folder, account.uid, account.gid)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def may_mount() -> bool:
    """Whether this machine lets tests have a disk of their own."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder = scratch()
    try:
        if libc.mount(b"none", str(folder).encode(), b"tmpfs", 0, b"size=4k"):
            return False
        libc.umount(str(folder).encode())
        return True
    finally:
        folder.rmdir()


@dataclass(frozen=True)
class Fault:
    """A fault, with what it needs.

    Attributes:
        happen: What happens.
        short: Whether it is in the short form, which `make test-all` runs.
        disk: Whether the table, or ddpm, is on a small disk of its own.
        sections: What the configuration says besides the usual.
        rotates: Whether the password stands in a file that may change.
        cluster: Whether there are three brokers.
        standby: Whether Postgres has a standby, behind the same name or listed beside it, in one of two forms.

    """

    happen: Callable[[Rig], None]
    short: bool = False
    disk: Literal["table", "ddpm"] | None = None
    sections: Mapping[str, Any] = field(default_factory=dict)
    standby: Literal["name", "keywords", "url"] | None = None
    cluster: bool = False
    rotates: bool = False

    @property
    def name(self) -> str:
        """Its name in the table of results."""
        return self.happen.__name__.replace("_", " ")


FAULTS = (
    Fault(engine_killed, short=True),
    Fault(configuration_reloaded),
    Fault(ddpm_killed, short=True),
    Fault(sigterm_while_postgres_is_stalled, short=True, sections={"engine": {"drain": "6s"}}),
    Fault(engine_frozen),
    Fault(engine_out_of_memory),
    Fault(killed_while_one_batch_is_held_back, short=True),
    Fault(kafka_killed, short=True),
    Fault(brokers_restarted_one_by_one, short=True, cluster=True),
    Fault(postgres_restarted, short=True),
    Fault(postgres_frozen),
    Fault(connections_full),
    Fault(backends_terminated),
    Fault(disk_full, disk="table"),
    Fault(disk_of_ddpm_full, disk="ddpm"),
    Fault(lock_held),
    Fault(table_dropped, short=True),
    Fault(key_dropped),
    Fault(error_that_comes_and_goes),
    Fault(columns_added_under_poison),
    Fault(table_evolved_under_poison),
    Fault(right_revoked),
    Fault(cut_in_the_middle_of_commits, short=True),
    Fault(connection_delayed),
    Fault(connection_reset),
    Fault(connection_black_holed),
    Fault(password_rotated, short=True, rotates=True),
    Fault(primary_lost_of_two_hosts, short=True, standby="keywords"),
    Fault(primary_lost_behind_a_name, short=True, standby="name"),
    Fault(primary_becomes_read_only, standby="keywords"),
    Fault(primary_lost_while_commits_waited, short=True, standby="url"),
    Fault(partitions_grown, short=True, sections={"kafka": {"start_from": "latest"}}),
    Fault(offsets_deleted_while_paused, short=True, sections={"kafka": {"start_from": "latest"}}),
    Fault(rebalance_storm, short=True),
    Fault(rebalance_storm_with_postgres_stalled),
)
