"""JSON whose numbers keep their digits, from text to values and back. Pure."""

import json
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any


class Number(str):
    """A number as it was written."""

    __slots__ = ()


class Null:
    """JSON's null as a whole document, distinguished from no document."""


NULL = Null()


def loads(text: str) -> Any:  # noqa: ANN401 -- JSON
    """JSON as values in which numbers are `Number`; raises ValueError, and RecursionError where it is too deep."""
    return json.loads(text, parse_float=Number, parse_int=Number)


def pretty(value: Any, indent: str = "", *, ordered: bool = False) -> str:  # noqa: ANN401 -- JSON
    """JSON in many lines; `ordered` sorts the keys of objects."""
    inner = f"{indent}  "
    match value:
        case Number():
            return str(value)
        case dict() if value:
            pairs = sorted(value.items()) if ordered else value.items()
            return _block(
                "{}", indent, (f"{_dumped(key)}: {pretty(one, inner, ordered=ordered)}" for key, one in pairs)
            )
        case list() if value:
            return _block("[]", indent, (pretty(one, inner, ordered=ordered) for one in value))
    return _dumped(None if value is NULL else value)


def compact(document: Any) -> str:  # noqa: ANN401 -- JSON
    """A document on one line; its numbers keep their digits."""
    return " ".join(line.strip() for line in pretty(document).splitlines())


def same(one: Any, other: Any) -> bool:  # noqa: ANN401 -- JSON
    """Whether two JSON values are equal: numbers by their value with all digits, objects in any order."""
    if one is NULL or other is NULL:
        return one in (None, NULL) and other in (None, NULL)
    if isinstance(one, Number) and isinstance(other, Number):
        return str(one) == str(other) or _equal_numbers(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _equal_numbers(one: Number, other: Number) -> bool:
    try:
        return Decimal(one) == Decimal(other)
    except InvalidOperation:
        return False


def _block(brackets: str, indent: str, items: Iterable[str]) -> str:
    lines = ",\n".join(f"{indent}  {item}" for item in items)
    return f"{brackets[0]}\n{lines}\n{indent}{brackets[1]}"


def _dumped(value: Any) -> str:  # noqa: ANN401 -- JSON
    return json.dumps(value, ensure_ascii=False)
