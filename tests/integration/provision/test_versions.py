"""What ddpm keeps carries a version: older is brought up, newer is left alone, and the message tells the way out."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from ddpm import __version__
from ddpm.broker.produce import Record, produce
from ddpm.broker.topics import Incarnation, TopicSpec, ensure_topics
from ddpm.deadletters.store import DeadLetterStore
from ddpm.errors import NewerStateError, SchemaMismatchError
from ddpm.store.connection import connect
from ddpm.store.oversized import OversizedLetters
from ddpm.store.replays import Replays
from ddpm.store.sources import ensure_sources, known_sources, remade
from ddpm.store.tables import TableSpec, ensure_table
from ddpm.store.trace import rows_of
from ddpm.store.version import bring_up, check
from unit.deadletters.letters import letter, mark

LIFE = Incarnation("cluster", "orders", "a")
LIVES = {"orders": LIFE}
SPEC = TableSpec(None, "orders", (("id", "bigint"),))
STEPS = (sql.SQL("ALTER TABLE {schema}.ddpm_sources ADD COLUMN note text"),)


def execute(url: str, statement: str) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def version_of(url: str) -> tuple[int, str]:
    (row,) = execute(url, "SELECT version, ddpm FROM public.ddpm_schema")
    return row["version"], row["ddpm"]


def test_new_tables_have_the_present_version(url: str) -> None:
    ensure_sources(url, LIVES)
    assert version_of(url) == (1, __version__)


def test_tables_from_before_there_was_a_version_count_as_the_first_and_keep_their_numbers(url: str) -> None:
    number = ensure_sources(url, LIVES).numbers
    execute(url, "DROP TABLE ddpm_schema")
    assert known_sources(url, LIVES) == number
    assert ensure_sources(url, LIVES).numbers == number
    assert version_of(url) == (1, __version__)


def test_who_may_make_no_tables_uses_the_first_version_without_a_note(url: str, role: Callable[..., str]) -> None:
    ensure_sources(url, LIVES)
    execute(url, "DROP TABLE ddpm_schema")
    other = role("GRANT SELECT, INSERT ON ddpm_sources TO {role}")
    assert ensure_sources(other, LIVES).numbers == {"orders": 1}
    assert execute(url, "SELECT to_regclass('ddpm_schema') AS there") == [{"there": None}]


def test_who_may_only_use_the_tables_may_read_their_version(url: str, role: Callable[..., str]) -> None:
    ensure_sources(url, LIVES)
    other = role("GRANT SELECT, INSERT ON ddpm_sources TO {role}")
    assert ensure_sources(other, LIVES).numbers == {"orders": 1}


@pytest.mark.parametrize("noted", [True, False])
def test_a_newer_ddpm_brings_older_tables_up_once(url: str, noted: bool) -> None:
    ensure_sources(url, LIVES)
    if not noted:
        execute(url, "DROP TABLE ddpm_schema")
    for _ in range(2):
        with connect(url) as connection:
            bring_up(connection, "public", STEPS)
            assert check(connection, "public", STEPS) == 2
    assert execute(url, "SELECT note FROM ddpm_sources") == [{"note": None}]
    with pytest.raises(NewerStateError, match="has version 2"):
        ensure_sources(url, LIVES)


@pytest.mark.parametrize(
    "use",
    [
        lambda url: ensure_table(url, SPEC),
        lambda url: ensure_sources(url, {"orders": Incarnation("cluster", "orders", "b")}),
        lambda url: remade(url, LIVES),
        lambda url: known_sources(url, LIVES),
        lambda url: rows_of(url, "older", LIFE, 0, 0),
        lambda url: OversizedLetters(url, "older", "orders", ["orders"]).unseen(),
        lambda url: Replays(url, "public", SPEC).all(),
    ],
)
def test_whatever_uses_newer_tables_is_refused_and_changes_nothing(url: str, use: Callable[[str], object]) -> None:
    ensure_table(url, TableSpec(None, "older"))
    ensure_sources(url, LIVES)
    execute(url, "UPDATE ddpm_schema SET version = 7, ddpm = '2.1.0'")
    with pytest.raises(NewerStateError) as refused:
        use(url)
    assert "in the schema public of the database provision_" in str(refused.value)
    assert "has version 7, written by ddpm 2.1.0" in str(refused.value)
    assert "hint: upgrade ddpm to 2.1.0 or later" in str(refused.value)
    assert execute(url, "SELECT to_regclass('orders') AS there") == [{"there": None}]
    assert len(execute(url, "SELECT number FROM ddpm_sources")) == 1
    assert version_of(url) == (7, "2.1.0")


def test_each_schema_has_a_version_of_its_own(url: str) -> None:
    ensure_sources(url, LIVES)
    execute(url, "UPDATE ddpm_schema SET version = 7")
    execute(url, "CREATE SCHEMA warehouse")
    assert ensure_sources(url, LIVES, "warehouse").numbers == {"orders": 1}


def test_a_foreign_table_of_that_name_is_told_and_left_alone(url: str) -> None:
    execute(url, "CREATE TABLE ddpm_schema (name text)")
    with pytest.raises(SchemaMismatchError, match="rename it; ddpm needs the name ddpm_schema"):
        ensure_table(url, SPEC)


def test_a_newer_mark_closes_the_books_of_its_topic_until_ddpm_is_upgraded(brokers: list[str], tag: str) -> None:
    store = DeadLetterStore(brokers, f"dead-{tag}")
    ensure_topics(brokers, [TopicSpec(store.topic, 1, 1)])
    store.mark([mark(letter(1))])
    store.read_all()
    newer = json.dumps({"version": 2, "shape": "unknown to this ddpm"}).encode()
    produce(brokers, f"{store.topic}-handled", [Record(value=newer, key=b"0:2")])
    for _ in range(2):
        with pytest.raises(NewerStateError, match="a mark of the dead letter 0:2 has version 2"):
            store.read_all()
    store.close()
