"""`pipelines:`, several pipelines in one file."""

# ruff: noqa: E501, PLR0917 -- one row of a table stays one line, and one test has all its columns

from pathlib import Path

import pytest

from ddpm.components.registry import pipeline_type
from ddpm.config import Config, load
from ddpm.config.model import LogLevel
from unit.config.folder import Folder

BASE = """\
app:
  kafka: {brokers: ["b:1"], topics: [orders], consumer_group: shop}
  postgres: {url: embedded, table: orders, columns: {id: bigint}}
  logger: {level: debug}
  server: {port: 5000}
"""
# Pipelines that differ in nothing but their group, and share no table.
TABLELESS = BASE.replace("  postgres: {url: embedded, table: orders, columns: {id: bigint}}\n", "  sinks: [stdout]\n")


def group_of(config: Config) -> dict[str, str]:
    return {pipeline.name: pipeline.kafka.consumer_group for pipeline in config.pipelines}


@pytest.mark.parametrize(
    "pipelines",
    [
        "pipelines:\n  eu: {postgres: {table: eu}}\n  us:\n    kafka: {topics: [us]}\n  all:\n",
        "pipelines:\n  - {name: eu, postgres: {table: eu}}\n  - name: us\n    kafka: {topics: [us]}\n  - name: all\n",
    ],
)
def test_both_forms_merge_into_the_defaults_of_app(folder: Folder, pipelines: str) -> None:
    config = folder.load(BASE + pipelines).config
    assert group_of(config) == {"eu": "shop-eu", "us": "shop-us", "all": "shop-all"}
    assert [pipeline.kafka.topics for pipeline in config.pipelines] == [("orders",), ("us",), ("orders",)]
    assert [one.table and one.table.table for one in config.pipelines] == ["eu", "orders", "orders"]
    assert all(pipeline.table and pipeline.table.columns for pipeline in config.pipelines)
    assert config.server.port == 5000
    assert config.logger.level is LogLevel.DEBUG


def test_mappings_merge_deeply_lists_and_nothing_replace(folder: Folder) -> None:
    text = (
        BASE
        + """\
pipelines:
  a:
    kafka: {topics: [x, y]}
    postgres: {columns: {at: timestamptz}}
  b: {postgres: , sinks: [stdout]}
"""
    )
    first, second = folder.load(text).config.pipelines
    assert first.kafka.topics == ("x", "y")
    assert first.table is not None
    assert list(first.table.columns or ()) == ["id", "at"]
    assert second.known_table is None


def test_without_pipelines_app_keeps_its_group(folder: Folder) -> None:
    assert group_of(folder.load(BASE).config) == {"pipeline": "shop"}


def test_a_pipeline_may_name_its_own_group(folder: Folder) -> None:
    text = TABLELESS + "pipelines:\n  a: {kafka: {consumer_group: mine}}\n  b:\n"
    assert group_of(folder.load(text).config) == {"a": "mine", "b": "shop-b"}


def test_app_may_be_left_away(folder: Folder) -> None:
    text = """\
        pipelines:
          a:
            kafka: {brokers: [embedded], topics: [t], consumer_group: g}
            sinks: [stdout]
        """
    assert group_of(folder.load(text).config) == {"a": "g"}


@pytest.mark.parametrize(
    ("pipelines", "line", "column", "path"),
    [
        (
            "  a: {kafka: {consumer_group: same}}\n  b: {kafka: {consumer_group: same}}\n",
            8,
            31,
            "pipelines.b.kafka.consumer_group",
        ),
        ("  a:\n  b: {kafka: {consumer_group: shop-a}}\n", 8, 31, "pipelines.b.kafka.consumer_group"),
        ("  a: {kafka: {consumer_group: shop-b}}\n  b:\n", 8, 3, "pipelines.b.kafka.consumer_group"),
        ("  - {name: a, kafka: {consumer_group: shop-b}}\n  - name: b\n", 8, 5, "pipelines[1].kafka.consumer_group"),
    ],
)
def test_a_shared_group_is_an_error_at_its_place(
    folder: Folder, pipelines: str, line: int, column: int, path: str
) -> None:
    problem = folder.error(TABLELESS + "pipelines:\n" + pipelines)
    assert (problem.code, problem.line, problem.column, problem.path) == ("shared-consumer-group", line, column, path)
    assert 'is also that of the pipeline "a"' in problem.message
    assert "a group of its own" in (problem.hint or "")


