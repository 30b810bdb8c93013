"""Texts for people and machines: what comes over the network must not reach a terminal as it is.

Nothing here prints.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

# Controls would move the cursor or worse, format characters reorder what is read, the rest breaks lines or encodings.
_DANGEROUS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# JSON itself escapes what is below the space; these it lets through.
_DANGEROUS_IN_JSON = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
HEX_ROW = 16
"""How many bytes stand in a row of a dump."""

_PRINTABLE = range(0x20, 0x7F)
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def plain(text: str) -> str:
    r"""The text on one line, with every character that a terminal would act on shown as an escape, such as `\x1b`."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _DANGEROUS else char
        for char in text.expandtabs(4)
    )


def dumped_answers(answers: Sequence[Any]) -> str:
    """The JSON of what several parts of a pipeline answered: a list, and the answer itself where there is one."""
    return dumped(answers[0] if len(answers) == 1 else answers, indent=2)


def dumped(value: Any, indent: int | None = None) -> str:  # noqa: ANN401 -- whatever was JSON
    """The value as JSON, readable, and with nothing in it that a terminal would act on."""
    return harmless_json(json.dumps(value, ensure_ascii=False, indent=indent))


def harmless_json(text: str) -> str:
    """JSON as it is written, with what a terminal would act on as escapes."""
    return _DANGEROUS_IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def hexdump(value: bytes, digits: int = 8) -> Iterator[str]:
    """The bytes in hexadecimal, a row each with its place in so many digits, and as text where they are ASCII."""
    for at in range(0, len(value), HEX_ROW):
        row = value[at : at + HEX_ROW]
        text = "".join(chr(byte) if byte in _PRINTABLE else "." for byte in row)
        yield f"{at:0{digits}x}  {row.hex(' '):<{HEX_ROW * 3 - 1}}  {text}"


def duration(seconds: float, units: int = 2) -> str:
    """A time span in its greatest units: `42 s`, `3 min 5 s`, `2 d 4 h`; under ten seconds with one decimal."""
    if 0 < seconds < 10 and seconds != int(seconds):  # noqa: PLR2004 -- see the docstring
        return f"{seconds:.1f} s"
    left = max(0, int(seconds))
    parts: list[tuple[int, str]] = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append((count, unit))
    shown = [f"{count} {unit}" for count, unit in parts[:units] if count]
    return " ".join(shown) or "0 s"


def number(value: float) -> str:
    """A count with thousands separated; a rate under ten keeps a decimal."""
    small = 0 < abs(value) < 10 and value != int(value)  # noqa: PLR2004 -- see the docstring
    return f"{value:.1f}" if small else f"{value:,.0f}"
