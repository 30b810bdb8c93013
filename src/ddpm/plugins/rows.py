"""Rows as JSON with every digit, in the forms that all parsers of ddpm give to the types that JSON lacks."""

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

# Plain rows go through the C encoder of the standard library, which refuses all that `_text` sees to.
_plain = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
_quoted = json.JSONEncoder(ensure_ascii=False).encode


def encode(row: Mapping[str, object]) -> bytes:
    """A row as a JSON object in UTF-8.

    Raises:
        TypeError: It holds something that has no JSON form; the message names it and its place.
        ValueError: It holds text that is not Unicode.

    """
    try:
        text = _plain(row)
    except (TypeError, ValueError):
        text = _text(row, "")
    return text.encode()


def _text(value: object, place: str) -> str:  # noqa: PLR0911 -- one line for each type
    match value:
        case None | bool() | int() | str():
            return _plain(value)
        case float():
            return _plain(value) if math.isfinite(value) else _quoted(_not_finite(value))
        case Decimal():
            return f"{value}" if value.is_finite() else _quoted(_not_finite(float(value)))
        case datetime():
            return _quoted(_instant(value))
        case date() | time():
            return _quoted(value.isoformat())
        case bytes() | bytearray() | memoryview():
            return _quoted("\\x" + bytes(value).hex())
        case UUID():
            return _quoted(str(value))
        case Mapping():
            return f"{{{','.join(_entry(key, item, place) for key, item in value.items())}}}"
        case list() | tuple():
            return f"[{','.join(_items(value, place))}]"
        case _:
            msg = f"{place.lstrip('.') or 'the row'} is of the type {type(value).__name__}, which has no form in JSON"
            raise TypeError(msg)


def _items(values: Iterable[object], place: str) -> Iterable[str]:
    return (_text(item, f"{place}[{index}]") for index, item in enumerate(values))


def _entry(key: object, value: object, place: str) -> str:
    # The library's own way with keys: true, null and numbers become texts, and it refuses others.
    name = _plain({key: None}).removeprefix("{").removesuffix(":null}")
    return f"{name}:{_text(value, f'{place}.{key}')}"


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _instant(value: datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
