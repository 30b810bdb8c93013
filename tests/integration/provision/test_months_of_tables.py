"""Monthly partitions on a real Postgres: which are made and dropped, and what becomes of the rows."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
import pytest

from ddpm.errors import ConfigError, ServiceError
from ddpm.store.months import Month, Span, partition_name
from ddpm.store.partitions import Dropped, Made, maintain
from ddpm.store.tables import TableSpec, ensure_table

Role = Callable[..., str]

SPEC = TableSpec(None, "events", (("timestamp", "timestamptz"), ("data", "jsonb")), partitioned_by="timestamp")
NOW = datetime(2026, 1, 15, tzinfo=UTC).timestamp()
SPAN = Span(past=1, ahead=1)


def run(url: str, *statements: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def insert(url: str, *times: str, first: int = 0) -> None:
    rows = ", ".join(f"(1, 0, {first + place}, '{at}', '{{}}')" for place, at in enumerate(times))
    run(url, f"INSERT INTO events VALUES {rows}")


def rows(url: str) -> dict[str, int]:
    """How many rows stand in which partition."""
    found = run(url, "SELECT tableoid::regclass::text, count(*) FROM events GROUP BY 1")
    return {str(name): int(str(number)) for name, number in found}


def made(url: str, spec: TableSpec = SPEC, span: Span = SPAN, now: float = NOW) -> dict[str, int]:
    """What maintenance made, with the rows that were moved; nothing may have been dropped."""
    changes = list(maintain(url, spec, span, now))
    assert not [change for change in changes if isinstance(change, Dropped)]
    return {change.name: change.rows for change in changes if isinstance(change, Made)}


def partitions(url: str) -> set[str]:
    found = run(url, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass")
    return {str(name) for (name,) in found}


def test_a_table_is_made_with_its_months_and_then_left_alone(url: str) -> None:
    assert ensure_table(url, SPEC).created
    assert made(url) == {"events_2026_01": 0, "events_2025_12": 0, "events_2026_02": 0}
    assert not ensure_table(url, SPEC).created
    assert made(url) == {}
    insert(
        url, "2025-12-31 23:59:59.999+00", "2026-01-01 00:00+00", "1970-01-01", "infinity", "-infinity", "0001-01-01 BC"
    )
    assert rows(url) == {"events_2025_12": 1, "events_2026_01": 1, "events_default": 4}
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert(url, "infinity", first=3)


def test_months_are_those_of_utc_whatever_the_server_is_set_to(url: str) -> None:
    database = str(run(url, "SELECT current_database()")[0][0])
    run(
        url,
        f"ALTER DATABASE {database} SET timezone = 'Pacific/Auckland'",
        f"ALTER DATABASE {database} SET datestyle = 'SQL, DMY'",
    )
    ensure_table(url, SPEC)
    assert len(made(url)) == 3
    assert made(url) == {}
    insert(url, "2026-01-31 23:59:59+00", "2026-02-01 00:00:00+00")
    assert rows(url) == {"events_2026_01": 1, "events_2026_02": 1}


def test_making_a_month_takes_its_rows_out_of_the_default_partition(url: str) -> None:
    ensure_table(url, SPEC)
    made(url)
    insert(
        url, "2026-02-28 23:59:59+00", "2026-03-01 00:00:00+00", "2026-03-31 23:59:59.999+00", "2026-04-01 00:00:00+00"
    )
    assert rows(url) == {"events_2026_02": 1, "events_default": 3}
    assert made(url, now=NOW + 31 * 86_400) == {"events_2026_03": 2}
    assert rows(url) == {"events_2026_02": 1, "events_2026_03": 2, "events_default": 1}
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert(url, "2026-03-01 00:00:00+00", first=1)
    # A longer past is made when the configuration asks for it.
    insert(url, "2024-06-01 00:00:00+00", first=10)
    assert made(url, span=Span(past=24, ahead=1))["events_2024_06"] == 1


def test_columns_of_the_users_own_survive_the_move(url: str) -> None:
    ensure_table(url, SPEC)
    run(
        url,
        "ALTER TABLE events ADD note text DEFAULT 'none' CHECK (note <> '')",
        'ALTER TABLE events ADD twice bigint GENERATED ALWAYS AS ("offset" * 2) STORED',
        "CREATE INDEX ON events (note)",
    )
    list(maintain(url, SPEC, Span(0, 1), NOW))
    run(url, "INSERT INTO events VALUES (1, 0, 21, '2026-03-05', '{}', 'mine')")
    assert made(url, now=NOW + 31 * 86_400) == {"events_2026_03": 1}
    assert run(url, "SELECT note, twice FROM events_2026_03") == [("mine", 42)]
    run(url, "INSERT INTO events VALUES (1, 0, 22, '2026-03-06', '{}')")
    assert run(url, 'SELECT note, twice FROM events WHERE "offset" = 22') == [("none", 44)]


def test_retention_drops_old_months_and_nothing_else(url: str) -> None:
    ensure_table(url, SPEC)
    made(url, span=Span(past=3, ahead=1))
    run(url, "CREATE TABLE mine PARTITION OF events FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2021-01-01 00:00+00')")
    insert(url, "2025-10-05", "2025-12-05", "2026-01-05", "2020-05-05", "1980-01-01", "-infinity")
    changes = list(maintain(url, SPEC, Span(past=2, ahead=1, retention=2), NOW))
    assert changes == [Dropped("events_2025_10")]
    assert rows(url) == {"events_2025_12": 1, "events_2026_01": 1, "mine": 1, "events_default": 2}


def test_the_clock_that_is_behind_decides_what_is_over(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_table(url, SPEC)
    list(maintain(url, SPEC, Span(past=2, ahead=1, retention=2)))
    before, today = partitions(url), time.time()
    monkeypatch.setattr(time, "time", lambda: today + 20 * 366 * 86_400)
    assert list(maintain(url, SPEC, Span(past=2, ahead=1, retention=2))) == []
    assert partitions(url) == before


def test_several_that_tend_at_once_make_each_month_once(url: str) -> None:
    ensure_table(url, SPEC)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.extend(made(url, span=Span(3, 3)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(partition_name("events", Month.at(NOW).plus(each)) for each in range(-3, 4))


def test_months_are_made_while_rows_come_in_and_none_is_lost_or_doubled(url: str) -> None:
    ensure_table(url, SPEC)
    list(maintain(url, SPEC, Span(0, 1), NOW))
    written, stop, failures = [0], threading.Event(), list[str]()

    def write() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not stop.is_set():
                first = written[0]
                try:
                    # Eleven months, of which only two have a partition in the beginning.
                    connection.execute(
                        'INSERT INTO events (source, "partition", "offset", "timestamp") '
                        "SELECT 1, 0, n, '2026-01-03'::timestamptz + (n %% 11) * interval '1 month' "
                        "FROM generate_series(%s::bigint, %s::bigint) AS n",
                        [first, first + 499],
                    )
                except psycopg.errors.CheckViolation:
                    # On its way into the default partition when the month was attached; the engine tries again, too.
                    continue
                except psycopg.Error as error:
                    failures.append(str(error))
                    return
                written[0] += 500

    writer = threading.Thread(target=write)
    writer.start()
    moved = 0
    for ahead in range(2, 11):
        before = written[0]
        moved += sum(made(url, span=Span(0, ahead)).values())
        while written[0] < before + 2_000 and not failures:
            time.sleep(0.01)
    stop.set()
    writer.join()
    assert failures == []
    assert moved > 0
    assert run(url, 'SELECT count(*), count(DISTINCT "offset") FROM events') == [(written[0], written[0])]
    assert "events_default" not in rows(url)


def test_a_table_that_is_held_puts_it_off(url: str) -> None:
    ensure_table(url, SPEC)
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE events IN SHARE UPDATE EXCLUSIVE MODE")
        with pytest.raises(ServiceError, match="lock"):
            list(maintain(url, SPEC, SPAN, NOW))
    assert len(made(url)) == 3


def test_a_table_that_took_a_months_name_is_named(url: str) -> None:
    ensure_table(url, SPEC)
    run(url, "CREATE TABLE events_2025_12 (n int)")
    with pytest.raises(ConfigError, match=r"public.events_2025_12 .* has the name of a partition") as caught:
        list(maintain(url, SPEC, SPAN, NOW))
    assert "rename it" in (caught.value.hint or "")
    run(url, "ALTER TABLE events_2025_12 RENAME TO other")
    assert "events_2025_12" in made(url)


def test_a_plain_table_is_not_changed_and_the_way_out_is_shown(url: str) -> None:
    plain = TableSpec(None, "events", SPEC.columns)
    ensure_table(url, plain)
    insert(url, "2026-01-05", "2019-01-05")
    with pytest.raises(ConfigError, match="is a plain table") as caught:
        ensure_table(url, SPEC)
    statement = (caught.value.hint or "").partition(";")[0]
    run(url, statement)
    assert ensure_table(url, SPEC).created
    made(url)
    run(url, "INSERT INTO events SELECT * FROM events_plain ON CONFLICT DO NOTHING")
    assert rows(url) == {"events_2026_01": 1, "events_default": 1}


def test_a_partitioned_table_needs_the_option_and_the_same_column(url: str) -> None:
    ensure_table(url, SPEC)
    with pytest.raises(ConfigError, match="partitioned by other columns") as caught:
        ensure_table(url, TableSpec(None, "events", SPEC.columns))
    assert "app.postgres.partition" in (caught.value.hint or "")
    columns = (("at", "timestamptz"), ("timestamp", "timestamptz"))
    with pytest.raises(ConfigError, match=r"is partitioned by ranges of \(timestamp\), not by ranges of \(at\)"):
        ensure_table(url, TableSpec(None, "events", columns, partitioned_by="at"))


def test_who_does_not_own_the_table_can_write_but_makes_no_month(url: str, role: Role) -> None:
    ensure_table(url, SPEC)
    list(maintain(url, SPEC, Span(0, 1), NOW))
    poor = role(
        "GRANT USAGE, CREATE ON SCHEMA public TO {role}",
        "GRANT INSERT, SELECT ON events TO {role}",
        "GRANT TEMPORARY ON DATABASE {database} TO {role}",
    )
    assert not ensure_table(poor, SPEC).created
    assert list(maintain(poor, SPEC, Span(0, 1), NOW)) == []
    with pytest.raises(ServiceError, match=r"permission|owner"):
        list(maintain(poor, SPEC, SPAN, NOW))
    insert(poor, "2026-01-05", "2025-12-05")
    assert rows(url) == {"events_2026_01": 1, "events_default": 1}


def test_odd_names_and_many_rows_of_one_record(url: str) -> None:
    run(url, 'CREATE SCHEMA "Odd schema"')
    spec = TableSpec(
        "Odd schema",
        'Te"st %s {}',
        (('a"t %s {}', "timestamptz"), ("n", "int")),
        indexed=True,
        partitioned_by='a"t %s {}',
    )
    assert ensure_table(url, spec).created
    assert len(made(url, spec)) == 3
    assert made(url, spec) == {}
    assert not ensure_table(url, spec).created
