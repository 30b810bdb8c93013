"""A pipeline with several sinks is run as a part for each; one with a single sink, or `fan_out: together`, as it is."""

import pytest

from ddpm.config.model import Pipeline
from ddpm.config.parts import first_of, named, together
from ddpm.orchestrator.run.plan import keys_of
from unit.config.folder import Folder

TWO = """\
app:
  name: orders
  kafka: {brokers: ["b:1"], topics: [orders], consumer_group: g}
  postgres: {url: embedded, table: orders}
  sinks: [postgres, {kafka: {topic: copy}}]
"""
GROUP = "consumer_group: g.kafka"


def pipelines(folder: Folder, text: str) -> tuple[Pipeline, ...]:
    return folder.load(text).config.pipelines


def test_each_sink_has_a_name_a_group_and_nothing_else_of_its_own(folder: Folder) -> None:
    postgres, kafka = pipelines(folder, TWO)
    assert [(each.name, each.kafka.consumer_group, each.sink_names) for each in (postgres, kafka)] == [
        ("orders.postgres", "g.postgres", ("postgres",)),
        ("orders.kafka", "g.kafka", ("kafka",)),
    ]
    assert (postgres.whole, kafka.whole) == ("orders", "orders")
    assert ([each.kind for each in postgres.sinks], [each.kind for each in kafka.sinks]) == (["postgres"], ["kafka"])
    assert (postgres.table is not None, kafka.table) == (True, None)
    assert kafka.known_table == postgres.known_table
    assert (postgres.kafka.topics, postgres.dead_letter) == (kafka.kafka.topics, kafka.dead_letter)


@pytest.mark.parametrize(
    "more",
    [
        "  fan_out: together\n",
        "  engine: {launcher: external, url: 'http://127.0.0.1:1'}\n",
        # Its outputs may be its own: run twice, they would get everything twice.
        "  pipeline_template: mine.yaml\n",
    ],
)
def test_what_has_one_engine_for_all_stays_as_it_is(folder: Folder, more: str) -> None:
    folder.write("input: {}", "mine.yaml")
    (found,) = pipelines(folder, TWO + more)
    assert (found.name, found.part, found.kafka.consumer_group) == ("orders", None, "g")
    assert found.sink_names == ("postgres", "kafka")


def test_one_sink_is_no_part(folder: Folder) -> None:
    (found,) = pipelines(folder, TWO.replace("[postgres, {kafka: {topic: copy}}]", "[{kafka: {topic: copy}}]"))
    assert (found.name, found.part, found.kafka.consumer_group, found.sink_names) == ("orders", None, "g", ("kafka",))


def test_a_template_is_used_for_each_sink_when_that_is_said(folder: Folder) -> None:
    folder.write("input: {}", "mine.yaml")
    found = pipelines(folder, TWO + "  pipeline_template: mine.yaml\n  fan_out: separate\n")
    assert [each.name for each in found] == ["orders.postgres", "orders.kafka"]


def test_generated_configurations_do_not_overwrite_each_other(folder: Folder) -> None:
    found = pipelines(folder, TWO + "  generated_pipeline_config: out/engine.yaml\n")
    paths = [each.generated_pipeline_config for each in found]
    assert paths == [folder.path / "out/engine-postgres.yaml", folder.path / "out/engine-kafka.yaml"]


@pytest.mark.parametrize(
    ("sinks", "names"),
    [
        ("[{kafka: {topic: a}}, {kafka: {topic: b, name: audit}}, stdout]", ["kafka", "audit", "stdout"]),
        ("[{kafka: {topic: a, name: audit}}, {kafka: {topic: b}}]", ["audit", "kafka"]),
        ("[{kafka: {topic: b}}, {kafka: {topic: a, name: audit}}]", ["kafka", "audit"]),
        ("[postgres, {stdout: {name: out}}]", ["postgres", "out"]),
        ("[{postgres: {name: main}}, stdout]", ["main", "stdout"]),
    ],
)
def test_a_sink_is_called_as_it_is_named_or_by_its_kind(folder: Folder, sinks: str, names: list[str]) -> None:
    found = pipelines(folder, TWO.replace("[postgres, {kafka: {topic: copy}}]", sinks))
    assert [each.name for each in found] == [f"orders.{name}" for name in names]


