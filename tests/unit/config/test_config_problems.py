"""How problems read, and that no text of theirs ever shows a secret."""

# ruff: noqa: E501 -- one row of a table, and of a golden text, stays one line

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddpm.components.registry import pipeline_type
from ddpm.config import ConfigProblems, Problem, Severity, format_problem, load, to_json
from ddpm.config.address import masked_url, url_passwords
from ddpm.config.model import Pipeline
from unit.config.folder import MINIMAL, Folder

GOLDEN = """\
app-config.yaml:2:13: error[wrong-type] app.profiling: expected true or false, got text
    2 |  profiling: "yes"
      |             ^
      = remove the quotes

app-config.yaml:3:41: warning[plugin-ignored] app.source.plugin_path: the Go plugin is ignored: the parser "json" is built in
    3 |  source: { parser: "json", plugin_path: /app/bin/plugins/json.so }
      |                                         ^
      = remove plugin_path

app-config.yaml:4:2: error[missing-field] app.kafka.consumer_group: missing field
    4 |  kafka:
      |  ^
      = write for example consumer_group: orders-group

app-config.yaml:6:13: error[invalid-value] app.kafka.topics: must not be empty
    6 |     topics: []
      |             ^
      = write for example topics: ["orders"]

app-config.yaml:8:68: error[unset-variable] app.postgres.url: the environment variable DATABASE is not set
    8 |     url: postgresql://admin:***@${HOST:-db}:5432/${DATABASE}
      |                                                  ^
      = export DATABASE, or write a default: ${DATABASE:-value}

app-config.yaml:9:5: error[unknown-field] app.postgres.tabel: unknown field
    9 |     tabel: orders
      |     ^
      = did you mean "table"?

5 errors, 1 warning"""


def test_problems_read_like_those_of_a_compiler(folder: Folder) -> None:
    text = """\
        app:
         profiling: "yes"
         source: { parser: "json", plugin_path: /app/bin/plugins/json.so }
         kafka:
            brokers: [embedded]
            topics: []
         postgres:
            url: postgresql://admin:correct-horse-battery@${HOST:-db}:5432/${DATABASE}
            tabel: orders
            table: orders
        """
    with pytest.raises(ConfigProblems) as caught:
        folder.load(text)
    assert str(caught.value) == GOLDEN


def test_json_has_every_field(folder: Folder) -> None:
    problems = folder.problems(MINIMAL + "  logger: {level: WARNING}\n")
    assert json.loads(json.dumps(to_json(problems))) == [
        {
            "severity": "error",
            "code": "invalid-value",
            "path": "app.logger.level",
            "message": 'expected one of TRACE, DEBUG, INFO, WARN, ERROR, got "WARNING"',
            "hint": 'did you mean "WARN"?',
            "file": "app-config.yaml",
            "line": 4,
            "column": 19,
            "source_line": "  logger: {level: WARNING}",
        }
    ]


def test_the_caret_stays_under_its_place_in_long_tabbed_and_strange_lines() -> None:
    line = "\t" + "x" * 500 + "\x1b[31mHERE" + "y" * 500
    caret = line.index("HERE") + 1
    problem = Problem("mapping", "p", "m", Path("f"), 123456, caret, line, caret, severity=Severity.WARNING)
    _, source, pointer = format_problem(problem).splitlines()
    assert source[pointer.index("^") :].startswith("HERE")
    assert "\x1b" not in source
    assert len(source) < 200


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("app:\n  kafka: [a\n", 2, 10, "this bracket is opened here and never closed"),
        ("app:\n  name: 'a\n", 2, 9, "a quote is opened here and never closed"),
        ("app:\n\tname: a\n", 2, 1, "a tab cannot indent YAML"),
        ("app:\n  name: a: b\n", 2, 10, "a key: value pair cannot stand here"),
        ("app:\n  - a\n b: c\n", 3, 2, "the indentation of this line does not fit"),
        ("app: *nothing\n", 1, 6, "this alias has no anchor before it"),
        ("app: {}\n---\nb: 1\n", 2, 1, "a second YAML document begins here"),
        ("app: {port: ${PORT}}\n", 1, 14, "${ cannot stand unquoted inside [ ] and { }"),
        ("app: @x\n", 1, 6, "found character '@' that cannot start any token"),
        ("app: \x07\n", 1, 6, "the character U+0007 is not allowed in YAML"),
        ("app: &a [*a]\n", 1, 6, "the file holds an alias that contains itself"),
        ("app: " + "[" * 3000 + "\n", 1, 1, "the file is nested deeper than 50 levels"),
        ("app: " + "[" * 60 + "]" * 60 + "\n", 1, 56, "the file is nested deeper than 50 levels"),
    ],
)
def test_yaml_syntax_has_its_place(folder: Folder, text: str, line: int, column: int, message: str) -> None:
    problem = folder.error(text)
    assert (problem.code, problem.line, problem.column) == ("yaml-syntax", line, column)
    assert message in problem.message


