"""What a column may say: its type, where its value comes from, and how that says a time."""

import json

import pytest

from ddpm.components.columns import columns
from ddpm.components.sinks.postgres import Postgres
from ddpm.config.fields import keys_of, literal
from ddpm.config.model import Source
from ddpm.config.names import join_table, split_table
from ddpm.config.pgtypes import near, parse
from unit.config.folder import MINIMAL, Folder


def with_columns(text: str) -> str:
    return MINIMAL.replace("table: orders", f"table: orders, columns: {text}")


def rendered(columns_given: dict[str, object], parser: str = "json") -> list[dict[str, object]]:
    postgres = Postgres.model_validate({"url": "embedded", "table": "t", "columns": columns_given})
    return [dict(column.component()) for column in columns(postgres, Source(parser=parser))]


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("a.b", ("a", "b")),
        ("$.y", ("y",)),
        ("x[0]", ("x", "0")),
        ("items[0].sku", ("items", "0", "sku")),
        ("items.0.sku", ("items", "0", "sku")),
        ("m[1][02]", ("m", "1", "2")),
        ("$[0]", ("0",)),
        ("$['a.b'][\"c]\"].d", ("a.b", "c]", "d")),
        ("labels.app\\.name", ("labels", "app.name")),
        ("x\\[0]", ("x[0]",)),
        ("$.this.y", ("this", "y")),
        ("this", ("this",)),
        ("@timestamp", ("@timestamp",)),
        ("$.$.a", ("$", "a")),
        ("a$.b", ("a$", "b")),
    ],
)
def test_paths_lead_to_one_value(path: str, keys: tuple[str, ...]) -> None:
    assert keys_of(path) == keys


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("this.y", "write y, or for a key that is really named so: $.this.y"),
        ("this[0]", "write [0]"),
        ("/a/b", "write a.b"),
        ("data->'a'->>'b'", "write a.b"),
        ("$", "write the keys that lead to the value"),
        ("a..b", "has an empty key"),
        (".y", "has an empty key"),
        ("a.", "has an empty key"),
        ("$.", "has an empty key"),
        ("items[*].sku", "[*] where the place of one value"),
        ("items[-1]", "[-1] where the place of one value"),
        ("items[]", "[] where the place of one value"),
        ("items[0", "[0 where the place of one value"),
        ("[0]", "[0] where the place of one value"),
        ("items[0]sku", "has an empty key"),
    ],
)
def test_other_paths_are_refused_with_the_right_form(folder: Folder, path: str, message: str) -> None:
    problem = folder.error(with_columns(f"{{a: {{type: text, from: {json.dumps(path)}}}}}"))
    assert (problem.code, problem.path) == ("invalid-value", "app.postgres.columns.a.from")
    assert message in problem.message


@pytest.mark.parametrize("key", ["a.b", "x[0]", "this.y", "/a", "$", "$.x", "a"])
def test_the_name_of_a_column_is_its_key_as_it_is(key: str) -> None:
    assert keys_of(literal(key)) == (key,)
    assert rendered({key: "text"}) == [{"name": key, "from": "field", "path": [key]}]


@pytest.mark.parametrize(
    ("text", "name", "array"),
    [
        ("bigint", "bigint", False),
        ("INT", "integer", False),
        ("int[3]", "integer", True),
        ("integer array", "integer", True),
        ("int ARRAY[3]", "integer", True),
        ("numeric(12, 2)", "numeric", False),
        ("numeric(5,-2)", "numeric", False),
        ("varchar(3)", "character varying", False),
        ("character varying (3) [] []", "character varying", True),
        ("national character varying(3)", "character varying", False),
        ("double precision[]", "double precision", True),
        ("bit varying(8)", "bit varying", False),
        ("timestamp(3) with time zone", "timestamp with time zone", False),
        ("timestamptz(3)", "timestamp with time zone", False),
        ("time without time zone", "time", False),
        ("interval day to second(3)", "interval", False),
        ("interval(3)", "interval", False),
        ('"jsonb"', "jsonb", False),
        ("pg_catalog.jsonb[]", "jsonb", True),
        ('"char"', "char", False),
    ],
)
def test_built_in_types_are_known(text: str, name: str, array: bool) -> None:
    found = parse(text)
    assert (found.name, found.array) == (name, array)
    assert found.known == (text != '"char"')


