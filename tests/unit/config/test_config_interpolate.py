"""`${…}`: values come in as data, and never as structure or code."""

import json
import re
from collections.abc import Mapping

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ddpm.config.interpolate import Interpolated, Variables, escaped, interpolate, interpolate_bloblang
from unit.config.folder import MINIMAL, Folder

ENV = {"A": "value", "EMPTY": "", "NEST": "${A}", "QUOTE": 'x" + deleted() + "'}
FILES = {"/run/secrets/x": "from a file"}

# What an environment variable can hold.
values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
texts = st.text(st.characters(exclude_categories=["Cs"])) | st.text('$${{}AB:-!?"#\n\\ ')


def read(path: str) -> str:
    try:
        return FILES[path]
    except KeyError:
        raise FileNotFoundError(2, "No such file or directory") from None


def put(text: str, env: Mapping[str, str] = ENV) -> Interpolated:
    return interpolate(text, Variables(env, read))


def put_in_bloblang(text: str, env: Mapping[str, str] = ENV) -> Interpolated:
    return interpolate_bloblang(text, Variables(env, read))


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", ""),
        ("plain $ and $A and $$ and {A}", "plain $ and $A and $$ and {A}"),
        ("${A}", "value"),
        ("a${A}b${A}", "avalueb" + "value"),
        ("${EMPTY}", ""),
        ("${A:-other}", "value"),
        ("${UNSET:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${UNSET:-}", ""),
        ("${UNSET:-a:-b c$}", "a:-b c$"),
        ("${A:?needed}", "value"),
        ("${NEST}", "${A}"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$${", "${"),
        ("$${! content() }", "${! content() }"),
        ("${file:/run/secrets/x}", "from a file"),
    ],
)
def test_what_expressions_become(text: str, filled: str) -> None:
    result = put(text)
    assert (result.text, result.faults) == (filled, ())


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("${UNSET}", "unset-variable", "the environment variable UNSET is not set"),
        ("${UNSET:?give me one}", "unset-variable", "the environment variable UNSET is not set: give me one"),
        ("${EMPTY:?give me one}", "unset-variable", "the environment variable EMPTY is empty: give me one"),
        ("${EMPTY:?}", "unset-variable", "the environment variable EMPTY is empty"),
        ("${}", "bad-interpolation", "this is none of ${NAME}"),
        ("${1A}", "bad-interpolation", "this is none of ${NAME}"),
        ("${A-b}", "bad-interpolation", "this is none of ${NAME}"),
        ("${A:b}", "bad-interpolation", "this is none of ${NAME}"),
        ("${ A }", "bad-interpolation", "this is none of ${NAME}"),
        ("${! content() }", "bad-interpolation", "this is none of ${NAME}"),
        ("${A", "bad-interpolation", "has no } to its end"),
        ("${UNSET:-${A}}", "bad-interpolation", "or braces inside"),
        ("${file:}", "bad-interpolation", "this is none of ${NAME}"),
        ("${file:/none}", "file-unreadable", "the file /none cannot be read: No such file or directory"),
    ],
)
def test_expressions_without_a_value(text: str, code: str, message: str) -> None:
    (fault, *_) = put(text).faults
    assert fault.code == code
    assert message in fault.message


@given(texts)
def test_an_escaped_text_comes_back_as_it_was(text: str) -> None:
    assert put(escaped(text)) == Interpolated(text)


@given(st.lists(texts), values)
def test_values_are_put_in_once_and_as_they_are(parts: list[str], value: str) -> None:
    text = "${A}".join(escaped(part.rstrip("$")) for part in parts)
    assert put(text, {"A": value}).text == value.join(part.rstrip("$") for part in parts)


def test_every_fault_of_a_text_is_told() -> None:
    faults = put("${X} ${A} ${Y:?no} ${file:/z}").faults
    assert [fault.expression for fault in faults] == ["${X}", "${Y:?no}", "${file:/z}"]


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ('root = "${A}"', 'root = "value"'),
        ("root = ${A}", 'root = "value"'),
        ("root = this.x * ${N}", "root = this.x * -2.5"),
        ("root = ${YES}", "root = true"),
        ("root = ${E}", 'root = "1e3"'),
        ('root = "a${QUOTE}"', 'root = "ax\\" + deleted() + \\""'),
        ("root = ${QUOTE}", 'root = "x\\" + deleted() + \\""'),
        ('root = """${A} \\"""', 'root = """value \\"""'),
        ("root = ${UNSET:-x + 1}", 'root = "x + 1"'),
        ('root = ${UNSET:-"}', 'root = "\\""'),
        ('root = "\\"${A}"', 'root = "\\"value"'),
        ("root = this # ${UNSET} ${A}", "root = this # ${UNSET} ${A}"),
        ('root = "# ${A}"', 'root = "# value"'),
        ('root = "${! content() } ${!json("a")}"', 'root = "${! content() } ${!json("a")}"'),
        ('root = "${1} ${ A } ${"', 'root = "${1} ${ A } ${"'),
        ('root = "$${A} $$"', 'root = "${A} $$"'),
        ("let x = $y", "let x = $y"),
    ],
)
def test_bloblang_gets_literals(text: str, filled: str) -> None:
    result = put_in_bloblang(text, {**ENV, "N": "-2.5", "YES": "true", "E": "1e3"})
    assert (result.text, result.faults) == (filled, ())


