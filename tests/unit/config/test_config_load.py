"""A file becomes a configuration, or one list of everything that is wrong with it."""

# ruff: noqa: PLR0917 -- one row of a table stays one line, and one test has all its columns

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from ddpm.components.registry import pipeline_type
from ddpm.config import Config, ConfigProblems, Severity, load
from ddpm.config.model import LogLevel, NoOptions, Pipeline
from ddpm.errors import ExitCode
from unit.config.folder import MINIMAL, Folder

FORERUNNER = """\
app:
  profiling: false
  pipeline_template: "pipelines/benthos/pipeline.yaml"
  generated_pipeline_config: "pipelines/benthos/generated-pipeline.yaml"
  source: { parser: "json", plugin_path: "/app/bin/plugins/json.so" }
  kafka: { brokers: ["redpanda:9092"], topics: ["pipeline-topic"], consumer_group: "pipeline-group", min_partitions: 3 }
  postgres: { url: "postgresql://admin:password@postgres:5432/pipelines?sslmode=disable", table: "processed_data" }
  logger: { level: "DEBUG" }
"""

SHIPPED = Path(__file__).parents[3] / "config" / "app-config.yaml"


def app(*lines: str) -> str:
    """The smallest file with more keys of `app`; each begins in line 4."""
    return MINIMAL + "".join(f"  {line}\n" for line in lines)


def replaced(old: str, new: str) -> str:
    assert old in MINIMAL
    return MINIMAL.replace(old, new)


def test_the_forerunners_file_loads_unchanged(folder: Folder) -> None:
    template = folder.path / folder.write("input:\n  {{ input | yaml(2) }}\n", "pipelines/benthos/pipeline.yaml")

    result = folder.load(FORERUNNER)

    (pipeline,) = result.config.pipelines
    assert pipeline.profiling is False
    assert pipeline.pipeline_template == template
    assert pipeline.generated_pipeline_config == template.parent / "generated-pipeline.yaml"
    assert pipeline.source.parser == "json"
    assert pipeline.kafka.brokers == ("redpanda:9092",)
    assert pipeline.kafka.topics == ("pipeline-topic",)
    assert pipeline.kafka.consumer_group == "pipeline-group"
    assert pipeline.kafka.min_partitions == 3
    assert pipeline.table is not None
    assert pipeline.table.url == "postgresql://admin:password@postgres:5432/pipelines?sslmode=disable"
    assert pipeline.table.table == "processed_data"
    assert result.config.logger.level is LogLevel.DEBUG
    assert result.config.path == Path("app-config.yaml")
    (warning,) = result.warnings
    assert (warning.severity, warning.code) == (Severity.WARNING, "plugin-ignored")
    assert (warning.line, warning.column, warning.path) == (5, 42, "app.source.plugin_path")
    assert 'the parser "json" is built in' in warning.message


def test_the_shipped_file_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SHIPPED.parents[1])
    assert load(SHIPPED, {}, model=pipeline_type()).warnings == ()


def test_the_smallest_file_has_all_defaults(folder: Folder) -> None:
    result = folder.load(MINIMAL)
    assert result.warnings == ()
    (pipeline,) = result.config.pipelines
    assert [sink.kind for sink in pipeline.sinks] == ["postgres"]
    assert pipeline.dead_letter.topic == "failed-messages"
    assert pipeline.pipeline_template is None


@pytest.mark.parametrize(
    "level", ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "trace", "Debug", "info", "warn", "eRRor"]
)
def test_levels_in_any_case(folder: Folder, level: str) -> None:
    assert folder.load(app(f"logger: {{level: {level}}}")).config.logger.level is LogLevel(level.upper())