@pytest.mark.parametrize(
    ("text", "code", "path", "message"),
    [
        ("app: !!python/object/apply:os.system [x]\n", "unsafe-tag", "app", "the tag !!python/object/apply:os.system"),
        ("app: {name: !secret x}\n", "unsafe-tag", "app.name", "the tag !secret is not allowed"),
        ("app: {name: !!binary aGk=}\n", "unsafe-tag", "app.name", "the tag !!binary is not allowed"),
        ("app: {name: !!int abc}\n", "wrong-type", "app.name", "this cannot be read as !!int"),
        (f"app: {{name: {'9' * 5000}}}\n", "wrong-type", "app.name", "this cannot be read as !!int"),
        ('app: {name: "\\ud800"}\n', "invalid-value", "app.name", "half of a character"),
        ("app: {name: a, name: b}\n", "duplicate-key", "app.name", "this key is there twice"),
        ("app: {1: a, '1': b}\n", "duplicate-key", "app.1", "this key is there twice"),
        ("app: {[a]: b}\n", "wrong-type", "app", "a key must be text"),
        ("app: {<<: 5}\n", "wrong-type", "app", "<< merges mappings only"),
    ],
)
def test_yaml_that_is_refused(folder: Folder, text: str, code: str, path: str, message: str) -> None:
    found = [(problem.code, problem.path) for problem in folder.errors(text) if message in problem.message]
    assert found == [(code, path)]


def test_a_duplicate_key_names_the_first(folder: Folder) -> None:
    problem = folder.error(MINIMAL + "  name: a\n  batching: {}\n  name: b\n")
    assert (problem.code, problem.line, problem.column) == ("duplicate-key", 6, 3)
    assert problem.hint == "it stands in line 4 already; keep one of them"


def test_aliases_and_merge_keys_work(folder: Folder) -> None:
    text = """\
        x-kafka: &kafka {brokers: ["a:1"], topics: [t], min_partitions: 2}
        x-more: &more {min_partitions: 5, replication_factor: 3}
        app:
          kafka:
            <<: [*kafka, *more]
            consumer_group: g
            topics: [own]
          postgres: &pg {url: embedded, table: t}
        """
    kafka = folder.load(text).config.pipelines[0].kafka
    assert (kafka.brokers, kafka.topics, kafka.min_partitions, kafka.replication_factor) == (("a:1",), ("own",), 2, 3)


def test_a_problem_in_an_alias_is_shown_where_it_is_written(folder: Folder) -> None:
    text = """\
        x-kafka: &kafka {brokers: [nowhere], topics: [t], consumer_group: g}
        app:
          kafka: {<<: *kafka}
          postgres: {url: embedded, table: t}
        """
    problem = folder.error(text)
    assert (problem.line, problem.column, problem.path) == (1, 28, "app.kafka.brokers[0]")


