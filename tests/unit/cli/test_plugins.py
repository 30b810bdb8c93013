"""`ddpm plugins`: a parser's options as a user reads them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ddpm.components.parsers import PARSERS
from ddpm.components.registry import Sinks
from ddpm.components.sources import SOURCES
from unit.cli.fake_ddpm import call, error_of


def test_every_parser_sink_and_source_is_listed_with_a_sentence() -> None:
    every = [*PARSERS, *Sinks(), *(source.kind for source in SOURCES)]
    result = call("plugins", "list")
    assert [line.split()[0] for line in result.stdout.splitlines()] == every
    listed = json.loads(call("plugins", "list", "--json").stdout)
    assert [one["name"] for one in listed] == every
    assert {one["role"] for one in listed} == {"parser", "sink", "source"}


@pytest.mark.parametrize("kind", Sinks())
def test_each_sink_is_described_with_all_its_options(kind: str) -> None:
    told = json.loads(call("plugins", "describe", kind, "--json").stdout)
    assert (told["role"], set(told["options"])) == ("sink", set(Sinks()[kind].model_fields))
    assert all(option["description"] and option["values"] for option in told["options"].values())
    shown = call("plugins", "describe", kind).stdout
    assert Sinks()[kind].summary in shown
    assert ("a record that comes again changes nothing" in shown) == Sinks()[kind].capabilities.idempotent


def test_a_source_that_is_called_as_a_sink_is_described_by_its_role() -> None:
    assert "consumer_group" in call("plugins", "describe", "kafka", "--role", "source").stdout
    assert 'there is no source "csv"' in str(error_of(call("plugins", "describe", "csv", "--role", "source")))
    assert 'there is no sink "csv"' in str(error_of(call("plugins", "describe", "csv", "--role", "sink")))


@pytest.mark.parametrize("name", PARSERS)
def test_each_parser_is_described_with_all_its_options(name: str) -> None:
    shown = call("plugins", "describe", name).stdout
    told = json.loads(call("plugins", "describe", name, "--json").stdout)
    assert set(told["options"]) == set(PARSERS[name].options.model_fields)
    assert all(option in shown for option in told["options"])
    assert ("It has no options." in shown) == (not told["options"])


def test_what_is_needed_and_what_is_there_already_is_said() -> None:
    told = json.loads(call("plugins", "describe", "protobuf", "--json").stdout)["options"]
    assert told["descriptor_set"]["required"]
    assert told["descriptor_set"]["values"] == "a file"
    framing = json.loads(call("plugins", "describe", "avro", "--json").stdout)["options"]["framing"]
    assert (framing["values"], framing["default"]) == ("file, datum, confluent", "file")


def test_an_unknown_parser_is_answered_with_the_nearest_one() -> None:
    error = error_of(call("plugins", "describe", "parqet"))
    assert 'there is no parser "parqet"' in str(error)
    assert 'did you mean "parquet"?' in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["python", "class", "bloblang"])
def test_a_new_plugin_works_as_it_is_and_its_test_passes(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = call("plugins", "new", "pairs", "--kind", kind).stdout
    assert "source: {parser: pairs, plugin_path:" in shown
    assert "pairs: " in call("plugins", "describe", "pairs", "--plugin-path", "parsers").stdout
    tests = list((tmp_path / "parsers").glob("test_*.py"))
    assert len(tests) == (0 if kind == "bloblang" else 1)
    # What else is installed for pytest here is of no use to it, and takes longer than the test.
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    for test in tests:
        command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), "-c", os.devnull, str(test)]
        ran = subprocess.run(command, env=alone, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout
    before = [path.read_text() for path in (tmp_path / "parsers").glob("pairs.*")]
    assert "is there already" in str(error_of(call("plugins", "new", "pairs", "--kind", kind)))
    assert before == [path.read_text() for path in (tmp_path / "parsers").glob("pairs.*")]


@pytest.mark.parametrize(
    ("name", "message"), [("../evil", "cannot be the name"), ("Pairs", "cannot be the name"), ("csv", "is built in")]
)
def test_a_name_that_cannot_be_is_refused(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in str(error_of(call("plugins", "new", name)))
    assert list(tmp_path.iterdir()) == []