def test_a_quote_cannot_stand_between_triple_quotes() -> None:
    (fault,) = put_in_bloblang('root = """${QUOTE}"""').faults
    assert fault.code == "invalid-value"
    assert "x" not in fault.message.split("${QUOTE}")[1].replace('"""', "")[:1]


@given(values)
@example('"')
@example('\\"')
@example("\\")
@example("1")
@example("\n# ")
def test_a_value_in_bloblang_is_one_literal_that_says_the_value(value: str) -> None:
    template = 'root.a = "<${A}>"\nroot.b = ${A}\n'
    filled = put_in_bloblang(template, {"A": value}).text
    match = re.fullmatch(r'root\.a = ("(?:\\.|[^"\\\n])*")\nroot\.b = (.*)\n', filled)
    assert match
    assert json.loads(match[1]) == f"<{value}>"
    assert json.loads(match[2]) in (value, yaml.safe_load(value) if not match[2].startswith('"') else value)


@given(texts)
def test_bloblang_without_expressions_is_left_alone(text: str) -> None:
    without = text.replace("${", "$ {")
    assert put_in_bloblang(without) == Interpolated(without)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=values)
@example("a, b]")
@example("{x: y}")
@example("a\n  profiling: true")
@example("*alias")
@example("!!python/object:os.system")
@example("null")
@example("12")
@example("on")
def test_a_value_never_changes_structure(folder: Folder, value: str) -> None:
    text = MINIMAL + "  processors: [{mapping: 'root.x = \"${VALUE}\"'}]\n"
    text = text.replace("consumer_group: group", 'consumer_group: "g${VALUE}"')
    pipeline = folder.load(text, {"VALUE": value}).config.pipelines[0]
    assert pipeline.kafka.consumer_group == f"g{value}"
    assert len(pipeline.processors) == 1
    assert pipeline.profiling is False


@pytest.mark.parametrize(
    ("line", "value", "read_back"),
    [
        ("server:\n    port: ${V}", "8080", 8080),
        ("server:\n    port: ${V}", " 8080\n", 8080),
        ("server:\n    port: 8${V}", "0", 80),
        ("server:\n    port: ${UNSET:-81}", "", 81),
        ("profiling: ${V}", "true", True),
        ("profiling: ${V}", "off", False),
        ("batching:\n    period: ${V}", "2s", 2.0),
        ('batching:\n    period: "${V}"', "2s", 2.0),
        ("batching:\n    period: ${V}s", "3", 3.0),
        ("batching:\n    byte_size: ${V}", "1000", 1000),
        ('batching:\n    count: "${V}"', "1000", 1000),
        ('kafka_min_partitions: "${UNSET:-3}"', "", 3),
        ('profiling: "${V}"', "off", False),
        ("name: ${V}", "123", "123"),
        ("name: ${V}", "on", "on"),
        ("name: ${V}", "null", "null"),
        ('name: "${V}"', "010", "010"),
        ("logger:\n    level: ${V}", "warn", "WARN"),
        ("source:\n    plugin_path: ${V}", "", None),
        ("kafka_topic_configs: ${V}", "5", "5"),
    ],
)
def test_unquoted_values_mean_what_the_field_wants(folder: Folder, line: str, value: str, read_back: object) -> None:
    text = MINIMAL + f"  {line}\n"
    keys = re.findall(r"(\w+):(?=\s)", line)
    if keys == ["kafka_topic_configs"]:
        text = MINIMAL.replace("consumer_group", 'topic_configs: {a: "${V}"}, consumer_group')
        keys = ["kafka", "topic_configs", "a"]
    if keys == ["kafka_min_partitions"]:
        text = MINIMAL.replace("consumer_group", 'min_partitions: "${UNSET:-3}", consumer_group')
        keys = ["kafka", "min_partitions"]
    found: object = folder.load(text, {"V": value}).config.pipelines[0].model_dump(mode="json")
    for key in keys:
        assert isinstance(found, dict)
        found = found[key]
    assert found == read_back


@pytest.mark.parametrize(
    ("line", "value", "code", "message"),
    [
        ('port: "${V}"', "eighty", "wrong-type", "expected a whole number, got what ${V} stands for"),
        ("port: ${V}", "eighty", "wrong-type", "expected a whole number, got what ${V} stands for"),
        ("port: ${V}", "99999", "invalid-value", "must be at most 65535, is ${V}"),
        ("port: ${V}", "[1]", "wrong-type", "expected a whole number, got what ${V} stands for"),
        ("port: ${V}", "", "wrong-type", "expected a whole number, got nothing (${V} is empty)"),
        ("host: ${V}", "", "wrong-type", "expected text, got nothing (${V} is empty)"),
    ],
)
def test_values_that_do_not_fit(folder: Folder, line: str, value: str, code: str, message: str) -> None:
    problem = folder.error(MINIMAL + f"  server:\n    {line}\n", {"V": value})
    assert (problem.code, problem.message, problem.line) == (code, message, 5)