@pytest.mark.parametrize(
    ("line", "read", "value"),
    [
        ("batching: {period: 250ms}", lambda pipeline: pipeline.batching.period, 0.25),
        ("batching: {period: 2s}", lambda pipeline: pipeline.batching.period, 2.0),
        ("batching: {byte_size: 8MB}", lambda pipeline: pipeline.batching.byte_size, 8_000_000),
        ("batching: {byte_size: 512 KiB}", lambda pipeline: pipeline.batching.byte_size, 524_288),
        ("batching: {count: 1_000}", lambda pipeline: pipeline.batching.count, 1000),
        ("profiling: on", lambda pipeline: pipeline.profiling, True),
        ("sinks: [stdout]", lambda pipeline: [sink.kind for sink in pipeline.sinks], ["stdout"]),
        ("sinks: [{kafka: {topic: out}}]", lambda pipeline: pipeline.sinks[0].topic, "out"),
        (
            'sinks: [{kafka: {topic: out, brokers: ["b:1"]}}, stdout]',
            lambda pipeline: pipeline.sinks[0].brokers,
            ("b:1",),
        ),
        ('sinks: [{kafka: {topic: orders, brokers: ["other:1"]}}]', lambda pipeline: len(pipeline.sinks), 1),
        ("processors: [{filter: this.ok}]", lambda pipeline: pipeline.processors[0].filter, "this.ok"),
        ("engine: {binary: bento}", lambda pipeline: pipeline.engine.binary, Path("bento")),
    ],
)
def test_values_that_load(folder: Folder, line: str, read: Callable[[Pipeline], object], value: object) -> None:
    assert read(folder.load(app(line)).config.pipelines[0]) == value


def test_typed_columns_in_both_forms(folder: Folder) -> None:
    text = replaced(
        "table: orders", "table: orders, columns: {id: bigint, on: date, at: {type: timestamptz, from: meta.at}}"
    )
    postgres = folder.load(text).config.pipelines[0].known_table
    assert postgres is not None
    assert postgres.columns is not None
    assert {name: (column.type, column.origin.keys) for name, column in postgres.columns.items()} == {
        "id": ("bigint", ("id",)),
        "on": ("date", ("on",)),
        "at": ("timestamptz", ("meta", "at")),
    }