@pytest.mark.parametrize(
    "text",
    [
        *("geometry(Point,4326)", '"OrderStatus"', 'shop."Type"[]', "public.dates", '"dates"', "citext", "hstore"),
        *("vector(3)", "mood", "status", "größe", 'a."x;y".b', "email_address", "test_kind"),
    ],
)
def test_other_types_may_be_there(text: str) -> None:
    assert not parse(text).known


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("varchr(3)", 'did you mean "varchar"?'),
        ("timestmap", 'did you mean "timestamp"?'),
        ("interger", 'did you mean "integer"?'),
        ("bolean", 'did you mean "boolean"?'),
        ("jsnob", 'did you mean "jsonb"?'),
        ("text not null", "a column holds a type only; write text"),
        ("varchar(3) DEFAULT 'x'", "is not the name of a Postgres type"),
        ("numeric(12,2) primary key", "a column holds a type only; write numeric(12,2)"),
        ("bigserial", "write bigint"),
        ("text(3)", "has nothing in parentheses"),
        ("numeric(12", "has no closing parenthesis"),
        ("int;", "is not the name of a Postgres type"),
        ("int; drop table x", "is not the name of a Postgres type"),
        ("int) , b int", "is not the name of a Postgres type"),
        ("int -- x", "is not the name of a Postgres type"),
        ("int/**/", "is not the name of a Postgres type"),
        ("'int'", "is not the name of a Postgres type"),
        ("double", "is not the name of a Postgres type"),
        ("timestamp with", "is not the name of a Postgres type"),
        ("setof int", "is not the name of a Postgres type"),
        ("a.b.c.d", "is not the name of a Postgres type"),
        ('"open', "is not the name of a Postgres type"),
        ("int[", "is not the name of a Postgres type"),
        ("[]", "is not the name of a Postgres type"),
        ("varchar()", "is not the name of a Postgres type"),
    ],
)
def test_what_can_be_no_type_is_a_problem(folder: Folder, text: str, message: str) -> None:
    problem = folder.error(with_columns(f"{{a: {json.dumps(text)}}}"))
    assert (problem.code, problem.path.removesuffix(".type")) == ("invalid-value", "app.postgres.columns.a")
    assert message in problem.message


def test_an_unknown_type_has_a_hint_where_others_call_a_built_in_one_so() -> None:
    assert [near(name) for name in ("datetime", "string(3)", "varchr", "mood")] == [
        'did you mean "timestamptz"?',
        'did you mean "text"?',
        'did you mean "varchar"?',
        None,
    ]


def test_a_type_that_yaml_cut_in_two_must_be_quoted(folder: Folder) -> None:
    problem = folder.error(with_columns("{ id: bigint, total: numeric(12,2) }"))
    assert problem.path == "app.postgres.columns.total"
    assert problem.message == 'a comma between { } ends a value, so this type must be in quotes: total: "numeric(12,2)"'


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("orders", (None, "orders")),
        ("shop.orders", ("shop", "orders")),
        ('"my.schema"."my.table"', ("my.schema", "my.table")),
        ('shop."a.b"', ("shop", "a.b")),
        ('"say ""hi"""', (None, 'say "hi"')),
        ('a"b', (None, 'a"b')),
        ("a.b.c", None),
        (".a", None),
        ('"a', None),
    ],
)
def test_a_table_may_have_a_dot_in_its_name(name: str, parts: tuple[str | None, str] | None) -> None:
    if parts is None:
        with pytest.raises(ValueError, match="is not the name of a table"):
            split_table(name)
        return
    assert split_table(name) == parts
    assert split_table(join_table(*parts)) == parts


