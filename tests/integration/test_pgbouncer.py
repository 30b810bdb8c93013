"""Behind PgBouncer in transaction mode, where every transaction may have another connection, all goes as without it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ddpm.broker.produce import Record
from ddpm.devstack import EmbeddedPostgres
from ddpm.errors import ServiceError
from ddpm.store.connection import connect, reachable
from ddpm.store.replays import alone
from harness.offline import ddpm
from harness.pgbouncer import pgbouncer
from harness.process import Ddpm
from harness.world import World

BEGIN_MS = (int(time.time()) - 3_600) * 1_000
COUNT = 60


@pytest.fixture
def url(postgres: EmbeddedPostgres, data_dir: Path, tmp_path: Path) -> Iterator[str]:
    with pgbouncer(postgres.dsn, data_dir / tmp_path.name) as url:
        yield url


def test_statement_mode_is_refused_by_name(postgres: EmbeddedPostgres, data_dir: Path, tmp_path: Path) -> None:
    with pgbouncer(postgres.dsn, data_dir / tmp_path.name, "statement") as url:
        with pytest.raises(ServiceError, match="is a PgBouncer in statement mode: transaction blocks") as caught:
            reachable(url)
        assert "set pool_mode = transaction" in str(caught.value)


def test_one_replay_at_a_time_and_the_next_one_when_it_has_ended(url: str) -> None:
    for _ in range(20):
        with alone(url, "public.orders"):
            with alone(url, "public.others"):
                pass
            with (
                pytest.raises(ServiceError, match=r"another replay of the table public\.orders runs"),
                alone(url, "public.orders"),
            ):
                pass


def test_a_replay_that_waits_for_hours_keeps_its_lock_and_holds_nothing_up(
    url: str, postgres: EmbeddedPostgres
) -> None:
    limits = "?options=-c%20idle_in_transaction_session_timeout%3D200%20-c%20transaction_timeout%3D500"
    waiting = (
        "SELECT state, backend_xmin IS NULL AND backend_xid IS NULL, now() - xact_start > '1 s'::interval "
        "FROM pg_stat_activity WHERE application_name = 'replaying'"
    )
    direct = postgres.dsn.replace("?sslmode=disable", limits + "&application_name=replaying")
    with alone(direct, "public.orders"):
        deadline = time.monotonic() + 10
        found = None
        while time.monotonic() < deadline and not (found and found[2]):
            with connect(postgres.dsn) as connection:
                found = connection.execute(waiting).fetchone()
        assert found == ("idle in transaction", True, True)
        with pytest.raises(ServiceError, match="another replay"), alone(url, "public.orders"):
            pass


def test_statements_that_come_often_are_not_left_prepared_in_the_pool(url: str) -> None:
    for _ in range(10):
        with connect(url) as connection:
            for number in range(10):
                assert connection.execute("SELECT %s::int", [number]).fetchone() == (number,)


def test_a_run_and_two_replays(world: World, url: str, tmp_path: Path) -> None:
    world.create_topic()
    world.produce(
        Record(value=json.dumps({"n": n if n != 7 else "poison"}).encode(), partition=n % 3, timestamp=BEGIN_MS + n)
        for n in range(COUNT)
    )
    config = world.config(postgres={"url": url, "columns": {"n": "integer"}})
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        world.wait_consumed()
        assert running.stop() == 0
    good = sorted(set(range(COUNT)) - {7})
    assert sorted(row["n"] for row in world.rows("n")) == good
    assert len(world.dead()) == 1
    (tmp_path / "app-config.yaml").write_text(yaml.safe_dump(config))
    for _ in range(2):
        ran = ddpm("replay", "--from", "2h", "--yes", "--json", "--config", "app-config.yaml", cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        done = json.loads(ran.stdout)
        assert (done["deleted"], done["inserted"]) == (COUNT - 1, COUNT - 1)
    assert sorted(row["n"] for row in world.rows("n")) == good


def test_a_table_follows_its_columns(world: World, url: str, tmp_path: Path) -> None:
    world.create_topic()
    before = {"url": url, "columns": {"n": "integer"}}
    for columns, numbers in (({"n": "integer"}, (1,)), ({"n": "bigint", "note": "text"}, (2**40,))):
        config = world.config(postgres=before | {"columns": columns, "evolve": "widen"})
        with Ddpm(config, tmp_path) as running:
            running.wait_healthy()
            world.produce(Record(value=json.dumps({"n": n, "note": "new"}).encode()) for n in numbers)
            world.wait_consumed()
            assert running.stop() == 0
    assert sorted((row["n"], row["note"]) for row in world.rows("n, note")) == [(1, None), (2**40, "new")]