def test_a_bomb_of_aliases_is_refused(folder: Folder) -> None:
    levels = ["x-a: &a [x, x, x, x, x, x, x, x, x, x]"]
    levels += [
        f"x-{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    problem = folder.error("\n".join(levels) + "\n")
    assert "more than 20000 values" in problem.message


def test_a_bomb_of_merge_keys_is_refused(folder: Folder) -> None:
    levels = ["x-a: &a {k: v}"]
    levels += [
        f"x-{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 10)}]}}"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    problem = folder.error("\n".join(levels) + "\n")
    assert "more than 20000 values" in problem.message


SECRET = "hunter2-and-more"
LEAKY = [
    f'postgres: {{url: "postgresql://admin:{SECRET}@db:5432/x", tabel: orders}}',
    f"postgres: {{url: 'admin:{SECRET}@db/x', table: orders}}",
    f'postgres: {{url: "postgresql://admin:{SECRET}/x@db/x", table: orders}}',
    f'postgres: {{url: "postgresql://admin:{SECRET}#@db/x", table: orders}}',
    f'postgres: {{url: "postgresql://admin:a?{SECRET}@db/x", table: orders}}',
    f'postgres: {{url: "postgresql://admin:a [{SECRET}@db/x", table: orders}}',
    f'postgres: {{url: "postgresql://admin:{SECRET}", table: orders}}',
    f'postgres: {{url: "postgresql://db/x?password={SECRET}", tabel: orders}}',
    f'postgres: {{url: "mysql://admin:{SECRET}@db/x", table: orders}}',
    f"postgres: {{url: {SECRET}, table: orders}}",
    f"postgres: {{url: [{SECRET}], table: orders}}",
    f"postgres: {{url: embedded, table: orders, password: {SECRET}}}",
    f"postgres: postgresql://admin:{SECRET}@db:5432/x",
    f'postgres: {{url: "postgresql://admin:{SECRET}@db:5432/x, table: orders}}',
    f"postgres: {{url: postgresql: //admin:{SECRET}@db, table: orders}}",
    f'postgres: {{url: "${{PG:-postgresql://admin:{SECRET}@db/x}}", tabel: orders}}',
    f'postgres: {{url: "${{PG:-{SECRET}}}", tabel: orders}}',
    f'postgres: {{url: "x${{UNSET}}:{SECRET}@", tabel: orders}}',
    f'kafka: {{brokers: ["admin:{SECRET}@broker:9092"]}}',
    f"postgres: {{url: 'postgresql:${{//admin:{SECRET}@db/x', table: orders}}",
    f"pg: postgres://admin:{SECRET}@db",
    f"postgres:\n    url: postgresql://admin:pa #{SECRET}@db/x\n    table: [a]",
    f"postgres:\n    url: postgresql://admin:p@ss #{SECRET}@db/x",
    f"postgres: {{url: postgresql://admin:pa #{SECRET}@db/x, table: orders}}",
    f"postgres:\n    url:\n      postgresql://admin:pa #{SECRET}@db/x",
    f"postgres:\n    url: >-\n      postgresql://admin:pa\n      {SECRET}@db/x\n    tabel: x",
    f"postgres: {{url: &pg postgresql://admin:pa {SECRET} #{SECRET}@db/x\n   , table: [a]}}",
    f"metrics:\n    push_gateway: ftp://u:pa #{SECRET}@gateway",
    f"metrics:\n    push_gateway: ftp://u:p@ss/{SECRET}@gateway",
    f"source:\n    parser: json\n    options:\n      registry: http://u:pa #{SECRET}@registry",
    f"server:\n    token:\n      {SECRET[:12]}",
    f"server:\n    token: >-\n      {SECRET[:12]}",
    f'server:\n    token: "a\n      {SECRET[:9]}"',
    f"server:\n    token: &t {SECRET[:12]}",
    f"server:\n    token: [{SECRET}]",
    f"server:\n    token:\n      - {SECRET}",
    f"server:\n    token:\n      '{SECRET}",
    f"server:\n    token: |\n      {SECRET}\n\t{SECRET}",
]


@pytest.mark.parametrize("line", LEAKY)
def test_no_password_of_the_file_is_in_a_problem(folder: Folder, line: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        folder.load(f"app:\n  {line}\n")
    assert SECRET[:9] not in f"{caught.value} {to_json(caught.value.problems)} {caught.value.__cause__}"


FIELDS = [
    "name", "profiling", "pipeline_template", "source.parser", "source.plugin_path", "kafka.brokers", "kafka.topics",
    "kafka.min_partitions", "kafka.start_from", "postgres.url", "postgres.table", "postgres.columns",
    "postgres.write_timeout", "batching.count", "batching.period", "batching.byte_size", "processors", "sinks",
    "dead_letter.topic", "engine.binary", "server.port", "logger.level", "logger.format", "logger",
]  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("form", ["{}", "[{}]", "{{a: {}}}"])
def test_no_value_from_outside_is_in_a_problem(folder: Folder, field: str, form: str) -> None:
    secret = "hunter2 and\nmore/☠.so"
    *sections, key = field.split(".")
    text = "app:\n"
    for depth, section in enumerate(sections, start=1):
        text += f"{'  ' * depth}{section}:\n"
    text += f"{'  ' * (len(sections) + 1)}{key}: {form.format(chr(34) + '${SECRET}' + chr(34))}\n"
    with pytest.raises(ConfigProblems) as caught:
        folder.load(text, {"SECRET": secret})
    assert "hunter2" not in f"{caught.value} {to_json(caught.value.problems)}"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_mutation_of_a_file_crashes_or_leaks(folder: Folder, data: st.DataObject) -> None:
    password = "hunter2hunter2"
    quote = data.draw(st.sampled_from(["", '"']))
    flow = data.draw(st.booleans())
    url = f"{quote}postgresql://admin:{password}@db:5432/x{quote}"
    postgres = f"postgres: {{url: {url}, table: orders}}" if flow else f"postgres:\n    url: {url}\n    table: orders"
    text = f"app:\n  kafka: {{brokers: [embedded], topics: [orders], consumer_group: group}}\n  {postgres}\n"
    index = data.draw(st.integers(0, len(text) - 1))
    inside = text.index(password) <= index < text.index(password) + len(password)
    cut = 0 if inside else data.draw(st.integers(0, 3))
    new = data.draw(
        st.sampled_from(["", *":{}[],&*#?|-<>=!%@\\'\"`\n\t $~0a\x00\x85", "${", "${A}", "${! x }", "\n  ", ": "])
    )
    (folder.path / "app-config.yaml").write_text(text[:index] + new + text[index + cut :], encoding="utf-8", newline="")
    try:
        load(Path("app-config.yaml"), {"A": "value"}, model=pipeline_type())
    except ConfigProblems as problems:
        shown = f"{problems} {to_json(problems.problems)}"
        assert password not in shown
        assert all(problem.line and problem.column for problem in problems.problems)


@pytest.mark.parametrize(
    ("url", "masked", "passwords"),
    [
        ("embedded", "embedded", ()),
        ("postgresql://db/x", "postgresql://db/x", ()),
        ("postgresql://u:p%40ss@db/x", "postgresql://u:***@db/x", ("p%40ss", "p@ss")),
        ("postgresql://u:pw@h1:1,h2:2/x?a=b", "postgresql://u:***@h1:1,h2:2/x?a=b", ("pw",)),
        ("postgresql://u@db/x?password=a%20b&sslpassword=c", "postgresql://u@db/x?password=***&sslpassword=***",
         ("a%20b", "c", "a b")),
        ("postgresql://u:pw@[::1]:5/x", "postgresql://u:***@[::1]:5/x", ("pw",)),
        ("postgresql://u:p[ss@db/x", "postgresql://u:***@db/x", ("p[ss",)),
        ("postgresql://u:p/ss@db/x", "***", ()),
        ("postgresql://u:p#ss@db/x", "***", ()),
        ("postgresql://u%pass@db/x", "***", ()),
        ("postgresql://u%41@db/x", "postgresql://u%41@db/x", ()),
    ],
)  # fmt: skip
def test_masked_urls(url: str, masked: str, passwords: tuple[str, ...]) -> None:
    assert masked_url(url) == masked
    assert url_passwords(url) == passwords


keys = st.sampled_from([*Pipeline.model_fields, *(field.split(".")[-1] for field in FIELDS), "<<", "kind", "from", "a"])
scalars = st.sampled_from(
    ["json", "embedded", "${A}", "${B}", "a.b", "", "no", "x.so", "kafka", "10s", "/", "a\0b", "\ue000", None, True, 0, -1]
) | st.floats() | st.integers() | st.text(max_size=5)  # fmt: skip
trees = st.recursive(
    scalars, lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=4), max_leaves=12
)
sections = st.dictionaries(keys, trees, max_size=5)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(app=sections | trees, pipelines=st.dictionaries(keys, sections) | st.lists(sections) | trees)
def test_no_structure_crashes_the_loader(folder: Folder, app: object, pipelines: object) -> None:
    text = yaml.safe_dump({"app": app, "pipelines": pipelines}, allow_unicode=True)
    for problem in folder.problems(text, {"A": "x", "B": "5"}):
        assert problem.line
        assert problem.message
        assert "pydantic" not in f"{problem.message} {problem.hint}"
        assert "Input should" not in problem.message


def test_a_certificate_that_is_not_there(folder: Folder) -> None:
    url = "postgresql://u@db/x?sslmode=verify-full&sslrootcert=/nowhere/ca.crt"
    problem = folder.error(MINIMAL.replace("url: embedded", f'url: "{url}"'))
    assert (problem.code, problem.path) == ("file-missing", "app.postgres.url")
    assert problem.message == "the file /nowhere/ca.crt, which sslrootcert names, does not exist"


def test_a_machine_without_trusted_certificates(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    text = MINIMAL.replace("url: embedded", 'url: "postgresql://u@db/x?sslmode=verify-full&sslrootcert=system"')
    roots = folder.path / "roots.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    problem = folder.error(text)
    assert problem.path == "app.postgres.url"
    assert problem.message.startswith(
        "sslrootcert=system finds no file of trusted certificates on this machine; install"
    )
    roots.touch()
    (pipeline,) = folder.load(text).config.pipelines
    handed = json.loads(pipeline.sinks[0].environment()["DDPM_POSTGRES_DSN"])
    assert (handed["sslrootcert"], handed["sslmode"]) == (str(roots), "verify-full")
    assert list(pipeline.sinks[0].engine_files) == [roots]


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----",
            0o600,
            "encrypted in the form PKCS #8, which the engine's client does",
        ),
        ("-----BEGIN PRIVATE KEY-----", 0o666, "others may read the key"),
    ],
)
def test_a_key_that_one_of_the_clients_would_not_read(folder: Folder, content: str, mode: int, says: str) -> None:
    key = folder.path / "client.key"
    key.write_text(content)
    key.chmod(mode)
    url = f"postgresql://u@db/x?sslmode=require&sslcert={key}&sslkey={key}"
    problem = folder.error(MINIMAL.replace("url: embedded", f'url: "{url}"'))
    assert problem.path == "app.postgres.url"
    assert says in problem.message


