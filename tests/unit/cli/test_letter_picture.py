"""A dead letter on a terminal: readable, and nothing in it acts."""

import pytest

from ddpm.broker.dump import RawRecord
from ddpm.cli.letters import drawn, moment
from ddpm.deadletters.letter import parse
from ddpm.server.letters import letter_view
from unit.deadletters.letters import raw

EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\u2028\x9b"


def picture(record: RawRecord, *, as_hex: bool = False) -> str:
    letter = parse(record)
    assert letter is not None
    return str(drawn(letter, letter_view(letter, None), as_hex=as_hex))


def test_json_is_set_out_with_every_digit() -> None:
    shown = picture(raw(value=b'{"n": 12345678901234567890.10, "s": {"a": []}}'))
    assert '  {\n    "n": 12345678901234567890.10,\n    "s": {\n      "a": []\n    }\n  }' in shown
    assert "reason        parse/not_json: not JSON: expected a name at byte 1" in shown
    assert "origin        orders:1:100" in shown
    assert "state         open" in shown


def test_what_is_no_text_is_shown_in_hexadecimal() -> None:
    shown = picture(raw(value=b"\xff\x00abc" + bytes(range(16))))
    assert "00000000  ff 00 61 62 63 00 01 02 03 04 05 06 07 08 09 0a  ..abc..........." in shown
    assert "00000010  0b 0c 0d 0e 0f                                   ....." in shown


def test_text_is_shown_in_hexadecimal_when_asked_for() -> None:
    assert "00000000  7b 62 61 64" in picture(raw(value=b"{bad"), as_hex=True)
    assert "\n  {bad" in picture(raw(value=b"{bad"))


@pytest.mark.parametrize("value", [EVIL, f'{{"a": "{EVIL}"}}', '{"a": "\\u001b[2J"}', f"line\n{EVIL}\r\nline"])
def test_nothing_in_a_record_acts_on_the_terminal(value: str) -> None:
    evil = EVIL.encode()
    record = raw(value=value.encode(), own=((EVIL, evil), ("h", b"\xff\x1b")), message=evil, column=evil, stage=evil)
    record = RawRecord(record.topic, 0, 0, record.timestamp, evil, record.value, record.headers)
    shown = picture(record)
    assert not set(shown) & set("\x1b\x07\x9b\u202e\u2028\r")
    assert "\\x1b]0;owned\\x07" in shown


def test_a_tombstone_and_a_missing_key_are_named() -> None:
    record = raw(value=b"", null_value="true")
    shown = picture(RawRecord(record.topic, 0, 0, 0, b"", b"", record.headers))
    assert "value         null (a tombstone)" in shown
    assert "key           none" in shown


def test_deep_json_is_shown_as_text() -> None:
    deep = "[" * 50_000 + "]" * 50_000
    assert deep in picture(raw(value=deep.encode()))


def test_a_time_that_no_calendar_has_is_shown_as_a_number() -> None:
    assert moment(-(2**62)) == f"{-(2**62)} ms"
    assert moment(0) == "1970-01-01 00:00:00.000Z"
