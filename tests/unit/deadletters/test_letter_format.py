"""What is read out of a record of a dead-letter topic, whoever wrote it."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpm.broker.dump import RawRecord
from ddpm.deadletters.letter import LAST_MS, LetterId, Origin, parse
from ddpm.deadletters.resolution import Resolution, ResolutionRecord, decode, encode
from ddpm.errors import ConfigError, NewerStateError
from unit.deadletters.letters import NOW_MS, letter, mark, raw


def test_a_letter_says_where_it_came_from_and_why() -> None:
    found = letter(
        7,
        stage="sink",
        code="22P02",
        sqlstate="22P02",
        column="n",
        timestamp_ms="-62135596800000",
        index="3",
        source="5",
    )
    assert (found.id, str(found.id), found.pipeline) == (LetterId(0, 7), "0:7", "shop")
    assert found.origin == Origin("orders", 1, 107, index=3, source=5)
    assert str(found.origin) == "orders:1:107 document 3"
    assert (found.stage, found.code, found.sqlstate, found.column) == ("sink", "22P02", "22P02", "n")
    assert (found.failed_at_ms, found.recorded_at_ms, found.attempt) == (NOW_MS + 7, -62135596800000, 1)
    assert (found.key, found.value, found.headers) == (b"key", b"{bad", ())


def test_what_an_older_engine_did_not_say_is_made_good_for() -> None:
    found = letter(failed_at_ms=None, config_hash=None, source=None)
    assert found.failed_at_ms == NOW_MS, "the time at which the letter was written"
    assert (found.config_hash, found.attempt) == (None, 1)


def test_a_tombstone_is_told_from_an_empty_record() -> None:
    tombstone, empty = parse(raw(value=b"", null_value="true")), parse(raw(value=b""))
    assert tombstone is not None
    assert empty is not None
    assert (tombstone.value, empty.value) == (None, b"")


def test_the_records_own_headers_come_back_as_they_were() -> None:
    exact = [["h", base64.b64encode(b"1").decode()], ["h", base64.b64encode(b"\xff").decode()]]
    repeated = parse(raw(own=(("h", b"\xff"),), headers=json.dumps(exact)))
    assert repeated is not None
    assert repeated.headers == (("h", b"1"), ("h", b"\xff"))
    displaced = parse(raw(own=(("original.ddpm.errors.sqlstate", b"mine"), ("original.x", b"1"), ("n", None))))
    assert displaced is not None
    assert displaced.headers == (("ddpm.errors.sqlstate", b"mine"), ("original.x", b"1"), ("n", None))


def test_a_letter_says_which_of_its_headers_are_cut() -> None:
    cut = parse(raw(own=(("h", b"1"),), headers_cut='["h"]'))
    assert cut is not None
    assert (cut.headers, cut.headers_cut) == ((("h", b"1"),), '["h"]')
    assert letter().headers_cut is None


def test_what_ddpm_did_not_write_is_no_letter() -> None:
    assert parse(raw(pipeline=None)) is None
    assert parse(RawRecord("dead", 0, 0, -1, None, None, ())) is None


@pytest.mark.parametrize("number", ["", "x", "-1", "1e3", "9" * 30, b"\xff"])
def test_a_number_that_is_none_is_not_there(number: str | bytes) -> None:
    found = letter(of_offset=number, attempt=number, index=number, failed_at_ms=number)
    assert found.origin is None
    assert (found.attempt, found.failed_at_ms) == (1, NOW_MS)


def test_a_time_beyond_all_calendars_can_still_be_shown() -> None:
    assert letter(failed_at_ms=str(2**62)).failed_at_ms == LAST_MS


@given(
    st.lists(
        st.tuples(
            st.sampled_from([name for name, _ in raw(headers="", attempt="1", index="1").headers])
            | st.text(max_size=5),
            st.none() | st.binary(max_size=30) | st.sampled_from([b"1", b"[]", b'[["a","YQ=="]]', b"[[1]]", b"true"]),
        ),
        max_size=25,
    )
)
def test_no_headers_break_it(headers: list[tuple[str, bytes | None]]) -> None:
    parse(RawRecord("dead", 0, 0, -1, None, None, tuple(headers)))


@pytest.mark.parametrize("text", ["", "1", "a:b", "1:2:3", "-1:2", "0:99999999999999999999", "٣:1"])
def test_an_id_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="is not the id of a dead letter"):
        LetterId.parse(text)


@pytest.mark.parametrize("of", [letter(3, index="1", source="2"), letter(4, of_topic=None)])
@pytest.mark.parametrize("deed", Resolution)
def test_a_mark_comes_back_as_it_was_written(of: object, deed: Resolution) -> None:
    made: ResolutionRecord = mark(of, deed)  # type: ignore[arg-type]
    assert decode(*encode(made)) == made


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[]", b"null", b'{"origin": {"x": 1}}', b"\xff", b"[" * 99_999])
def test_what_is_no_mark_is_passed_over(value: bytes | None) -> None:
    assert decode(b"0:1", value) is None
    assert decode(b"no id", encode(mark(letter()))[1]) is None


def test_a_mark_without_a_version_is_one_of_the_first_and_a_newer_one_is_refused() -> None:
    made = mark(letter(3))
    key, value = encode(made)
    fields = json.loads(value)
    assert fields.pop("version") == 1
    assert decode(key, json.dumps(fields).encode()) == made
    with pytest.raises(NewerStateError, match="a mark of the dead letter 0:3 has version 2"):
        decode(key, json.dumps({**fields, "version": 2}).encode())