def test_groups_from_the_environment_are_compared_by_value_and_shown_as_written(folder: Folder) -> None:
    text = TABLELESS + "pipelines:\n  a: {kafka: {consumer_group: one-group}}\n  b: {kafka: {consumer_group: '${G}'}}\n"
    problem = folder.error(text, {"G": "one-group"})
    assert problem.code == "shared-consumer-group"
    assert '"${G}"' in problem.message


def test_one_generated_file_becomes_one_for_each(folder: Folder) -> None:
    text = (
        TABLELESS
        + "  generated_pipeline_config: out/engine.v1.yaml\npipelines:\n  a:\n  b: {generated_pipeline_config: b.yaml}\n"
    )
    paths = [pipeline.generated_pipeline_config for pipeline in folder.load(text).config.pipelines]
    assert paths == [folder.path / "out/engine.v1-a.yaml", folder.path / "b.yaml"]


def test_a_shared_generated_file_is_an_error(folder: Folder) -> None:
    entry = "{generated_pipeline_config: x.yaml}"
    problem = folder.error(TABLELESS + f"pipelines:\n  a: {entry}\n  b: {entry}\n")
    assert (problem.code, problem.line) == ("shared-generated-config", 8)
    assert problem.path == "pipelines.b.generated_pipeline_config"


@pytest.mark.parametrize(
    ("pipelines", "code", "line", "path", "message"),
    [
        ("pipelines:\n", "no-pipeline", 6, "pipelines", "no pipeline is named"),
        ("pipelines: {}\n", "no-pipeline", 6, "pipelines", "no pipeline is named"),
        ("pipelines: []\n", "no-pipeline", 6, "pipelines", "no pipeline is named"),
        ("pipelines: a\n", "wrong-type", 6, "pipelines", "expected names with their keys"),
        ("pipelines:\n  a: 5\n", "wrong-type", 7, "pipelines.a", "expected the keys in which this pipeline differs"),
        ("pipelines:\n  - a\n", "wrong-type", 7, "pipelines[0]", "expected the keys in which this pipeline differs"),
        ("pipelines:\n  - kafka: {}\n", "missing-field", 7, "pipelines[0].name", "missing field"),
        ("pipelines:\n  - name: a\n  - name: a\n", "duplicate-pipeline", 8, "pipelines[1].name", "in line 7"),
        ("pipelines:\n  a:\n  a:\n", "duplicate-key", 8, "pipelines.a", "this key is there twice"),
        ("pipelines:\n  A b:\n", "invalid-value", 7, "pipelines.A b", '"A b" is not the name of a pipeline'),
        ("pipelines:\n  a/b:\n", "invalid-value", 7, "pipelines.a/b", '"a/b" is not the name of a pipeline'),
        ("pipelines:\n  - name: 5\n", "wrong-type", 7, "pipelines[0].name", "expected text, got the number 5"),
        (
            "pipelines:\n  a: {name: b}\n",
            "invalid-value",
            7,
            "pipelines.a.name",
            'the key "a" names this pipeline already',
        ),
        (
            "pipelines:\n  a: {server: {port: 1}}\n",
            "process-wide",
            7,
            "pipelines.a.server",
            "concerns the whole process",
        ),
        ("pipelines:\n  a: {logger: {level: LOUD}}\n", "process-wide", 7, "pipelines.a.logger", "the whole process"),
        ("pipelines:\n  a: {tabel: x}\n", "unknown-field", 7, "pipelines.a.tabel", "unknown field"),
        (
            "pipelines:\n  a: {postgres: {tabel: x}}\n",
            "unknown-field",
            7,
            "pipelines.a.postgres.tabel",
            "unknown field",
        ),
        ("pipelines:\n  a: {kafka: }\n", "wrong-type", 7, "pipelines.a.kafka", "expected keys and values, got nothing"),
        (
            "pipelines:\n  a: {kafka: {topics: []}}\n",
            "invalid-value",
            7,
            "pipelines.a.kafka.topics",
            "must not be empty",
        ),
        (
            "pipelines:\n  a: {dead_letter: {topic: orders}}\n",
            "invalid-value",
            2,
            "app.kafka.topics[0]",
            "run in a circle",
        ),
        ("pipelines:\n  a: {source: {parser: jsn}}\n", "unknown-parser", 7, "pipelines.a.source.parser", "no parser"),
        (
            "pipelines:\n  a: {pipeline_template: x}\n",
            "template-missing",
            7,
            "pipelines.a.pipeline_template",
            "not exist",
        ),
    ],
)
def test_problems_of_an_entry_are_shown_in_it(
    folder: Folder, pipelines: str, code: str, line: int, path: str, message: str
) -> None:
    problem = folder.error(BASE + pipelines)
    assert (problem.code, problem.line, problem.path) == (code, line, path)
    assert message in problem.message