@pytest.mark.parametrize(
    ("line", "code", "path", "message", "hint"),
    [
        ("sink: [stdout]", "unknown-field", "app.sink", "unknown field", 'did you mean "sinks"?'),
        ("topics: [x]", "unknown-field", "app.topics", "unknown field", "it belongs to app.kafka.topics"),
        ("zzzzz: 1", "unknown-field", "app.zzzzz", "unknown field", "known here: name, profiling"),
        ("name: Big One", "invalid-value", "app.name", '"Big One" is not the name of a pipeline', None),
        ("name:", "wrong-type", "app.name", "expected text, got nothing", "give it a value, or remove the key"),
        (
            "name: off",
            "wrong-type",
            "app.name",
            "expected text, got false",
            'YAML reads off as false; write it in quotes: "off"',
        ),
        ("name: 12", "wrong-type", "app.name", "expected text, got the number 12", 'write it in quotes: "12"'),
        ("name: [a]", "wrong-type", "app.name", "expected text, got a list", "write one value"),
        ('profiling: "no"', "wrong-type", "app.profiling", "expected true or false, got text", "remove the quotes"),
        ("profiling: 1", "wrong-type", "app.profiling", "expected true or false, got the number 1", None),
        ("batching: 5", "wrong-type", "app.batching", "expected keys and values, got the number 5", None),
        ("batching:", "wrong-type", "app.batching", "expected keys and values, got nothing", "remove the key"),
        ("batching: {count: 010}", "wrong-type", "app.batching.count", "expected a whole number, got 010", "write 10"),
        ("batching: {count: 1:30}", "wrong-type", "app.batching.count", "expected a whole number, got 1:30", "base-60"),
        (
            'batching: {count: "5"}',
            "wrong-type",
            "app.batching.count",
            "expected a whole number, got text",
            "remove the quotes",
        ),
        ("batching: {count: true}", "wrong-type", "app.batching.count", "expected a whole number, got true", None),
        ("batching: {count: 1.5}", "wrong-type", "app.batching.count", "got the number 1.5", None),
        ("batching: {count: 0}", "invalid-value", "app.batching.count", "must be at least 1, is 0", None),
        ("batching: {period: 0}", "invalid-value", "app.batching.period", "must be more than 0, is 0", None),
        ("batching: {period: .nan}", "invalid-value", "app.batching.period", "must be", None),
        ("batching: {period: .inf}", "invalid-value", "app.batching.period", "must be a finite number", None),
        (
            "batching: {period: 5 parsecs}",
            "invalid-value",
            "app.batching.period",
            '"5 parsecs" is not a duration',
            None,
        ),
        ("batching: {byte_size: lots}", "invalid-value", "app.batching.byte_size", '"lots" is not a size', None),
        ("server: {port: 70000}", "invalid-value", "app.server.port", "must be at most 65535, is 70000", None),
        (
            "logger: {level: WARNING}",
            "invalid-value",
            "app.logger.level",
            "expected one of TRACE,",
            'did you mean "WARN"?',
        ),
        ("logger: {level: 3}", "wrong-type", "app.logger.level", "got the number 3", None),
        ("logger: {format: jsn}", "invalid-value", "app.logger.format", "auto, console, json", 'did you mean "json"?'),
        ("pipeline_template: ''", "invalid-value", "app.pipeline_template", "names no file", None),
        ("sinks: []", "invalid-value", "app.sinks", "must not be empty", None),
        (
            "sinks: [postgress]",
            "invalid-value",
            "app.sinks[0]",
            '"postgress" is not a sink',
            'did you mean "postgres"?',
        ),
        ("sinks: [kafka]", "invalid-value", "app.sinks[0]", "the kafka sink needs a topic", None),
        ("sinks: [{kafka: }]", "invalid-value", "app.sinks[0]", "the kafka sink needs a topic", None),
        ("sinks: [{kafka: {topik: x}}]", "missing-field", "app.sinks[0].kafka.topic", "missing field", "topic: "),
        ("sinks: [{stdout: {}, postgres: {}}]", "invalid-value", "app.sinks[0]", "one word or one key", None),
        ("sinks: [{stdout: {a: 1}}]", "unknown-field", "app.sinks[0].stdout.a", "unknown field", None),
        ("sinks: [{stdout: {name: Out}}]", "invalid-value", "app.sinks[0].stdout.name", "not the name of a sink", None),
        (
            "sinks: [{kafka: {topic: a, name: b}}, {kafka: {topic: c, name: b}}]",
            "invalid-value",
            "app.sinks[1]",
            'two sinks are called "b"',
            None,
        ),
        (
            "fan_out: both",
            "invalid-value",
            "app.fan_out",
            "separate",
            None,
        ),
        ("sinks: [stdout, stdout]", "invalid-value", "app.sinks[1]", "named twice", None),
        (
            "sinks: [{kafka: {topic: orders}}]",
            "invalid-value",
            "app.kafka.topics[0]",
            "records would run in a circle",
            None,
        ),
        ("dead_letter: {topic: orders}", "invalid-value", "app.kafka.topics[0]", "records would run in a circle", None),
        ("engine: {launcher: docker}", "invalid-value", "app.engine.launcher", "process, container, external", None),
        ("engine: {launcher: container}", "missing-field", "app.engine.container", "launcher container needs it", None),
        ("engine: {launcher: external}", "missing-field", "app.engine.url", "the launcher external needs it", None),
        ("engine: {url: 'http://e:1'}", "invalid-value", "app.engine.url", "is for the launcher external only", None),
        (
            "engine: {launcher: external, url: 'e:4195'}",
            "invalid-value",
            "app.engine.url",
            "write for example http://",
            None,
        ),
        (
            "engine: {launcher: container, container: {image: e, memory: 100MB}}",
            "invalid-value",
            "app.engine.container.memory",
            "must be above engine.memory_limit, which is 800000000 bytes",
            None,
        ),
        (
            "engine: {launcher: container, container: {image: e, network: none}}",
            "invalid-value",
            "app.engine.container.network",
            "from which Kafka can be reached",
            None,
        ),
        (
            "engine: {launcher: container, container: {image: e, docker: /var/run/docker.sock}}",
            "invalid-value",
            "app.engine.container.docker",
            "write for example unix:///var/run/docker.sock",
            None,
        ),
        ("dead_letter: {topic: ..}", "invalid-value", "app.dead_letter.topic", '".." is not the name of a topic', None),
        ("processors: [{mapping: a, filter: b}]", "invalid-value", "app.processors[0]", "exactly one of", None),
        ("processors: [{}]", "invalid-value", "app.processors[0]", "exactly one of", None),
        ("processors: {mapping: a}", "wrong-type", "app.processors", "expected a list, got keys and values", None),
        ("processors: [{maping: a}]", "unknown-field", "app.processors[0].maping", "unknown field", '"mapping"'),
        (
            "source: {parser: jsom}",
            "unknown-parser",
            "app.source.parser",
            'no parser "jsom"',
            'did you mean "json"? known: json',
        ),
        (
            "source: {parser: avro, plugin_path: x/avro.so}",
            "unknown-parser",
            "app.source.parser",
            "avro",
            "a Go plugin cannot",
        ),
    ],
)
def test_one_problem_in_a_line(folder: Folder, line: str, code: str, path: str, message: str, hint: str | None) -> None:
    problem = next(problem for problem in folder.errors(app(line)) if problem.path == path and problem.code == code)
    assert message in problem.message
    assert (hint or "") in (problem.hint or "")
    assert problem.line == (2 if path.startswith("app.kafka") else 4)
    assert problem.source_line is not None


