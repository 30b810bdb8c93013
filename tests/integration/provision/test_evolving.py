"""A table follows the columns of the configuration, on a real Postgres: what is done, and what is refused in words."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from ddpm.config.model import Evolve
from ddpm.errors import MismatchError, SchemaMismatchError, ServiceError
from ddpm.orchestrator.provisioning.planned import evolution_steps
from ddpm.store import tables
from ddpm.store.tables import TableSpec, ensure_table, evolve_table, planned_table
from harness.waiting import eventually

Role = Callable[..., str]

# A value in a column of the first type is the same value in one of the second.
WIDENINGS = (
    ("smallint", "integer", "-32768"),
    ("integer", "bigint", "2147483647"),
    ("integer", "numeric(12,2)", "2147483647"),
    ("smallint", "real", "32767"),
    ("integer", "double precision", "2147483647"),
    ("bigint", "numeric", "9223372036854775807"),
    ("real", "double precision", "1.5"),
    ("numeric(5,2)", "numeric(12,2)", "123.45"),
    ("numeric(5,2)", "numeric(12,4)", "123.45"),
    ("numeric(5,2)", "numeric", "123.45"),
    ("varchar(3)", "varchar(20)", "a c"),
    ("varchar(3)", "text", "a c"),
    ("char(3)", "char(5)", "ab"),
    ("bit(3)", "varbit(5)", "101"),
    ("varbit(3)", "varbit", "101"),
    ("timestamp(0)", "timestamp(3)", "2026-01-02 03:04:05"),
    ("timestamptz(3)", "timestamptz", "2026-01-02 03:04:05.678+00"),
    ("time(0)", "time", "03:04:05"),
    ("timetz(0)", "timetz(3)", "03:04:05+02"),
    ("interval(3)", "interval", "1 day 02:03:04.567"),
    ("interval day to second(3)", "interval", "1 day 02:03:04.567"),
    ("cidr", "inet", "10.0.0.0/8"),
    ("int[]", "bigint[]", "{1,2147483647}"),
    ("varchar(3)[]", "text[]", "{a,abc}"),
)


def run(url: str, *statements: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def evolve(url: str, spec: TableSpec) -> list[str]:
    """What was done; afterwards the table fits, and nothing is done again."""
    said: list[str] = []
    evolve_table(url, spec, said.append)
    assert not ensure_table(url, spec).created
    again: list[str] = []
    evolve_table(url, spec, again.append)
    assert again == []
    planned = planned_table(url, spec)
    assert (planned.create, planned.evolution) == (None, None)
    return said


def wants(columns: Sequence[tuple[str, str]], evolve: Evolve = Evolve.WIDEN, table: str = "orders") -> TableSpec:
    return TableSpec(None, table, tuple(columns), evolve=evolve)


def insert(url: str, names: str, values: str, table: str = "orders") -> None:
    run(url, f'INSERT INTO {table} (source, "partition", "offset", {names}) VALUES (1, 0, 0, {values})')


def test_each_widening_keeps_its_value_and_writes_the_table_anew_only_when_that_is_said(url: str) -> None:
    for nth, (before, after, value) in enumerate(WIDENINGS):
        table = f"t{nth}"
        ensure_table(url, wants([("v", before)], table=table))
        insert(url, "v", f"'{value}'", table)
        filenode = f"SELECT pg_relation_filenode('{table}')"
        file = run(url, filenode)
        said = evolve(url, wants([("v", after)], table=table))
        assert run(url, f"SELECT v = '{value}'::{after} FROM {table}") == [(True,)], f"{before} to {after}"
        assert ("wrote all of it anew" in said[-1]) == (file != run(url, filenode)), f"{before} to {after}: {said}"


def test_columns_are_added_whatever_they_are_called(url: str) -> None:
    run(url, 'CREATE SCHEMA "my schema"', """CREATE TYPE "my schema"."St%atus" AS ENUM ('open')""")
    spec = TableSpec("my schema", 'or"ders; %s {}', (("n", "int"),), evolve=Evolve.ADD)
    ensure_table(url, spec)
    columns = (*spec.columns, ('a"; DROP TABLE x; --', "text"), ("50% {off}", '"my schema"."St%atus"[]'))
    said = evolve(url, replace(spec, columns=columns))
    assert said == [
        f'the table my schema.or"ders; %s {{}} was changed: add the column {name} {type_}'
        for name, type_ in (('a"; DROP TABLE x; --', "text"), ("50% {off}", '"my schema"."St%atus"[]'))
    ]


def test_a_narrower_configuration_leaves_the_wider_table_and_its_own_columns(url: str) -> None:
    ensure_table(url, wants([("n", "bigint"), ("note", "text")]))
    assert evolve(url, wants([("n", "int")])) == []
    assert evolve(url, wants([("n", "int"), ("more", "jsonb")])) == [
        "the table public.orders was changed: add the column more jsonb"
    ]
    # Without the switch it is as before, and the switch is named where it would do.
    with pytest.raises(SchemaMismatchError, match="does not fit") as narrow:
        ensure_table(url, wants([("n", "int")], Evolve.OFF))
    assert "evolve" not in str(narrow.value.hint)
    with pytest.raises(SchemaMismatchError) as lacks:
        ensure_table(url, wants([("n", "bigint"), ("new", "text")], Evolve.OFF))
    assert "set app.postgres.evolve to add" in str(lacks.value.hint)


def test_partitions_follow_their_table(url: str) -> None:
    spec = replace(wants([("n", "int"), ("at", "timestamptz")]), partitioned_by="at")
    ensure_table(url, spec)
    run(url, "CREATE TABLE orders_default PARTITION OF orders DEFAULT")
    insert(url, "n, at", "1, now()")
    said = evolve(url, replace(spec, columns=(("n", "bigint"), ("more", "text"), spec.columns[1])))
    assert len(said) == 3
    assert run(url, "SELECT n, more FROM orders_default") == [(1, None)]


def test_texts_stay_sorted_as_they_were(url: str) -> None:
    ensure_table(url, wants([("name", "varchar(3)")]))
    run(url, 'ALTER TABLE orders ALTER name TYPE varchar(3) COLLATE "C"')
    assert len(evolve(url, wants([("name", "text")]))) == 1
    assert run(
        url,
        "SELECT collation_name FROM information_schema.columns WHERE table_name = 'orders' AND column_name = 'name'",
    ) == [("C",)]


def refusal(url: str, spec: TableSpec) -> tuple[str, str]:
    """Why a table is not changed, and the way out; a plan says the same, unless only Postgres knows."""
    before = run(url, "SELECT attrelid, attname, atttypid, atttypmod FROM pg_attribute WHERE attnum > 0 ORDER BY 1, 2")
    with pytest.raises((MismatchError, ServiceError)) as caught:
        evolve_table(url, spec, lambda said: None)
    after = run(url, "SELECT attrelid, attname, atttypid, atttypmod FROM pg_attribute WHERE attnum > 0 ORDER BY 1, 2")
    assert before == after
    return caught.value.message, str(caught.value.hint)


def test_a_view_in_the_way_is_named_with_the_statements_that_get_round_it(url: str) -> None:
    ensure_table(url, wants([("n", "int"), ("note", "text")]))
    run(
        url,
        'CREATE VIEW "Sums" AS SELECT note, sum(n) FROM orders GROUP BY note',
        "CREATE VIEW notes AS SELECT note FROM orders",
    )
    wider = wants([("n", "bigint"), ("note", "text")])
    message, hint = refusal(url, wider)
    assert "while views read them (public.Sums)" in message
    assert "grant anew" in hint
    with pytest.raises(MismatchError):
        planned_table(url, wider)
    lines = [line.strip() for line in message.splitlines()]
    run(url, "\n".join(lines[lines.index("BEGIN;") : lines.index("COMMIT;") + 1]))
    assert evolve(url, wider) == []
    assert run(url, 'SELECT * FROM "Sums"') == []


def test_who_does_not_own_the_table_is_told_who_does(url: str, role: Role) -> None:
    ensure_table(url, wants([("n", "int")]))
    poor = role("GRANT SELECT, INSERT ON orders TO {role}", "GRANT TEMPORARY ON DATABASE {database} TO {role}")
    wider = wants([("n", "bigint"), ('mo"re', "text")])
    message, hint = refusal(poor, wider)
    name = poor.split("//")[1].split(":")[0]
    assert f"{name} may not change the table public.orders" in message
    assert hint.startswith(f'ALTER TABLE "public"."orders" OWNER TO "{name}"; or let ')
    assert 'ALTER TABLE "public"."orders" ADD COLUMN "mo""re" text;' in hint
    assert (poor.split(":")[2].split("@")[0]) not in message + hint


def test_a_type_that_refuses_null_needs_a_default(url: str) -> None:
    run(url, "CREATE DOMAIN must AS text NOT NULL")
    ensure_table(url, wants([("n", "int")]))
    insert(url, "n", "1")
    message, hint = refusal(url, wants([("n", "int"), ("name", "must")]))
    assert "nothing was changed" in message
    assert 'add a DEFAULT to ALTER TABLE "public"."orders" ADD COLUMN "name" must;' in hint


def test_what_depends_on_a_column_otherwise_is_said_by_postgres(url: str) -> None:
    ensure_table(url, wants([("n", "int")]))
    run(url, "ALTER TABLE orders ADD COLUMN double int GENERATED ALWAYS AS (n * 2) STORED")
    message, hint = refusal(url, wants([("n", "bigint")]))
    assert "used by a generated column" in message
    assert 'do it otherwise than by ALTER TABLE "public"."orders" ALTER COLUMN "n" TYPE bigint' in hint


def test_a_partition_does_not_change_without_its_table(url: str) -> None:
    parted = replace(wants([("n", "int"), ("at", "timestamptz")]), partitioned_by="at")
    ensure_table(url, parted)
    run(url, "CREATE TABLE all_of_them PARTITION OF orders DEFAULT")
    message, _ = refusal(url, replace(parted, name="all_of_them", columns=(*parted.columns, ("more", "text"))))
    assert "the table public.all_of_them could not be changed: cannot add column to a partition" in message


def test_a_limit_of_time_ends_it_and_nothing_is_changed(url: str) -> None:
    ensure_table(url, wants([("n", "int")]))
    insert(url, "n", "1")
    run(
        url,
        "CREATE FUNCTION slow(bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS "
        "$$ BEGIN IF current_setting('statement_timeout') <> '0' THEN PERFORM pg_sleep(60); END IF; RETURN $1; END $$",
        "CREATE INDEX ON orders (slow(n))",
    )
    impatient = f"{url}&options=-c%20statement_timeout%3D2s"
    message, hint = refusal(impatient, wants([("n", "bigint")]))
    assert "canceling statement due to statement timeout; nothing was changed" in message
    assert "do it otherwise than by" in hint


def test_a_reader_holds_it_up_and_is_named_but_no_other_reader_waits_long(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "EVOLVE_SECONDS", 2.5)
    ensure_table(url, wants([("n", "int")]))
    wider = wants([("n", "int"), ("more", "text")])
    with ThreadPoolExecutor(1) as pool, psycopg.connect(url, application_name="the report") as reader:
        reader.execute("SELECT count(*) FROM orders")
        evolving = pool.submit(refusal, url, wider)
        waited = []
        while not evolving.done():
            began = time.monotonic()
            run(url, "SELECT count(*) FROM orders")
            waited.append(time.monotonic() - began)
            time.sleep(0.05)
        message, hint = evolving.result()
        assert "somebody holds the table public.orders" in message
        assert f"process {reader.info.backend_pid} of " in message
        assert "(the report) has held AccessShareLock" in message
        assert f"SELECT pg_terminate_backend({reader.info.backend_pid});" in hint
        assert max(waited) < 3
        # It goes on by itself once the reader ends.
        again = pool.submit(evolve, url, wider)
        eventually(lambda: run(url, "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'relation'"), "it waits")
        reader.rollback()
        assert len(again.result(timeout=20)) == 1


def test_of_two_at_once_one_does_it(url: str) -> None:
    ensure_table(url, wants([("n", "int")]))
    wider = wants([("n", "bigint"), ("more", "text")])
    said: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: evolve_table(url, wider, said.append), range(4)))
    assert sorted(said) == sorted({each for each in said if "anew" in each or "more" in each})
    assert len(said) == 3


def test_a_plan_shows_each_change_with_its_statement(url: str) -> None:
    ensure_table(url, wants([("n", "int")]))
    planned = planned_table(url, wants([("n", "bigint"), ("more", "text")])).evolution
    assert planned is not None
    first, second = evolution_steps(planned)
    assert (first.effect, second.effect) == ("holds up writes", "in place")
    assert first.detail.splitlines() == [
        'ALTER TABLE "public"."orders" ALTER COLUMN "n" TYPE bigint;',
        "Postgres writes the whole table anew (less than 10 MB); nobody reads or writes it meanwhile",
    ]
    assert second.detail == 'ALTER TABLE "public"."orders" ADD COLUMN "more" text;'