def test_columns_of_the_record_itself(folder: Folder) -> None:
    given = {
        "k": {"type": "text", "from": {"key": "text"}},
        "kb": {"type": "bytea", "from": {"key": "bytes"}},
        "trace": {"type": "text", "from": {"header": "traceparent"}},
        "at": {"type": "timestamptz", "from": {"timestamp": True}},
        "topic": {"type": "text", "from": {"topic": True}},
        "p": {"type": "int", "from": {"partition": True}},
        "o": {"type": "bigint", "from": {"offset": True}},
    }
    folder.load(with_columns(json.dumps(given)))
    assert rendered(dict(given)) == [
        {"name": "k", "from": "key"},
        {"name": "kb", "from": "key_bytes"},
        {"name": "trace", "from": "header", "header": "traceparent"},
        *({"name": name, "from": part} for name, part in [("at", "timestamp"), ("topic", "topic")]),
        *({"name": name, "from": part} for name, part in [("p", "partition"), ("o", "offset")]),
    ]


@pytest.mark.parametrize(
    ("column", "path", "message"),
    [
        ("{type: text, from: {key: hex}}", "from.key", "expected one of text, bytes"),
        ("{type: text, from: {headers: x}}", "from.headers", "unknown field"),
        ("{type: text, from: {key: text, topic: true}}", "from", "a value comes from one place"),
        ("{type: text, from: {}}", "from", "a value comes from one place"),
        ("{type: text, from: {timestamp: false}}", "from.timestamp", "write true, or omit the key"),
        ("{type: timestamptz, format: epoch}", "format", '"epoch" is not a format; write epoch_s'),
        ("{type: timestamptz, format: '%d.%m.%Q'}", "format", '"%Q" is not a conversion'),
        ("{type: timestamptz, format: '%H:%M'}", "format", "names no whole day"),
        ("{type: time, format: '%d'}", "format", "has no hour"),
        ("{type: bigint, format: epoch_ms}", "format", "reads a time, which a column of bigint cannot hold"),
        ("{type: text, format: json}", "format", "is for columns of json and jsonb, not of text"),
        ("{type: timestamptz, zone: Berlin}", "zone", '"Berlin" is not a time zone'),
        ("{type: timestamptz, zone: localtime}", "zone", "is not a time zone"),
        ("{type: timestamptz, format: epoch_s, zone: Europe/Berlin}", "zone", "counts from 1970 in UTC"),
        ("{type: time, zone: Europe/Berlin}", "zone", "has no time zone"),
        ("{type: jsonb, format: json, zone: UTC}", "zone", "has no zone"),
        ("{type: timestamptz, from: {timestamp: true}, format: epoch_s}", "format", "this value needs none"),
    ],
)
def test_what_does_not_fit_a_column_is_a_problem(folder: Folder, column: str, path: str, message: str) -> None:
    problem = folder.error(with_columns(f"{{a: {column}}}"))
    assert problem.path == f"app.postgres.columns.a.{path}"
    assert message in problem.message


def test_formats_reach_the_engine() -> None:
    given = {"at": {"type": "timestamptz", "format": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"}}
    assert rendered(dict(given)) == [
        {"name": "at", "from": "field", "path": ["at"], "format": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"}
    ]


def test_the_text_of_a_cell_is_the_json_of_a_column_of_json() -> None:
    given: dict[str, object] = {"a": "jsonb", "b": "text", "c": "note", "d": {"type": "json", "from": {"key": "text"}}}
    assert ["format" in column for column in rendered(given, "csv")] == [True, False, True, False]
    assert not any("format" in column for column in rendered(given))


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("batching: {period: 100}", "batching.period"),
        ("engine: {drain: 20}", "engine.drain"),
        ("scale: {max: 3, target_lag: 0.5}", "scale.target_lag"),
    ],
)
def test_a_duration_has_a_unit(folder: Folder, line: str, path: str) -> None:
    problem = folder.error(MINIMAL + f"  {line}\n")
    assert problem.path == f"app.{path}"
    assert "of what? A duration has a unit: " in problem.message


def test_the_hint_about_quotes_shows_what_is_written(folder: Folder) -> None:
    problem = folder.error(MINIMAL + "  batching: {count: ${COUNT:-3}}\n")
    assert problem.hint == 'quote it: "${COUNT:-3}"'
    quoted = folder.load(MINIMAL + '  batching: {count: "${COUNT:-3}"}\n')
    assert quoted.config.pipelines[0].batching.count == 3