@pytest.mark.parametrize(
    ("old", "new", "code", "path", "message"),
    [
        ("[orders]", "[]", "invalid-value", "app.kafka.topics", "must not be empty"),
        ("[orders]", "orders", "wrong-type", "app.kafka.topics", "expected a list, got text"),
        ("[orders]", "[orders, orders]", "invalid-value", "app.kafka.topics[1]", '"orders" is named twice'),
        ("[orders]", "[no]", "wrong-type", "app.kafka.topics[0]", "expected text, got false"),
        ("[orders]", '["a/b"]', "invalid-value", "app.kafka.topics[0]", '"a/b" is not the name of a topic'),
        ('["localhost:9092"]', "[]", "invalid-value", "app.kafka.brokers", "must not be empty"),
        ('["localhost:9092"]', "[localhost]", "invalid-value", "app.kafka.brokers[0]", "not the address of a broker"),
        ('["localhost:9092"]', '["a:1,b:2"]', "invalid-value", "app.kafka.brokers[0]", "one host:port an item"),
        ('["localhost:9092"]', '["a:99999"]', "invalid-value", "app.kafka.brokers[0]", "not the address"),
        ('["localhost:9092"]', '["a:1", embedded]', "invalid-value", "app.kafka.brokers", "cannot be mixed"),
        (
            "consumer_group: group",
            "consumer_group: ''",
            "invalid-value",
            "app.kafka.consumer_group",
            "must not be empty",
        ),
        ("consumer_group: group", "group: x", "missing-field", "app.kafka.consumer_group", "missing field"),
        ("table: orders", "tabel: orders", "unknown-field", "app.postgres.tabel", "unknown field"),
        ("{url: embedded,", "{", "missing-field", "app.postgres.url", "missing field"),
        ("url: embedded", "url: mysql://x", "invalid-value", "app.postgres.url", "not a Postgres URL"),
        ("url: embedded", "url: [a]", "wrong-type", "app.postgres.url", "expected text, got a list"),
        ("url: embedded", "url: 5", "wrong-type", "app.postgres.url", "expected text, got another value"),
        ("table: orders", "table: a.b.c", "invalid-value", "app.postgres.table", "write table or schema.table"),
        ("table: orders", "table: a.", "invalid-value", "app.postgres.table", "write table or schema.table"),
        ("table: orders", f"table: {'ä' * 32}", "invalid-value", "app.postgres.table", "longer than the 63 bytes"),
        ("table: orders", 'table: "a\\0b"', "invalid-value", "app.postgres.table", "contains the character NUL"),
        ("table: orders", "table: t, columns: {'': int}", "invalid-value", "app.postgres.columns.", "is empty"),
        ("table: orders", "table: t, columns: {}", "invalid-value", "app.postgres.columns", "no column is named"),
        (
            "table: orders",
            "table: t, columns: {offset: int}",
            "invalid-value",
            "app.postgres.columns.offset",
            "identity",
        ),
        ("table: orders", "table: t, columns: {a: 5}", "wrong-type", "app.postgres.columns.a", "the number 5"),
        ("table: orders", "table: t, columns: {a: int;}", "invalid-value", "app.postgres.columns.a", "Postgres type"),
        (
            "table: orders",
            "table: t, columns: {a: {}}",
            "missing-field",
            "app.postgres.columns.a.type",
            "missing field",
        ),
    ],
)
def test_one_problem_of_kafka_or_postgres(
    folder: Folder, old: str, new: str, code: str, path: str, message: str
) -> None:
    problems = folder.errors(replaced(old, new))
    problem = next(problem for problem in problems if (problem.code, problem.path) == (code, path))
    assert message in problem.message
    assert problem.line in (2, 3)


