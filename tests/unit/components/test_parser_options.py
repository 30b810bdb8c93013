"""`app.source.options`: what a parser may be told, and how mistakes are answered."""

from pathlib import Path

import pytest

from ddpm.component import Component
from ddpm.components.parsers import OPTIONS, PARSERS, files, gives_many, processors, secrets
from ddpm.components.processors import guarded
from ddpm.components.registry import pipeline_type
from ddpm.config import ConfigProblems, LoadResult, load

HEAD = """\
app:
  kafka: {brokers: ["localhost:9092"], topics: [orders], consumer_group: group}
  postgres: {url: embedded, table: orders}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "order.avsc").write_text("{}")
    (tmp_path / "shop.pb").write_bytes(b"\n")
    return tmp_path


def loaded(source: str, env: dict[str, str] | None = None) -> LoadResult:
    path = Path("app-config.yaml")
    path.write_text(f"{HEAD}  source: {{{source}}}\n")
    return load(path, env or {}, model=pipeline_type(), parsers=OPTIONS)


@pytest.mark.parametrize(
    ("source", "many"),
    [
        ("parser: json", False),
        ("parser: ndjson", True),
        ("parser: lines", True),
        ('parser: csv, options: {delimiter: ";", columns: [id, name]}', True),
        ("parser: tsv", True),
        ("parser: spade", True),
        ("compression: gzip, max_decompressed: 1MiB", False),
        ("parser: msgpack, options: {}", False),
        ("parser: avro", True),
        ("parser: avro, options: {framing: datum, schema_file: order.avsc}", False),
        ('parser: avro, options: {framing: confluent, registry: "http://localhost:8081"}', False),
        ("parser: parquet", True),
        ("parser: protobuf, options: {descriptor_set: shop.pb, message: shop.Order}", False),
    ],
)
def test_what_each_parser_takes(source: str, many: bool) -> None:
    assert gives_many(loaded(source).config.pipelines[0].source) is many


@pytest.mark.parametrize(
    ("source", "code", "path", "message", "hint"),
    [
        (
            "parser: csv, options: {delimitr: ;}",
            "unknown-field",
            "delimitr",
            "unknown field",
            'did you mean "delimiter"?',
        ),
        ("parser: json, options: {a: 1}", "unknown-field", "a", "unknown field", 'the parser "json" has no options'),
        ("options: {a: 1}", "unknown-field", "a", "unknown field", 'the parser "json" has no options'),
        (
            "parser: csv, options: {columns: id}",
            "wrong-type",
            "columns",
            "expected a list, got text",
            'write a list: ["id"]',
        ),
        (
            "parser: csv, options: {delimiter: é}",
            "invalid-value",
            "delimiter",
            '"é" cannot stand between two values',
            None,
        ),
        (
            "parser: avro, options: {framing: fil}",
            "invalid-value",
            "framing",
            "one of file, datum, confluent",
            '"file"?',
        ),
        ("parser: avro, options: {framing: datum}", "invalid-value", "framing", "datum needs `schema_file`", None),
        (
            "parser: avro, options: {registry: 'http://r'}",
            "invalid-value",
            "registry",
            "is for framing: confluent",
            None,
        ),
        (
            "parser: avro, options: {framing: confluent, registry: r}",
            "invalid-value",
            "registry",
            "http://localhost",
            None,
        ),
        (
            "parser: avro, options: {framing: datum, schema_file: no.avsc}",
            "file-missing",
            "schema_file",
            "no.avsc",
            "looked",
        ),
        (
            "parser: protobuf, options: {descriptor_set: shop.pb}",
            "missing-field",
            "message",
            "missing field",
            "shop.Order",
        ),
        (
            "parser: protobuf, options: {message: M, descriptor_set: x}",
            "file-missing",
            "descriptor_set",
            "x does not",
            "",
        ),
        ("parser: csv, options: 3", "wrong-type", "", "expected keys and values", None),
    ],
)
def test_a_mistake_is_named_with_its_place(source: str, code: str, path: str, message: str, hint: str | None) -> None:
    with pytest.raises(ConfigProblems) as caught:
        loaded(source)
    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == (code, f"app.source.options{path and '.'}{path}")
    assert message in problem.message
    assert hint is None or hint in (problem.hint or "")
    assert (problem.line is not None) == (code != "file-unreadable")


def test_tombstones_are_told_in_front_of_the_parser_and_behind_it(folder: Path) -> None:
    def made(text: str) -> list[Component]:
        return processors(loaded(text).config.pipelines[0].source)

    skipped: Component = {"ddpm_tombstones": {"action": "skip"}}
    passed: Component = {"ddpm_tombstones": {"action": "pass"}}
    dead: Component = {"ddpm_tombstones": {"action": "dead_letter"}}
    assert made("tombstones: dead_letter") == [{"ddpm_json": {}}]
    assert made("tombstones: skip") == [skipped, {"ddpm_json": {}}]
    assert made("parser: lines, compression: auto, tombstones: pass") == [
        passed,
        {"ddpm_decompress": {"method": "auto", "limit": 64 * 2**20}},
        {"ddpm_lines": {}},
        {"ddpm_tombstones_passed": {"many": True}},
    ]
    (folder / "mine.blobl").write_text("root = this")
    assert made("parser: mine, plugin_path: mine.blobl")[0] == dead
    assert made("parser: mine, plugin_path: mine.blobl, tombstones: pass")[-1] == {
        "ddpm_tombstones_passed": {"many": False}
    }


def test_a_parser_of_ones_own_in_bloblang(folder: Path) -> None:
    (folder / "mine.blobl").write_text("root = this")
    source = loaded("parser: mine, plugin_path: mine.blobl").config.pipelines[0].source
    assert processors(source)[1:] == guarded({"try": [{"mapping": f'from "{folder}/mine.blobl"'}]})
    assert not gives_many(source)


@pytest.mark.parametrize(
    ("source", "code", "message"),
    [
        ("parser: mine, plugin_path: no.blobl", "file-missing", "no.blobl does not exist"),
        ("parser: mine, plugin_path: order.blobl, options: {a: 1}", "unknown-field", "unknown field"),
    ],
)
def test_a_broken_parser_of_ones_own_is_named(folder: Path, source: str, code: str, message: str) -> None:
    (folder / "order.blobl").write_text("root = this")
    with pytest.raises(ConfigProblems) as caught:
        loaded(source)
    (problem,) = caught.value.problems
    assert problem.code == code
    assert message in problem.message


def test_a_plugin_beside_a_built_in_parser_is_told_that_it_does_nothing(folder: Path) -> None:
    (folder / "mine.blobl").write_text("root = this")
    (warning,) = loaded("parser: csv, plugin_path: mine.blobl").warnings
    assert (warning.code, warning.path) == ("plugin-ignored", "app.source.plugin_path")


def test_a_parser_without_its_needed_options_says_what_is_missing() -> None:
    with pytest.raises(ConfigProblems) as caught:
        loaded("parser: protobuf")
    assert [problem.path for problem in caught.value.problems] == [
        "app.source.options.descriptor_set",
        "app.source.options.message",
    ]


def test_files_are_sought_where_the_configuration_is(folder: Path) -> None:
    source = loaded("parser: avro, options: {framing: datum, schema_file: order.avsc}").config.pipelines[0].source
    assert source.options["schema_file"] == str(folder / "order.avsc")


def test_the_registrys_password_is_a_secret_that_goes_through_the_environment() -> None:
    url = "http://ddpm:${WORD}@registry:8081"
    result = loaded(f'parser: avro, options: {{framing: confluent, registry: "{url}"}}', {"WORD": "hunter2secret"})
    assert "hunter2secret" in result.config.secrets
    assert secrets(result.config.pipelines[0].source) == {
        "DDPM_SCHEMA_REGISTRY": "http://ddpm:hunter2secret@registry:8081"
    }


def test_the_registrys_token_is_a_secret_too(folder: Path) -> None:
    (folder / "ca.pem").touch()
    options = '{framing: confluent, registry: "https://registry", registry_ca: ca.pem, registry_token: hunter2-token}'
    result = loaded(f"parser: avro, options: {options}")
    source = result.config.pipelines[0].source
    assert "hunter2-token" in result.config.secrets
    assert secrets(source)["DDPM_SCHEMA_REGISTRY_TOKEN"] == "hunter2-token"
    assert files(source) == (folder / "ca.pem",)
    (parser,) = processors(source, ())
    assert parser == {
        "ddpm_avro_registry": {
            "registry_env": "DDPM_SCHEMA_REGISTRY",
            "token_env": "DDPM_SCHEMA_REGISTRY_TOKEN",
            "ca_file": str(folder / "ca.pem"),
        }
    }


def test_every_option_is_described() -> None:
    for parser in PARSERS.values():
        assert all(field.description for field in parser.options.model_fields.values()), parser.name