def test_the_name_of_one_does_not_depend_on_others_of_another_kind(folder: Folder) -> None:
    before = {each.name for each in pipelines(folder, TWO)}
    after = {each.name for each in pipelines(folder, TWO.replace("[postgres,", "[stdout, postgres,"))}
    assert before < after


def test_a_group_of_a_sink_is_no_other_pipelines(folder: Folder) -> None:
    others = f"pipelines:\n  orders: {{}}\n  other: {{sinks: [stdout], kafka: {{topics: [x], {GROUP}}}}}\n"
    text = TWO.replace("consumer_group: g", "consumer_group: h") + others.replace("g.kafka", "h-orders.kafka")
    problem = folder.error(text)
    assert (problem.code, problem.path) == ("shared-consumer-group", "pipelines.other.kafka.consumer_group")
    assert problem.message == 'the consumer group "h-orders.kafka" is that of a sink of the pipeline "orders"'


@pytest.mark.parametrize("more", ["", "fan_out: together, "])
def test_the_groups_of_its_sinks_are_a_pipelines_own_however_they_are_run(folder: Folder, more: str) -> None:
    other = "other: {sinks: [stdout], kafka: {topics: [x], consumer_group: h-orders.kafka}}"
    text = TWO.replace("consumer_group: g", "consumer_group: h")
    problem = folder.error(f"{text}pipelines:\n  {other}\n  orders: {{{more}replicas: 2}}\n")
    assert (problem.code, problem.path) == ("shared-consumer-group", "pipelines.other.kafka.consumer_group")


def test_the_generated_file_of_a_sink_is_no_other_pipelines(folder: Folder) -> None:
    others = "pipelines:\n  orders: {generated_pipeline_config: out.yaml}\n  other: {sinks: [stdout], %s}\n"
    problem = folder.error(TWO + others % "generated_pipeline_config: out-kafka.yaml")
    assert (problem.code, problem.path) == ("shared-generated-config", "pipelines.other.generated_pipeline_config")
    assert problem.message.endswith('out-kafka.yaml" is that of a sink of the pipeline "orders"')


def test_sinks_of_one_kind_have_names_that_do_not_depend_on_their_order(folder: Folder) -> None:
    problem = folder.error(TWO.replace("[postgres,", "[{kafka: {topic: a}}, postgres,"))
    assert problem.path == "app.sinks[2]"
    assert 'two sinks are called "kafka"; give one of them a `name` of its own' in problem.message


def test_a_name_means_a_pipeline_all_of_its_parts_or_one(folder: Folder) -> None:
    others = "pipelines:\n  orders: {}\n  other: {sinks: [stdout]}\n"
    found = pipelines(folder, TWO + others)
    assert [each.name for each in found] == ["orders.postgres", "orders.kafka", "other"]
    assert [each.name for each in named(found, "orders")] == ["orders.postgres", "orders.kafka"]
    assert [each.name for each in named(found, "orders.kafka")] == ["orders.kafka"]
    assert [each.name for each in named(found, "other")] == ["other"]
    assert named(found, "order") == ()
    assert first_of(named(found, "orders")).name == "orders.postgres"
    assert first_of(named(found, "orders.kafka")).name == "orders.kafka"


def test_engines_of_others_have_no_parts(folder: Folder) -> None:
    text = TWO + "  engine: {launcher: external, url: 'http://127.0.0.1:1'}\n  fan_out: separate\n"
    assert folder.error(text).path == "app.fan_out"


def test_the_parts_of_a_pipeline_are_shown_as_the_one_that_was_written(folder: Folder) -> None:
    whole = together(pipelines(folder, TWO))
    assert (whole.name, whole.kafka.consumer_group) == ("orders", "g")
    assert [each.kind for each in whole.sinks] == ["postgres", "kafka"]
    (alone,) = pipelines(folder, TWO + "  fan_out: together\n")
    assert together([alone]) == alone
    shown = keys_of(folder.load(TWO).config, "orders")
    assert shown is not None
    assert (shown["kafka"]["consumer_group"], shown["sinks"]) == ("g", ["postgres", {"kafka": {"topic": "copy"}}])