@pytest.mark.parametrize("name", ["orders", "public.orders", "Ünïcode", "a b;drop table x", 'quo"ted', "x" * 63])
def test_names_of_tables_that_are_only_a_matter_of_quoting(folder: Folder, name: str) -> None:
    postgres = folder.load(replaced("table: orders", f"table: '{name}'")).config.pipelines[0].known_table
    assert postgres is not None
    assert postgres.table == name


def test_a_missing_section_says_who_needs_it(folder: Folder) -> None:
    text = "app:\n  kafka: {brokers: [embedded], topics: [a], consumer_group: g}\n"
    problem = folder.error(text)
    assert (problem.code, problem.path, problem.line) == ("missing-field", "app.postgres", 1)
    assert "the postgres sink needs it" in problem.message
    assert folder.load(text + "  sinks: [stdout]\n").config.pipelines[0].known_table is None


def test_several_problems_come_at_once_in_the_order_of_the_file(folder: Folder) -> None:
    text = """\
        app:
          logger: {level: LOUD}
          kafka:
            topics: []
            brokers: [a, "b:1", c]
            min_partitions: ${UNSET}
          postgres:
            url: postgresql://localhost/db
            tabel: orders
        extra: 1
        """
    with pytest.raises(ConfigProblems) as caught:
        folder.load(text)
    assert caught.value.exit_code is ExitCode.CONFIG
    assert not caught.value.retryable
    assert [(problem.line, problem.code, problem.path) for problem in caught.value.problems] == [
        (2, "invalid-value", "app.logger.level"),
        (3, "missing-field", "app.kafka.consumer_group"),
        (4, "invalid-value", "app.kafka.topics"),
        (5, "invalid-value", "app.kafka.brokers[0]"),
        (5, "invalid-value", "app.kafka.brokers[2]"),
        (6, "unset-variable", "app.kafka.min_partitions"),
        (7, "missing-field", "app.postgres.table"),
        (9, "unknown-field", "app.postgres.tabel"),
        (10, "unknown-field", "extra"),
    ]


@pytest.mark.parametrize(
    ("text", "code", "line", "message"),
    [
        ("", "empty-file", None, "the file is empty"),
        ("# nothing\n", "empty-file", None, "the file is empty"),
        ("---\n", "empty-file", None, "the file is empty"),
        ("- a\n", "wrong-type", 1, "expected keys and values"),
        ("hello\n", "wrong-type", 1, "expected keys and values"),
        ("app:\n", "wrong-type", 1, "expected the keys of the pipeline"),
        ("app: [a]\n", "wrong-type", 1, "expected the keys of the pipeline"),
        ("{}\n", "missing-field", 1, "missing section"),
        ("ap: {}\n", "unknown-field", 1, "unknown field"),
        ("kafka: {}\n", "unknown-field", 1, "unknown field"),
    ],
)
def test_files_without_a_pipeline(folder: Folder, text: str, code: str, line: int | None, message: str) -> None:
    problem = folder.error(text)
    assert (problem.code, problem.line) == (code, line)
    assert message in problem.message
    assert problem.hint