def test_a_keyword_that_pgx_would_send_to_the_server_is_refused_at_its_line(folder: Folder) -> None:
    text = MINIMAL.replace("url: embedded", "url: host=db user=u password=hunter2hunter2 dbname=x sslcrl=/x")
    problem = folder.error(text)
    assert (problem.path, problem.line) == ("app.postgres.url", text[: text.index("url:")].count("\n") + 1)
    assert problem.message.startswith("sslcrl is not supported: the engine's client reads no revocation lists; name")
    assert "hunter2" not in str(problem)


def test_the_password_among_keywords_is_a_secret(folder: Folder) -> None:
    text = MINIMAL.replace("url: embedded", r"""url: "host=a,b user=u password='hunter2\\'hunter2' dbname=x" """)
    config = folder.load(text).config
    (table,) = (pipeline.table for pipeline in config.pipelines)
    assert table is not None
    assert str(table.url) == "postgresql:///?host=a,b&user=u&password=***&dbname=x"
    assert "hunter2'hunter2" in config.secrets


def test_a_port_that_is_no_number_is_shown_and_the_password_is_not(folder: Folder) -> None:
    problem = folder.error(MINIMAL.replace("url: embedded", 'url: "postgresql://u:hunter2hunter2@127.0.0.1:54x2/x"'))
    assert problem.message.startswith("the port 54x2 is not a number; write postgresql://user:")
    assert problem.source_line is not None
    assert "u:***@127.0.0.1:54x2/x" in problem.source_line


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("kafka: {brokers: ['127.0.0.1:90x2'], topics: [t], consumer_group: g}", "the port 90x2 is not a number"),
        ("kafka: {brokers: ['127.0.0.1:99999'], topics: [t], consumer_group: g}", "the port 99999 is not between"),
        ("metrics: {push_gateway: 'http://localhost:90x1'}", "the port 90x1 is not a number"),
        ("engine: {launcher: external, url: 'http://engine:41x95'}", "the port 41x95 is not a number"),
        ("engine: {launcher: container, container: {image: x, docker: 'tcp://docker:23x6'}}", "the port 23x6 is not"),
    ],
)
def test_a_port_that_is_no_number_in_any_other_address(folder: Folder, section: str, message: str) -> None:
    text = "\n".join(line for line in MINIMAL.splitlines() if not line.startswith(f"  {section.partition(':')[0]}:"))
    assert any(message in problem.message for problem in folder.problems(f"{text}\n  {section}\n"))
