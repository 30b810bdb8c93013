"""Two pipelines with one topic and one table are refused, however the table is spelled."""

import pytest

from unit.config.folder import Folder

APP = """\
app:
  kafka: {brokers: ["b:9092"], topics: [orders], consumer_group: shop}
  postgres: {url: "postgresql://u:p@db/x", table: orders}
pipelines:
  a:
"""


@pytest.mark.parametrize(
    "second",
    [
        "",
        "kafka: {topics: [returns, orders]}",
        "kafka: {brokers: ['B.:9092', 'c:9092']}",
        "postgres: {table: public.orders}",
        "postgres: {url: 'postgresql://v@DB:5432/x?connect_timeout=3'}",
        "postgres: {url: 'postgres://v@other,db/x'}",
        "postgres: {url: 'postgresql:///x?host=db&user=v'}",
        "postgres: {url: 'postgresql://db/x?options=-c%20search_path%3Dsales', table: public.orders}",
    ],
)
def test_a_second_pipeline_with_the_same_topic_and_table_is_refused(folder: Folder, second: str) -> None:
    problem = folder.error(APP + f"  b: {{{second}}}\n")
    assert (problem.code, problem.line) == ("shared-table", 6)
    assert 'the topic orders from the pipeline "a" too' in problem.message
    assert "another table" in (problem.hint or "")


@pytest.mark.parametrize(
    "second",
    [
        "kafka: {topics: [returns]}",
        "kafka: {brokers: ['c:9092']}",
        "postgres: {table: orders_b}",
        "postgres: {table: sales.orders}",
        "postgres: {url: 'postgresql://db/y'}",
        "postgres: {url: 'postgresql://db:5433/x'}",
        "postgres: {url: 'postgresql://[::1]:5432/x'}",
        "postgres: {url: 'postgresql://db/x?options=-csearch_path%3Dsales'}",
        "sinks: [stdout]",
    ],
)
def test_pipelines_with_another_topic_or_table_are_fine(folder: Folder, second: str) -> None:
    assert len(folder.load(APP + f"  b: {{{second}}}\n").config.pipelines) == 2


def test_the_embedded_servers_are_one(folder: Folder) -> None:
    app = APP.replace("b:9092", "embedded").replace("postgresql://u:p@db/x", "embedded")
    assert folder.error(app + "  b: {postgres: {table: public.orders}}\n").path == "pipelines.b.postgres.table"