def test_a_list_is_never_made_of_a_value(folder: Folder) -> None:
    problem = folder.error(MINIMAL.replace("[orders]", '"${TOPICS}"'), {"TOPICS": "[a, b]"})
    assert (problem.path, problem.message) == ("app.kafka.topics", "expected a list, got what ${TOPICS} stands for")
    assert problem.hint == "a value from outside stays one value"


def test_an_unset_variable_is_shown_at_its_own_place_in_a_block(folder: Folder) -> None:
    mapping = ["root = this", 'root.a = "${A}"', 'root.b = "${B}"']
    text = MINIMAL + "  processors:\n    - mapping: |\n" + "".join(f"        {line}\n" for line in mapping)
    problems = folder.errors(text)
    assert [(problem.line, problem.column, problem.path) for problem in problems] == [
        (7, 19, "app.processors[0].mapping"),
        (8, 19, "app.processors[0].mapping"),
    ]
    assert problems[0].source_line == '        root.a = "${A}"'


def test_only_an_unset_variable_is_told_not_what_follows_from_it(folder: Folder) -> None:
    problem = folder.error(MINIMAL.replace("url: embedded", 'url: "${PG}"'))
    assert (problem.code, problem.message) == ("unset-variable", "the environment variable PG is not set")
    assert problem.hint == "export PG, or write a default: ${PG:-value}"


@pytest.mark.parametrize(
    ("content", "name"),
    [(b"abc", "abc"), (b"abc\n", "abc"), (b"abc\r\n", "abc"), (b"abc\n\n", "abc\n"), ("ä".encode(), "ä")],
)
def test_a_secret_file_loses_one_newline(folder: Folder, content: bytes, name: str) -> None:
    (folder.path / "secret").write_bytes(content)
    text = MINIMAL.replace("consumer_group: group", f'consumer_group: "${{file:{folder.path}/secret}}"')
    assert folder.load(text).config.pipelines[0].kafka.consumer_group == name


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file or directory"), (b"\xff", "it is not UTF-8"), (b"x" * 2_000_000, "it is larger than 1 MiB")],
)
def test_a_secret_file_that_cannot_be_read(folder: Folder, content: bytes | None, reason: str) -> None:
    if content is not None:
        (folder.path / "secret").write_bytes(content)
    problem = folder.error(MINIMAL.replace("consumer_group: group", 'consumer_group: "${file:secret}"'))
    assert (problem.code, problem.path) == ("file-unreadable", "app.kafka.consumer_group")
    assert problem.message == f"the file secret cannot be read: {reason}"


def test_an_environment_variable_that_is_not_utf_8(folder: Folder) -> None:
    problem = folder.error(MINIMAL + '  name: "${V}"\n', {"V": b"\xff".decode("utf-8", "surrogateescape")})
    assert problem.message == "the environment variable V is not UTF-8"


@pytest.mark.parametrize(
    ("old", "new", "env", "secrets"),
    [
        ("url: embedded", 'url: "postgresql://admin:s3cret%21@db/x"', {}, ("s3cret%21", "s3cret!")),
        ("url: embedded", 'url: "postgresql://admin:pw@db/x"', {}, ()),
        ("url: embedded", 'url: "postgresql://${U}:${P}@${H}/x"', {"U": "me", "P": "s3cret", "H": "db"}, ("s3cret",)),
        ("url: embedded", 'url: "${V}"', {"V": "postgresql://a:s3cret@db/x"}, ("postgresql://a:s3cret@db/x", "s3cret")),
        ("url: embedded", 'url: "${V:-postgresql://a:s3cret@db/x}"', {}, ("s3cret",)),
        ("url: embedded", 'url: "postgresql://db/x?password=${V}"', {"V": "s3cret"}, ("s3cret",)),
        ("table: orders", 'table: "${TABLE}"', {"TABLE": "orders"}, ()),
        ("table: orders", 'table: "${DB_PASSWORD}"', {"DB_PASSWORD": "oh-no"}, ("oh-no",)),
        ("table: orders", 'table: "${file:secret}"', {}, ("filed",)),
        ("topics:", 'topic_configs: {a: "${V}"}, topics:', {"V": "anything"}, ("anything",)),
    ],
)
def test_secrets_are_collected(
    folder: Folder, old: str, new: str, env: dict[str, str], secrets: tuple[str, ...]
) -> None:
    (folder.path / "secret").write_text("filed\n")
    config = folder.load(MINIMAL.replace(old, new), env).config
    assert config.secrets == secrets
    assert not any(secret in repr(config) for secret in config.secrets if old == "url: embedded")


def test_values_in_user_code_are_secrets(folder: Folder) -> None:
    text = MINIMAL + '  processors: [{mapping: \'root.h = content().hash("hmac_sha256", "${SALT}")\'}]\n'
    config = folder.load(text, {"SALT": "sea-salt"}).config
    assert config.secrets == ("sea-salt",)
    assert config.pipelines[0].processors[0].mapping == 'root.h = content().hash("hmac_sha256", "sea-salt")'