def test_process_wide_sections_say_where_they_belong(folder: Folder) -> None:
    assert folder.error(BASE + "pipelines:\n  a: {server: {}}\n").hint == "put it under app: app.server"


def test_problems_of_the_defaults_are_told_once_and_in_app(folder: Folder) -> None:
    text = """\
        app:
          kafka: {brokers: [nowhere], consumer_group: shop, min_partitions: '${N}', extra: 1}
          postgres: {url: embedded, table: t}
          source: {parser: json, plugin_path: json.so}
          pipeline_template: none.yaml
        pipelines:
          a:
          b:
          c:
        """
    assert [(problem.line, problem.code, problem.path) for problem in folder.problems(text)] == [
        (2, "missing-field", "app.kafka.topics"),
        (2, "invalid-value", "app.kafka.brokers[0]"),
        (2, "unset-variable", "app.kafka.min_partitions"),
        (2, "unknown-field", "app.kafka.extra"),
        (4, "plugin-ignored", "app.source.plugin_path"),
        (5, "template-missing", "app.pipeline_template"),
    ]


@pytest.mark.parametrize(
    ("entries", "line", "path"),
    [
        ("  a: {kafka: {topics: [x]}}\n  b: {kafka: {min_partitions: 2}}\n", 6, "pipelines.b.kafka.topics"),
        ("  a: {kafka: {topics: [x]}}\n  b:\n", 6, "pipelines.b.kafka.topics"),
        ("  a: {kafka: {min_partitions: 2}}\n  b:\n", 2, "app.kafka.topics"),
    ],
)
def test_what_only_some_pipelines_lack_is_missing_in_their_entries(
    folder: Folder, entries: str, line: int, path: str
) -> None:
    text = 'app:\n  kafka: {brokers: ["b:1"], consumer_group: g}\n  sinks: [stdout]\npipelines:\n' + entries
    problem = folder.error(text)
    assert (problem.code, problem.line, problem.path) == ("missing-field", line, path)


def test_secrets_of_all_pipelines_are_collected(folder: Folder) -> None:
    text = (
        BASE
        + 'pipelines:\n  a: {postgres: {url: "postgresql://u:first-one@db/x"}}\n  b: {postgres: {url: "${PG}", table: b}}\n'
    )
    config = folder.load(text, {"PG": "postgresql://u:second@db/x"}).config
    assert config.secrets == ("postgresql://u:second@db/x", "first-one", "second")


def test_the_file_may_lie_elsewhere(folder: Folder) -> None:
    folder.write("input:\n  {{ input | yaml(2) }}\n", "conf/templates/mine.yaml")
    path = folder.write(
        TABLELESS + "  pipeline_template: templates/mine.yaml\npipelines: {a: , b: }\n", "conf/app.yaml"
    )
    templates = {pipeline.pipeline_template for pipeline in load(path, {}, model=pipeline_type()).config.pipelines}
    assert templates == {folder.path / Path("conf/templates/mine.yaml")}
