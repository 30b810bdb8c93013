"""A configuration of several files, overlays and single values: what they come to, and where their problems stand."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from ddpm.components.registry import pipeline_type
from ddpm.config import ConfigProblems, LoadResult, Problem, load
from ddpm.config.model import Config
from ddpm.config.model.server import LogLevel
from ddpm.config.problems import format_problem
from ddpm.config.sources import Sources
from ddpm.errors import ConfigError
from ddpm.orchestrator.run.changes import ConfigFiles
from unit.config.folder import Folder

APP = """\
app:
  kafka: {brokers: ["b:1"], topics: [orders], consumer_group: g}
  postgres: {url: "postgresql://u@h/d", table: orders}
"""
ORDERS = "pipelines:\n  orders:\n    replicas: 2\n"
EVENTS = "pipelines:\n  events:\n    kafka: {topics: [events]}\n    postgres: {table: events}\n"


@pytest.fixture
def conf(folder: Folder) -> Folder:
    """A folder of files within the working directory."""
    folder.write(APP, "conf/app.yaml")
    folder.write(ORDERS, "conf/orders.yaml")
    folder.write(EVENTS, "conf/events.yml")
    return folder


def loaded(
    path: str = "conf",
    overlays: tuple[str, ...] = (),
    sets: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
    stored: str | None = None,
) -> LoadResult:
    sources = Sources(Path(path), tuple(map(Path, overlays)), sets, Path(stored) if stored else None)
    return load(sources, env or {}, model=pipeline_type())


def config(path: str = "conf", overlays: tuple[str, ...] = (), sets: tuple[str, ...] = ()) -> Config:
    return loaded(path, overlays, sets).config


def problems(
    path: str = "conf", overlays: tuple[str, ...] = (), sets: tuple[str, ...] = (), env: Mapping[str, str] | None = None
) -> tuple[Problem, ...]:
    try:
        return loaded(path, overlays, sets, env).warnings
    except ConfigProblems as found:
        return found.problems


def problem(
    path: str = "conf", overlays: tuple[str, ...] = (), sets: tuple[str, ...] = (), env: Mapping[str, str] | None = None
) -> Problem:
    (found,) = problems(path, overlays, sets, env)
    return found


def named(config: Config) -> list[str]:
    return [each.name for each in config.pipelines]


class TestFolder:
    def test_its_files_are_read_together_by_name(self, conf: Folder) -> None:
        conf.write("what is hidden", "conf/.draft.yaml")
        conf.write("notes", "conf/notes.txt")
        conf.write("a folder in it", "conf/more.yaml/app.yaml")

        found = config()

        assert named(found) == ["events", "orders"]
        assert {name: path.name for name, path in found.homes.items()} == {
            "events": "events.yml",
            "orders": "orders.yaml",
        }
        assert [each.replicas for each in found.pipelines] == [1, 2]

    def test_keys_of_app_may_be_spread_and_none_be_set_twice(self, conf: Folder) -> None:
        conf.write("app:\n  logger: {level: debug}\n  kafka: {start_from: latest}\n", "conf/more.yaml")
        assert config().logger.level == LogLevel.DEBUG
        conf.write("app:\n  kafka:\n    consumer_group: other\n", "conf/more.yaml")

        found = problem()

        assert (found.code, str(found.file), found.line, found.column) == ("duplicate-key", "conf/more.yaml", 3, 5)
        assert found.path == "app.kafka.consumer_group"
        assert found.message == "this key is set in conf/app.yaml, line 2 already"

    def test_two_pipelines_of_one_name_are_a_problem_at_the_second(self, conf: Folder) -> None:
        conf.write("pipelines:\n  - name: orders\n    kafka: {topics: [a]}\n", "conf/zz.yaml")
        found = problem()
        assert (found.code, str(found.file), found.line) == ("duplicate-pipeline", "conf/zz.yaml", 2)
        assert found.message == 'the name "orders" is taken by the pipeline in conf/orders.yaml, line 2'

    @pytest.mark.parametrize(
        ("text", "code", "line", "excerpt"),
        [
            ("pipelines:\n  a:\n    replicsa: 1\n", "unknown-field", 3, "    replicsa: 1"),
            ("pipelines:\n  a:\n    replicas: many\n", "wrong-type", 3, "    replicas: many"),
            ("pipelines:\n  a: 5\n", "wrong-type", 2, "  a: 5"),
            ("pipelines:\n  a:\n    server: {port: 1}\n", "process-wide", 3, "    server: {port: 1}"),
            ("pipelines:\n  a:\n    kafka: {topics: ['${X}']}\n", "unset-variable", 3, "    kafka: {topics: ['${X}']}"),
            ("pipelines:\n  a:\n    kafka: {consumer_group: g-orders}\n", "shared-consumer-group", 3, None),
            ("pipelines:\n  a: {source: {parser: jsn}}\n", "unknown-parser", 2, None),
            ("pipelines:\n  a: {pipeline_template: no.j2}\n", "template-missing", 2, None),
            ("pipelins:\n  a: {}\n", "unknown-field", 1, "pipelins:"),
            ("pipelines:\n  a: {}\n  a: {}\n", "duplicate-key", 3, "  a: {}"),
            ("pipelines: [", "yaml-syntax", 1, "pipelines: ["),
            ("", "empty-file", None, None),
            ("just text", "wrong-type", 1, "just text"),
        ],
    )
    def test_a_problem_is_shown_in_the_file_where_it_stands(
        self, conf: Folder, text: str, code: str, line: int | None, excerpt: str | None
    ) -> None:
        conf.write(text, "conf/second.yaml")

        found = next(each for each in problems() if each.code == code)

        assert (str(found.file), found.line) == ("conf/second.yaml", line)
        assert excerpt in (None, found.source_line)

    def test_what_all_files_have_of_wrong_is_said_at_once(self, conf: Folder) -> None:
        conf.write(f"{APP}  nonsense: 1\n", "conf/app.yaml")
        conf.write("pipelines: {events: {replicas: -1}}", "conf/events.yml")
        assert [each.file.name for each in problems()] == ["app.yaml", "events.yml"]
        conf.write("a: [", "conf/a.yaml")
        conf.write("b: ]", "conf/b.yaml")
        assert [each.file.name for each in problems()] == ["a.yaml", "b.yaml"]

    def test_a_mistake_of_a_mapping_is_placed_in_its_file(self, conf: Folder) -> None:
        step = "    processors:\n      - mapping: |\n          root.x = 1\n"
        conf.write(f"pipelines:\n  orders:\n{step}", "conf/orders.yaml")
        (made,) = config().pipelines[1].processors
        assert made.written is not None
        found = made.written.problem("mapping", made.written.scalar.text.index("="), "what is wrong")
        assert (str(found.file), found.line, found.column) == ("conf/orders.yaml", 5, 18)
        assert found.source_line == "          root.x = 1"

    def test_secrets_are_masked_in_each_file(self, conf: Folder) -> None:
        conf.write("pipelines:\n  a: {postgres: {url: 'postgresql://u:hunter2@h/d', tabel: t}}\n", "conf/second.yaml")
        found = problem()
        assert found.line == 2
        assert "hunter2" not in format_problem(found)

    def test_relative_paths_are_looked_up_beside_its_files(self, conf: Folder) -> None:
        conf.write("{{ input | yaml }}", "conf/mine.j2")
        conf.write("pipelines: {orders: {pipeline_template: mine.j2}}", "conf/orders.yaml")
        orders = config().pipelines[1]
        assert orders.pipeline_template == conf.path / "conf" / "mine.j2"


class TestOverlay:
    def test_mappings_are_merged_lists_replaced_and_null_removes(self, conf: Folder) -> None:
        conf.write(
            """\
            app:
              kafka: {topics: [a, b]}
              postgres: {table: other}
            pipelines:
              events: null
              orders: {replicas: 5}
            """,
            "prod.yaml",
        )
        (orders,) = config(overlays=("prod.yaml",)).pipelines
        assert (orders.kafka.topics, orders.kafka.brokers, orders.replicas) == (("a", "b"), ("b:1",), 5)

    def test_the_last_one_wins(self, conf: Folder) -> None:
        conf.write("app: {logger: {level: debug}}", "a.yaml")
        conf.write("app: {logger: {level: error}}", "b.yaml")
        assert config(overlays=("a.yaml", "b.yaml")).logger.level == LogLevel.ERROR
        assert config(overlays=("b.yaml", "a.yaml")).logger.level == LogLevel.DEBUG

    def test_one_in_the_folder_is_no_file_of_it(self, conf: Folder) -> None:
        conf.write("app: {kafka: {topics: [other]}}", "conf/prod.yaml")
        assert problem().code == "duplicate-key"
        assert config(overlays=("conf/prod.yaml",)).pipelines[1].kafka.topics == ("other",)

    def test_it_finds_the_pipelines_of_a_list_by_name(self, folder: Folder) -> None:
        folder.write(f"{APP}pipelines:\n  - name: orders\n    replicas: 2\n", "app.yaml")
        folder.write("pipelines: {orders: {replicas: 3}}", "prod.yaml")
        assert [each.replicas for each in config("app.yaml", ("prod.yaml",)).pipelines] == [3]

    def test_a_problem_is_where_the_value_comes_from(self, conf: Folder) -> None:
        conf.write("app:\n  kafka:\n    topics: 5\n", "prod.yaml")
        found = problem(overlays=("prod.yaml",))
        assert (str(found.file), found.line, found.source_line) == ("prod.yaml", 3, "    topics: 5")
        conf.write(APP.replace("topics: [orders]", "topics: 5"), "conf/app.yaml")
        conf.write("app: {kafka: {topics: [a]}}", "prod.yaml")
        assert problems(overlays=("prod.yaml",)) == ()
        conf.write("app: {kafka: {brokers: []}}", "prod.yaml")
        conf.write(EVENTS.replace("[events]", "7"), "conf/events.yml")
        files = [each.file.name for each in problems(overlays=("prod.yaml",))]
        assert files == ["app.yaml", "events.yml", "prod.yaml"]

    def test_null_for_what_is_not_there_is_a_warning(self, conf: Folder) -> None:
        conf.write("app:\n  kafka:\n    consumer_grup: null\n", "prod.yaml")
        found = problem(overlays=("prod.yaml",))
        assert (found.code, found.severity, found.line) == ("nothing-to-remove", "warning", 3)
        assert found.hint == 'did you mean "consumer_group"?'

    def test_a_missing_one_is_a_problem(self, conf: Folder) -> None:
        found = problem(overlays=("nowhere.yaml",))
        assert (found.code, str(found.file)) == ("file-missing", "nowhere.yaml")

    def test_a_secret_that_it_takes_the_place_of_is_masked_too(self, conf: Folder) -> None:
        conf.write("pipelines:\n  a: {postgres: {url: 'postgresql://u:hunter2/x@h/d'}, replicas: -1}\n", "conf/z.yaml")
        conf.write("pipelines: {a: {postgres: {url: 'postgresql://u@h/e', table: a}}}", "prod.yaml")
        (found,) = (each for each in problems(overlays=("prod.yaml",)) if each.path == "pipelines.a.replicas")
        assert found.source_line is not None
        assert "hunter2" not in found.source_line


class TestSet:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("app.kafka.topics[0]=a", ("a",)),
            ("app.kafka.topics[1]=a", ("orders", "a")),
            ("app.kafka.topics=[x, y]", ("x", "y")),
            ("pipelines.orders.kafka.topics=[z]", ("z",)),
            ("app.kafka={topics: [q], brokers: ['b:1'], consumer_group: g}", ("q",)),
        ],
    )
    def test_one_value_is_set(self, conf: Folder, text: str, value: tuple[str, ...]) -> None:
        orders = next(each for each in config(sets=(text,)).pipelines if each.name == "orders")
        assert orders.kafka.topics == value

    def test_sections_on_the_way_are_made_and_the_last_wins(self, conf: Folder) -> None:
        sets = ("pipelines.orders.batching.count=5", "app.logger.level=error", "app.logger.level=debug")
        found = config(sets=sets)
        assert found.pipelines[1].batching.count == 5
        assert found.logger.level == LogLevel.DEBUG

    def test_a_key_with_dots_is_found_or_escaped(self, conf: Folder) -> None:
        conf.write("app: {kafka: {topic_configs: {retention.ms: 5}}}", "conf/more.yaml")
        sets = ("app.kafka.topic_configs.retention.ms=7", r"app.kafka.topic_configs.cleanup\.policy=compact")
        assert config(sets=sets).pipelines[0].kafka.topic_configs == {"retention.ms": 7, "cleanup.policy": "compact"}

    def test_null_removes(self, conf: Folder) -> None:
        assert named(config(sets=("pipelines.events=",))) == ["orders"]
        assert named(config(sets=("pipelines.events=null",))) == ["orders"]
        assert problem(sets=("pipelines.event=null",)).hint == 'did you mean "events"?'

    @pytest.mark.parametrize(
        ("text", "message", "hint"),
        [
            ("app.kafak.topics=[a]", "unknown field", 'did you mean "kafka"?'),
            ("ap.kafka.topics=[a]", "unknown field", 'did you mean "app"?'),
            ("pipelines.ordres.replicas=2", 'there is no pipeline "ordres"', 'did you mean "orders"?'),
            ("app.kafka.topics[5]=a", "app.kafka.topics has no item [5]", "the next one is app.kafka.topics[1]"),
            ("app.kafka[0]=a", "app.kafka is not a list", "name a key of it, or set app.kafka as a whole"),
            (
                "app.kafka.topics.x=a",
                "app.kafka.topics is a list, which has no keys",
                "name an item of it by its number: app.kafka.topics[0]",
            ),
            ("app.replicas=many", "expected a whole number, got text", None),
            ("app.replicas=[", "this bracket is opened here and never closed", None),
        ],
    )
    def test_a_mistake_names_the_option(self, conf: Folder, text: str, message: str, hint: str | None) -> None:
        found = problem(sets=(text,))
        assert str(found.file) == f"--set {text.partition('=')[0]}=…"
        assert (found.line, found.message, found.hint) == (None, message, hint)
        assert found.source_line == text

    def test_the_caret_is_below_the_value(self, conf: Folder) -> None:
        lines = format_problem(problem(sets=("app.replicas=many",))).splitlines()
        assert lines[0] == ("--set app.replicas=…: error[wrong-type] app.replicas: expected a whole number, got text")
        assert lines[1].index("many") == lines[2].index("^")

    @pytest.mark.parametrize("text", ["app.replicas", "=5", "app..x=1", "[0]=1", ".app=1", "a.=1", "app[x]=1"])
    def test_what_has_no_key_is_refused_unseen(self, conf: Folder, text: str) -> None:
        with pytest.raises(ConfigError, match="--set takes KEY=VALUE"):
            config(sets=(text,))

    def test_a_secret_is_not_shown(self, conf: Folder) -> None:
        found = problems(sets=("app.postgres.url=postgresql://u:hunter2@h:x/d", "app.server.token=hunter2"))
        assert len(found) == 2
        assert "hunter2" not in "".join(map(format_problem, found))

    def test_a_value_is_interpolated_and_never_code(self, conf: Folder) -> None:
        step = ('pipelines.orders.processors=[{mapping: "root = ${V}"}]',)
        (made,) = loaded(sets=step, env={"V": 'a" + env("HOME")'}).config.pipelines[1].processors
        assert made.mapping is not None
        assert '\\"' in made.mapping or "a" not in made.mapping


class TestStored:
    def test_its_pipelines_stand_beside_those_of_the_files(self, conf: Folder) -> None:
        conf.write("kafka: {topics: [made]}\npostgres: {table: made}\n", "data/made.yaml")
        found = loaded(stored="data").config
        assert named(found) == ["events", "orders", "made"]
        assert str(found.homes["made"]) == "data/made.yaml"
        assert named(loaded(stored="nowhere").config) == ["events", "orders"]

    def test_a_problem_of_one_is_at_its_line(self, conf: Folder) -> None:
        conf.write("kafka: {topics: [made]}\nreplicas: 0\npostgres: {table: made}\n", "data/made.yaml")
        with pytest.raises(ConfigProblems) as caught:
            loaded(stored="data")
        (found,) = caught.value.problems
        assert (str(found.file), found.line, found.path) == ("data/made.yaml", 2, "pipelines.made.replicas")

    def test_beside_app_alone_it_cannot_run(self, folder: Folder) -> None:
        folder.write(APP, "app.yaml")
        folder.write("postgres: {table: made}\n", "data/made.yaml")
        with pytest.raises(ConfigProblems, match=r"data/made\.yaml:1:1: error\[no-pipeline\]"):
            loaded("app.yaml", stored="data")

    def test_a_name_of_a_file_is_taken(self, conf: Folder) -> None:
        conf.write("postgres: {table: made}\n", "data/orders.yaml")
        with pytest.raises(ConfigProblems, match=r"data/orders\.yaml.*conf/orders\.yaml, line 2"):
            loaded(stored="data")


def test_every_file_counts_when_one_asks_whether_they_changed(conf: Folder) -> None:
    conf.write("app: {logger: {level: debug}}", "prod.yaml")
    before = config(overlays=("prod.yaml",))
    files = ConfigFiles(before)
    assert files.digests() == files.read
    assert config(overlays=("prod.yaml",)).digest == before.digest
    assert config(overlays=("prod.yaml",), sets=("app.replicas=2",)).digest != before.digest

    for name in ("prod.yaml", "conf/orders.yaml", "conf/new.yml"):
        then = dict(files.digests())
        conf.write("pipelines: {orders: {}}", name)
        assert files.digests() != then, name
    then = dict(files.digests())
    (conf.path / "conf/new.yml").unlink()
    assert files.digests() != then
    assert ConfigFiles(before).changed() == "orders.yaml, prod.yaml changed since it was read; `ddpm reload` applies it"
