"""Rows of a Python function: every type has one form in JSON, and all digits."""

import json
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpm.plugins.rows import encode

NINE = datetime(2026, 11, 23, 4, 5, 6, 789123)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (2**63 + 1, "9223372036854775809"),
        (0.1, "0.1"),
        (float("nan"), '"NaN"'),
        (float("-inf"), '"-Infinity"'),
        (Decimal("12345678901234567890.10"), "12345678901234567890.10"),
        (Decimal("1E+3"), "1E+3"),
        (Decimal("Infinity"), '"Infinity"'),
        ("näme \x00 </script>", '"näme \\u0000 </script>"'),
        (b"\x00\xff", '"\\\\x00ff"'),
        (memoryview(b"\x01"), '"\\\\x01"'),
        (NINE, '"2026-11-23T04:05:06.789123"'),
        (NINE.replace(tzinfo=UTC), '"2026-11-23T04:05:06.789123Z"'),
        (NINE.replace(tzinfo=timezone(timedelta(hours=-9))), '"2026-11-23T13:05:06.789123Z"'),
        (date(2026, 11, 23), '"2026-11-23"'),
        (time(4, 5, 6), '"04:05:06"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        ([Decimal("0.0"), (1, b"")], '[0.0,[1,"\\\\x"]]'),
        (MappingProxyType({"a": OrderedDict(b=Decimal(1))}), '{"a":{"b":1}}'),
        ({1: Decimal(1), False: 2, None: 3}, '{"1":1,"false":2,"null":3}'),
    ],
)
def test_each_type_has_its_form(value: object, text: str) -> None:
    row = encode({"value": value})
    assert row == f'{{"value":{text}}}'.encode()
    json.loads(row)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"a": {1}}, "a is of the type set"),
        ({"a": [1, {"b": object()}]}, r"a\[1\]\.b is of the type object"),
        ({(1, 2): Decimal(1)}, "keys must be str"),
        ({"a": "\ud800"}, "surrogates not allowed"),
    ],
)
def test_what_has_no_form_is_named_with_its_place(row: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        encode(row)


def test_a_row_that_holds_itself_is_refused() -> None:
    row: dict[str, Any] = {}
    row["self"] = row
    with pytest.raises((RecursionError, ValueError)):
        encode(row)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.slow
@given(st.dictionaries(st.text(), PLAIN))
def test_plain_rows_come_back_whichever_way_they_are_written(row: dict[str, Any]) -> None:
    try:
        plain = encode(row)
    except UnicodeEncodeError:
        return
    assert json.loads(plain) == row
    assert json.loads(encode({**row, "\ue000": Decimal(1)})) == {**row, "\ue000": 1}
