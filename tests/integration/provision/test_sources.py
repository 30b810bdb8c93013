import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.rows import dict_row

from ddpm.broker.topics import Incarnation
from ddpm.errors import ConfigError, SchemaMismatchError
from ddpm.store.sources import Parting, add_forks, ensure_sources, forks, number_of
from ddpm.store.tables import TableSpec, ensure_table
from ddpm.store.trace import rows_of


def lives(*topic_ids: str | None) -> dict[str, Incarnation]:
    return {f"topic-{place}": Incarnation("cluster", f"topic-{place}", each) for place, each in enumerate(topic_ids)}


def test_every_topic_gets_a_number_and_keeps_it(url: str) -> None:
    first = ensure_sources(url, lives("a", "b"))
    assert sorted(first.numbers.values()) == [1, 2]
    assert first.warnings == ()
    assert ensure_sources(url, lives("a", "b", "c")).numbers == {**first.numbers, "topic-2": 3}


def test_a_topic_made_again_and_another_cluster_get_other_numbers(url: str) -> None:
    one = ensure_sources(url, {"t": Incarnation("cluster", "t", "a")}).numbers["t"]
    again = ensure_sources(url, {"t": Incarnation("cluster", "t", "b")}).numbers["t"]
    elsewhere = ensure_sources(url, {"t": Incarnation("other", "t", "a")}).numbers["t"]
    assert len({one, again, elsewhere}) == 3
    assert ensure_sources(url, {"t": Incarnation("cluster", "t", "a")}).numbers["t"] == one


def test_without_ids_the_name_alone_counts_with_a_warning(url: str) -> None:
    first = ensure_sources(url, lives(None, "b"))
    assert ensure_sources(url, lives(None, "b")).numbers == first.numbers
    assert len(first.warnings) == 1
    assert "topic-0" in first.warnings[0]


def test_several_that_start_at_once_agree_and_waste_no_numbers(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ensure_sources(url, lives("a", None, "c")).numbers, range(8)))
    assert all(numbers == found[0] for numbers in found)
    assert sorted(found[0].values()) == [1, 2, 3]


@pytest.mark.parametrize("topic_id", ["a-b_c", None])
def test_records_behind_a_fork_have_a_number_of_their_own(url: str, topic_id: str | None) -> None:
    life = Incarnation("cluster", "t", topic_id)
    base = ensure_sources(url, {"t": life}).numbers["t"]
    assert add_forks(url, life, [Parting(2, 100, known_at=0.0), Parting(0, 7, known_at=0.0)])
    (first, other) = forks(url, {"t": life})
    assert [(each.partition, each.first) for each in (first, other)] == [(2, 100), (0, 7)]

    # Another ddpm notices the same, later; a day after that the same disk is put back once more.
    assert not add_forks(url, life, [Parting(2, 90, known_at=0.0)])
    assert add_forks(url, life, [Parting(2, 100, known_at=time.time() + 86_400)])
    known = forks(url, {"t": life})
    again = known[-1]
    found = [number_of(base, known, "t", partition, at) for partition, at in ((2, 99), (2, 100), (0, 7), (1, 500))]
    assert found == [base, again.number, other.number, base]
    assert len({base, first.number, other.number, again.number}) == 4

    assert ensure_sources(url, {"t": life}).numbers["t"] == base
    assert forks(url, {"t": Incarnation("cluster", "t", "another-life")}) == ()


def test_a_trace_knows_the_present_row_on_both_sides_of_a_fork(url: str) -> None:
    life = Incarnation("cluster", "t", "a")
    ensure_table(url, TableSpec(None, "orders"))
    base = ensure_sources(url, {"t": life}).numbers["t"]
    add_forks(url, life, [Parting(2, 100, known_at=0.0)])
    (fork,) = forks(url, {"t": life})
    with psycopg.connect(url) as connection:
        for source, offset in ((base, 99), (base, 100), (fork.number, 100)):
            values = {"source": source, "offset": offset}
            connection.execute(
                'INSERT INTO orders (source, partition, "offset") VALUES (%(source)s, 2, %(offset)s)', values
            )

    def found(offset: int) -> list[tuple[int, bool]]:
        return [(row.source, row.present) for row in rows_of(url, "orders", life, 2, offset)]

    assert found(99) == [(base, True)]
    assert found(100) == [(fork.number, True), (base, False)]


def test_the_numbers_stand_beside_the_table(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA warehouse")
    state = ensure_table(url, TableSpec("warehouse", "orders"))
    ensure_sources(url, lives("a"), state.schema)
    with psycopg.connect(url, row_factory=dict_row) as connection:
        row = connection.execute("SELECT * FROM warehouse.ddpm_sources").fetchone()
        assert row is not None
        assert row.pop("first_seen") is not None
        assert row == {"number": 1, "cluster_id": "cluster", "topic": "topic-0", "topic_id": "a"}


def test_a_foreign_table_of_that_name_is_told_and_left_alone(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE ddpm_sources (name text)")
    with pytest.raises(SchemaMismatchError, match="ddpm_sources"):
        ensure_sources(url, lives("a"))
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM ddpm_sources").fetchone() == (0,)


def test_a_missing_schema_is_told(url: str) -> None:
    with pytest.raises(ConfigError, match="the schema nowhere"):
        ensure_sources(url, lives("a"), "nowhere")
