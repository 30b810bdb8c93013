"""`ddpm parse`: what it refuses before an engine is started."""

from pathlib import Path

import pytest

from unit.cli.fake_ddpm import call, error_of


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--parser", "parqet"], 'did you mean "parquet"?'),
        (["--parser", "csv", "--option", "delimeter=;"], "delimeter: Extra inputs are not permitted"),
        (["--parser", "avro", "--option", "framing=datum"], "`schema_file`"),
        (
            ["--parser", "avro", "--option", "framing=datum", "--option", "schema_file=nix.avsc"],
            "nix.avsc, which the option",
        ),
        (["--parser", "csv", "--compression", "zip"], "compression: Input should be"),
        (["--parser", "mine", "--plugin", "mine.blobl"], "the plugin mine.blobl does not exist"),
        ([], "neither --config nor CONFIG_PATH names another file"),
    ],
)
def test_a_parser_that_cannot_be_is_told(arguments: list[str], message: str) -> None:
    assert message in str(error_of(call("parse", *arguments)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--option", "delimiter=;"], "belong to --parser"),
        (["--parser", "csv", "--config", "app-config.yaml"], "do not go together"),
        (["--parser", "csv", "--option", "delimiter"], "is not NAME=VALUE"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(arguments: list[str], message: str) -> None:
    result = call("parse", *arguments, COLUMNS="200")
    assert result.exit_code == 2
    assert message in result.output


def test_of_several_pipelines_one_has_to_be_named(tmp_path: Path) -> None:
    path = tmp_path / "app-config.yaml"
    path.write_text(
        "app: {kafka: {brokers: ['k:9092'], topics: [t], consumer_group: g}, sinks: [stdout]}\n"
        "pipelines: {a: {}, b: {}}\n"
    )
    assert "has several pipelines: a, b" in str(error_of(call("parse", "--config", str(path))))
    assert 'has no pipeline "c"' in str(error_of(call("parse", "--config", str(path), "--pipeline", "c")))
