"""Rendering: golden files, templates of people, and values that try to become code."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ddpm.components.registry import pipeline_type
from ddpm.config.problems import ConfigProblems, Place
from ddpm.config.skeleton import Skeleton
from ddpm.errors import ConfigError
from ddpm.orchestrator.prepare import default_template
from ddpm.render import render

GOLDEN = Path(__file__).parents[1] / "golden"
KAFKA = {"brokers": ["localhost:9092"], "topics": ["events"], "consumer_group": "ddpm"}
POSTGRES = {"url": "postgresql://ddpm:hunter2secret@localhost/ddpm", "table": "events"}

# The patterns that the engine replaces in the text of its configuration, before it parses the YAML.
ENGINE_SUBSTITUTION = re.compile(r"\$\{[0-9A-Za-z_.]+(:((\$\{[^}]+\})|[^}])*)?\}|\$\{\{")
OWN_REFERENCES = ["${DDPM_ENGINE_PORT}", "${DDPM_CLIENT_ID:ddpm-pipeline}"]

CASES: dict[str, dict[str, Any]] = {
    "json-document-table": {"kafka": KAFKA, "postgres": POSTGRES},
    "json-typed-table": {
        "name": "orders",
        "kafka": KAFKA | {"topics": ["orders", "returns"], "start_from": "latest"},
        "postgres": POSTGRES
        | {
            "table": "sales.orders",
            "columns": {"id": "bigint", "total": "numeric(12,2)", "city": {"type": "text", "from": "address.city"}},
        },
        "batching": {"count": 500, "period": "1s", "byte_size": "1MiB"},
        "dead_letter": {"topic": "orders-dead"},
        "logger": {"level": "debug"},
    },
    "json-partitioned-table": {
        "kafka": KAFKA,
        "postgres": POSTGRES | {"columns": {"id": "bigint"}, "partition": {"column": "recorded_at", "retention": 24}},
    },
    "json-processors": {
        "kafka": KAFKA,
        "postgres": POSTGRES,
        "processors": [
            {"mapping": 'root = this\nroot.seen = "${HOME} ${!content()}"'},
            {"filter": "this.amount > 0 # refunds"},
        ],
    },
    "json-processors-direct": {
        "kafka": KAFKA,
        "postgres": POSTGRES,
        "processors": [{"mapping": 'root = this\nroot.seen = "${HOME}"'}, {"filter": "this.amount > 0 # refunds"}],
    },
    "sink-stdout": {"kafka": KAFKA, "sinks": ["stdout"]},
    "parser-ndjson": {"kafka": KAFKA, "postgres": POSTGRES, "source": {"parser": "ndjson"}},
    "parser-lines": {"kafka": KAFKA, "postgres": POSTGRES, "source": {"parser": "lines"}},
    "parser-csv": {
        "kafka": KAFKA,
        "postgres": POSTGRES,
        "source": {"parser": "csv", "options": {"delimiter": ";", "columns": ["id", "naïve ${HOME}"]}},
    },
    "parser-tsv": {
        "kafka": KAFKA,
        "postgres": POSTGRES | {"columns": {"id": "bigint", "city": {"type": "text", "from": "address.city"}}},
        "source": {"parser": "tsv"},
    },
    "parser-spade": {"kafka": KAFKA, "postgres": POSTGRES, "source": {"parser": "spade"}},
    "parser-compressed": {
        "kafka": KAFKA,
        "postgres": POSTGRES,
        "source": {"parser": "json", "compression": "auto", "max_decompressed": "1MiB"},
    },
    "parser-msgpack": {"kafka": KAFKA, "postgres": POSTGRES, "source": {"parser": "msgpack"}},
    "parser-avro-file": {"kafka": KAFKA, "postgres": POSTGRES, "source": {"parser": "avro"}},
    "parser-avro-datum": {
        "kafka": KAFKA,
        "postgres": POSTGRES,
        "source": {"parser": "avro", "options": {"framing": "datum", "schema_file": "order.avsc"}},
    },
    "parser-avro-confluent": {
        "kafka": KAFKA,
        "postgres": POSTGRES,
        "source": {
            "parser": "avro",
            "options": {"framing": "confluent", "registry": "http://ddpm:hunter2secret@registry:8081"},
        },
    },
    "parser-parquet": {"kafka": KAFKA, "postgres": POSTGRES, "source": {"parser": "parquet"}},
    "parser-protobuf": {
        "kafka": KAFKA,
        "postgres": POSTGRES,
        "source": {"parser": "protobuf", "options": {"descriptor_set": "shop.pb", "message": "shop.Order"}},
    },
    "sink-kafka": {"kafka": KAFKA, "sinks": [{"kafka": {"topic": "copy"}}]},
    "sinks-all": {
        "kafka": KAFKA,
        "postgres": POSTGRES,
        "sinks": ["postgres", {"kafka": {"topic": "copy", "brokers": ["other:9092"]}}, "stdout"],
    },
}


def rendered(section: dict[str, Any], template: str | None = None) -> str:
    skeleton = Skeleton(Path("mine.yaml"), default_template().read_text() if template is None else template)
    return render(pipeline_type().model_validate(section), skeleton, origin="app-config.yaml").text


@pytest.mark.parametrize("name", CASES)
def test_the_engine_configuration_is_the_golden_one(name: str, request: pytest.FixtureRequest) -> None:
    golden, text = GOLDEN / f"{name}.yaml", rendered(CASES[name])
    if request.config.getoption("--update-golden"):
        golden.write_text(text)
    assert text == golden.read_text(), "run pytest with --update-golden when the change is meant"


@pytest.mark.parametrize("name", CASES)
def test_no_secret_is_in_it(name: str) -> None:
    assert "hunter2secret" not in rendered(CASES[name])


TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), min_size=1)
HOSTILE = st.one_of(
    TEXT,
    st.sampled_from(
        ["${HOME}", "${{HOME}}", "${A:b}", "${${A}}", "\\${A}", '"\n- x: ${A}', "{{ name }}", "a: b", "#", "|"]
    ),
    st.tuples(TEXT, TEXT).map(lambda pair: f"{pair[0]}${{HOME}}{pair[1]}"),
)


@given(
    mapping=HOSTILE,
    group=HOSTILE,
    keys=st.lists(HOSTILE.filter(lambda key: not re.search(r"\\($|[.[])", key)), min_size=1),
)
def test_a_value_arrives_as_it_is_and_never_becomes_structure_or_substitution(
    mapping: str, group: str, keys: list[str]
) -> None:
    path = "$." + ".".join(key.replace(".", "\\.").replace("[", "\\[") for key in keys)
    text = rendered(
        {
            "kafka": KAFKA | {"consumer_group": group},
            "postgres": POSTGRES | {"table": "t", "columns": {"c": {"type": "text", "from": path}}},
            "processors": [{"mapping": mapping}],
        }
    )
    assert [match.group() for match in ENGINE_SUBSTITUTION.finditer(text)] == OWN_REFERENCES
    document = yaml.safe_load(text)
    assert document["input"]["ddpm_kafka"]["consumer_group"] == group
    (steps,) = (each for each in document["pipeline"]["processors"] if {"try", "ddpm_steps"} & each.keys())
    made = steps["try"][0]["mapping"] if "try" in steps else steps["ddpm_steps"]["mappings"][0]
    assert made == mapping.lstrip("\r\n")
    copy = document["output"]["fallback"][0]["reject_errored"]["postgres_copy"]
    assert copy["columns"] == [{"name": "c", "from": "field", "path": list(keys)}]


def test_a_template_of_ones_own_may_place_sections_inline() -> None:
    text = rendered(CASES["sink-stdout"], "input: {{ input }}\nlabel: {{ name ~ ': [x]' }}\n")
    document = yaml.safe_load(text)
    assert document["input"]["ddpm_kafka"]["topics"] == ["events"]
    assert document["label"] == "pipeline: [x]"


def test_a_column_called_index_is_refused_where_a_record_can_become_many_rows() -> None:
    section = {"kafka": KAFKA, "source": {"parser": "ndjson"}, "postgres": POSTGRES | {"columns": {"index": "int"}}}
    with pytest.raises(ConfigError, match='"index" is an identity column'):
        rendered(section)
    assert "name: index" in rendered(section | {"source": {"parser": "json"}})


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"source": {"parser": "json"}}, 8_000_000),
        ({"source": {"parser": "json", "compression": "zstd"}}, 1_000_000),
        ({"source": {"parser": "parquet"}}, 1_000_000),
        ({"source": {"parser": "parquet"}, "batching": {"byte_size": "5MB"}}, 5_000_000),
    ],
)
def test_batches_of_what_expands_are_smaller_unless_somebody_says_otherwise(
    section: dict[str, Any], expected: int
) -> None:
    document = yaml.safe_load(rendered(CASES["sink-stdout"] | section))
    assert document["input"]["ddpm_kafka"]["batching"]["byte_size"] == expected


def test_a_parser_that_is_not_there_is_named() -> None:
    source = {"parser": "mine", "plugin_path": "plugins/mine.py"}
    with pytest.raises(ConfigError, match="no plugin was found"):
        rendered(CASES["sink-stdout"] | {"source": source})


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "input: {{ inptu }}\n",
            "mine.yaml:1:1: error[template] app.pipeline_template: 'inptu' is undefined\n",
        ),
        ("a: 1\n\n  b: {{ inptu }}\n", "mine.yaml:3:3: error[template] app.pipeline_template: 'inptu' is undefined"),
        ("a: 1\n{% for %}\n", "mine.yaml:2:1: error[template] "),
        ("{# one\ntwo #}\ninput:\n  {{ input | yaml(2) }}\na: [\n", "mine.yaml:5:"),
        (
            "input: {{ input | yaml }}\n b: 1\n",
            "mine.yaml:1:1: error[template] app.pipeline_template: the ",
        ),
        (
            "just text\n",
            "mine.yaml: error[template] app.pipeline_template: the template does not render to a YAML",
        ),
        (
            "a: {{ ''.__class__.__mro__ }}",
            "mine.yaml:1:1: error[template] app.pipeline_template: access to",
        ),
        ("a: 1\nb: {{ 1 / 0 }}\n", "mine.yaml:2:1: error[template] app.pipeline_template: it cannot be rendered: div"),
        ("{% include 'x' %}", "mine.yaml:1:1: error[template] app.pipeline_template: it cannot be rendered: no loader"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "mine.yaml:1:1: error[template] "),
    ],
)
def test_a_mistake_in_a_template_is_shown_at_its_place(template: str, message: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        rendered(CASES["sink-stdout"], template)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("line", "expected"), [(1, (4, 3)), (2, (6, 3)), (3, (6, 3)), (4, (6, 3)), (5, (7, 5)), (9, (8, 1))]
)
def test_a_line_of_what_was_rendered_is_traced_to_the_template(line: int, expected: tuple[int, int]) -> None:
    template = "{# what it\nis for #}\n\na: 1\n\n  {{ input | yaml(2) }}\nb: 2\n# the end"
    made = "a: 1\n  x: 1\n  y: 2\n  z: 3\nb: 2\n# the end\n"
    assert Skeleton(Path("t"), template).origin(made, Place(line, expected[1]))[:2] == expected


@pytest.mark.parametrize(
    ("step", "alone"),
    [
        ({"mapping": "root = this\nroot.note = this.note.uppercase()"}, True),
        ({"filter": "this.amount > 0"}, True),
        ({"mapping": "root.a = this.json_text.parse_json()\nroot.e = this.error"}, True),
        ({"mapping": "root = content().string()"}, False),
        ({"mapping": "root = this\nroot.key = @kafka_key"}, False),
        ({"mapping": "meta seen = true"}, False),
        ({"mapping": 'root.topic = metadata("kafka_topic")'}, False),
        ({"mapping": "root.n = batch_index()"}, False),
        ({"mapping": 'root.first = json("a").from(0)'}, False),
        ({"mapping": 'import "maps.blobl"\nroot = this.apply("m")'}, False),
        ({"mapping": 'from "mine.blobl"'}, False),
        ({"mapping": "root.why = error ()"}, False),
        ({"filter": "errored()"}, False),
    ],
)
def test_records_become_messages_where_a_step_asks_for_more_than_the_document(
    step: dict[str, str], alone: bool
) -> None:
    document = yaml.safe_load(rendered({"kafka": KAFKA, "postgres": POSTGRES, "processors": [step]}))
    assert document["input"]["ddpm_kafka"].get("direct", False) is alone
    names = [name for each in document["pipeline"]["processors"] for name in each]
    assert ("ddpm_steps" in names, "try" in names) == (alone, not alone)
