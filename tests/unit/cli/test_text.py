"""Texts that come over the network, on their way to a terminal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpm.cli.text import dumped, duration, number, plain


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_nothing_that_a_terminal_acts_on_is_left(text: str) -> None:
    for shown in (plain(text), dumped({text: text})):
        assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in shown)
        assert shown.encode().decode() == shown


@given(st.text())
def test_json_keeps_its_meaning(text: str) -> None:
    assert json.loads(dumped({"text": text}, indent=2)) == {"text": text}


def test_an_escape_is_shown_and_not_carried_out() -> None:
    assert plain("a\x1b[2Jb\r\nc\x9bd\u202eé") == r"a\x1b[2Jb\r\nc\x9bd\u202eé"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.25, "0.2 s"),
        (42.7, "42 s"),
        (185, "3 min 5 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (187_000, "2 d 3 h"),
        (-3, "0 s"),
    ],
)
def test_a_duration_has_its_two_greatest_units(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (0.04, "0.0"), (3.25, "3.2"), (7, "7"), (1234.5, "1,234"), (12, "12")]
)
def test_a_number_is_readable(value: float, shown: str) -> None:
    assert number(value) == shown
