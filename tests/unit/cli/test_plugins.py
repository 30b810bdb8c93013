"""`ddpm plugins`: a parser's options as a user reads them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ddpm.catalogue.parsers import PARSERS
from unit.cli.fake_ddpm import call, error_of


def test_every_parser_is_listed_with_a_sentence() -> None:
    result = call("plugins", "list")
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(PARSERS)
    listed = json.loads(call("plugins", "list", "--json").stdout)
    assert [one["name"] for one in listed] == list(PARSERS)


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
    for test in tests:
        command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), "-c", os.devnull, str(test)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
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
