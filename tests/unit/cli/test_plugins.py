"""`ddpm plugins`: a parser's options as a user reads them."""

import json

import pytest

from ddpm.catalogue.parsers import PARSERS
from unit.cli.desk import call, error_of


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
