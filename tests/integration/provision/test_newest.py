"""The newest rows of a table, by its key, in a transaction that can write nothing."""

import json
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from ddpm.devstack import EmbeddedPostgres
from ddpm.errors import ConfigError
from ddpm.store.newest import newest_rows
from ddpm.store.tables import TableSpec, ensure_table


def fill(url: str, table: str, rows: list[tuple[Any, ...]]) -> None:
    """Each row in a transaction of its own, as batches are: (source, partition, offset, note)."""
    with psycopg.connect(url, autocommit=True) as connection:
        for row in rows:
            connection.execute(
                sql.SQL('INSERT INTO {} (source, partition, "offset", "no""te") VALUES (%s, %s, %s, %s)').format(
                    sql.Identifier(table)
                ),
                row,
            )


def test_what_was_written_last_comes_first(url: str) -> None:
    ensure_table(url, TableSpec(None, 'or"ders', (('no"te', "text"),)))
    fill(url, 'or"ders', [(1, 0, 5, "a"), (1, 1, 90, "b"), (2, 0, 0, "c"), (1, 0, 6, None), (1, 1, 3, "x" * 500)])

    found = newest_rows(url, 'or"ders', 4, 50)

    assert found is not None
    assert found.columns == ("source", "partition", "offset", 'no"te')
    # The last of each partition; within one, by its offsets.
    assert [row[:3] for row in found.rows] == [("1", "1", "3"), ("1", "0", "6"), ("2", "0", "0"), ("1", "1", "90")]
    assert found.rows[0][3] == "x" * 50 + "…"
    assert found.rows[1][3] is None
    assert json.loads(found.documents[0]) == {"source": 1, "partition": 1, "offset": 3, 'no"te': "x" * 500}


def test_documents_of_one_record_are_told_apart(url: str) -> None:
    ensure_table(url, TableSpec(None, "many", (("note", "text"),), indexed=True))
    with psycopg.connect(url) as connection:
        connection.execute(
            'INSERT INTO many (source, partition, "offset", "index", note) '
            "SELECT 1, 0, 7, n, n FROM generate_series(0, 4) n"
        )

    found = newest_rows(url, "many", 3, 50)

    assert found is not None
    assert [row[-1] for row in found.rows] == ["4", "3", "2"]


def test_names_with_dots_and_percent_signs(url: str) -> None:
    ensure_table(url, TableSpec(None, "new.orders", (("50% off", "text"),)))
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO \"new.orders\" VALUES (1, 0, 7, 'yes')")

    found = newest_rows(url, '"new.orders"', 3, 50)

    assert found is not None
    assert found.columns[-1] == "50% off"
    assert found.rows == (("1", "0", "7", "yes"),)


def test_a_database_of_another_encoding(postgres: EmbeddedPostgres, tag: str) -> None:
    name = f"latin_{tag}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'".encode())
        url = urlunsplit(urlsplit(postgres.dsn)._replace(path=f"/{name}"))
        ensure_table(url, TableSpec(None, "orders", (('no"te', "text"),)))
        fill(url, "orders", [(1, 0, 5, "é" * 60)])
        found = newest_rows(url, "orders", 3, 50)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
    assert found is not None
    assert found.rows[0][-1] == "é" * 50 + "…"


def test_none_and_no_table(url: str) -> None:
    assert newest_rows(url, "absent", 3, 50) is None
    ensure_table(url, TableSpec(None, "empty", (("note", "text"),)))
    found = newest_rows(url, "empty", 3, 50)
    assert found is not None
    assert found.rows == ()


def test_a_large_table_is_not_read_whole(url: str) -> None:
    ensure_table(url, TableSpec(None, "large", (("note", "text"),)))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            'INSERT INTO large (source, partition, "offset", note) '
            "SELECT 1, n % 4, n, repeat('x', 200) FROM generate_series(1, 100000) n"
        )
        connection.execute("ANALYZE large")
        connection.execute("SELECT pg_stat_reset_single_table_counters('large'::regclass)")

    found = newest_rows(url, "large", 10, 50)

    assert found is not None
    assert [row[2] for row in found.rows] == [str(100_000 - n) for n in range(10)]
    with psycopg.connect(url) as connection:
        scans = connection.execute("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'large'").fetchone()
    assert scans == (0,)


def test_a_table_of_somebody_else_is_refused_and_left_alone(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE foreign_one (id int)")
    with pytest.raises(ConfigError):
        newest_rows(url, "foreign_one", 3, 50)