def test_a_missing_file_is_one_problem_without_a_line(folder: Folder) -> None:
    with pytest.raises(ConfigProblems, match=r"nowhere\.yaml: error\[file-missing\] the file does not exist"):
        load(Path("nowhere.yaml"), {}, model=pipeline_type())
    with pytest.raises(ConfigProblems, match=r"error\[empty-file\] the folder holds no configuration"):
        load(folder.path, {}, model=pipeline_type())


def test_a_file_that_is_not_utf_8_says_where(folder: Folder) -> None:
    (folder.path / "latin.yaml").write_bytes("app:\n  name: café\n".encode("latin-1"))
    with pytest.raises(ConfigProblems) as caught:
        load(Path("latin.yaml"), {}, model=pipeline_type())
    (problem,) = caught.value.problems
    assert (problem.code, problem.line, problem.column, problem.message) == (
        "yaml-syntax",
        2,
        12,
        "the byte 0xe9 here is not UTF-8",
    )


def test_a_huge_file_is_not_read(folder: Folder) -> None:
    (folder.path / "huge.yaml").write_text("#" * 2_000_000)
    with pytest.raises(ConfigProblems, match="larger than 1 MiB"):
        load(Path("huge.yaml"), {}, model=pipeline_type())


@pytest.mark.parametrize("prefix", ["\N{ZERO WIDTH NO-BREAK SPACE}", "# first\r\n", "%YAML 1.1\n---\n"])
def test_marks_of_other_systems_are_fine(folder: Folder, prefix: str) -> None:
    (folder.path / "app-config.yaml").write_text(prefix + MINIMAL, encoding="utf-8", newline="")
    assert isinstance(load(Path("app-config.yaml"), {}, model=pipeline_type()).config, Config)


def test_a_place_counts_windows_line_ends_once(folder: Folder) -> None:
    (folder.path / "app-config.yaml").write_bytes(app("tabel: x").replace("\n", "\r\n").encode())
    with pytest.raises(ConfigProblems) as caught:
        load(Path("app-config.yaml"), {}, model=pipeline_type())
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.source_line) == (4, 3, "  tabel: x")


def test_more_parsers_can_be_known(folder: Folder) -> None:
    path = folder.write(app("source: {parser: avro}"))
    assert (
        load(path, {}, model=pipeline_type(), parsers={"json": NoOptions, "avro": NoOptions})
        .config.pipelines[0]
        .source.parser
        == "avro"
    )


def test_a_shell_object_of_another_name_is_left_to_the_catalogue(folder: Folder) -> None:
    assert folder.load(app("source: {parser: json, plugin_path: /x/custom.so}")).warnings == ()


def test_keys_for_anchors_are_ignored(folder: Folder) -> None:
    text = dedent("""\
        x-broker: &broker ["localhost:9092"]
        app:
          kafka: {brokers: *broker, topics: [orders], consumer_group: group}
          postgres: {url: embedded, table: orders}
        """)
    assert folder.load(text).config.pipelines[0].kafka.brokers == ("localhost:9092",)


CONTAINER = "engine: {launcher: container, container: {image: e}}"
EXTERNAL = "engine: {launcher: external, url: 'http://e:4195'}"


@pytest.mark.parametrize(
    ("engine", "line", "path", "message"),
    [
        (CONTAINER, "sinks: [postgres, stdout]", "app.sinks[1]", "would stay in the container"),
        (CONTAINER, "profiling: true", "app.profiling", "are out of reach"),
        (EXTERNAL, "profiling: true", "app.profiling", "are out of reach"),
        (EXTERNAL, "replicas: 2", "app.replicas", "ddpm does not start or end this engine"),
        (EXTERNAL, "scale: {max: 2}", "app.scale", "ddpm does not start or end this engine"),
        (EXTERNAL, "once: true", "app.once", "ddpm does not start or end this engine"),
    ],
)
def test_what_a_launcher_cannot_do_is_told(folder: Folder, engine: str, line: str, path: str, message: str) -> None:
    (problem,) = folder.errors(app(f"{engine}\n  {line}"))
    assert (problem.path, problem.line) == (path, 5)
    assert message in problem.message
