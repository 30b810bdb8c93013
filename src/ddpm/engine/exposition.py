"""Reads Prometheus' text format as far as an engine's own page needs it, many times faster than a full parser.

It never raises: a line that is not a sample of a metric that was asked for is passed over. Nothing here knows what a
metric means. The format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import re
from collections.abc import Container, Iterator
from typing import NamedTuple

_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|(?=\}))')
_ESCAPE = re.compile(r"\\(.)")
_UNESCAPED = {"n": "\n"}


class Sample(NamedTuple):
    """One value: its name as it stands in the page, its labels without their escapes, and the value."""

    name: str
    labels: dict[str, str]
    value: float


def samples(text: str, wanted: Container[str]) -> Iterator[Sample]:
    """Every sample of the page whose name is wanted, in the page's order."""
    for line in text.split("\n"):
        brace = line.find("{")
        name = line[:brace] if brace > 0 else line.partition(" ")[0]
        if name in wanted and (sample := _sample(name, line)) is not None:
            yield sample


def types(text: str) -> dict[str, str]:
    """What the page declares its families to be: name to `counter`, `gauge`, `histogram`, `summary` or `untyped`."""
    declared = (line.split() for line in text.split("\n") if line.startswith("# TYPE "))
    return {words[2]: words[3] for words in declared if len(words) == 4}  # noqa: PLR2004 -- # TYPE name type


def _sample(name: str, line: str) -> Sample | None:
    labels: dict[str, str] = {}
    position = len(name)
    if line.startswith("{", position):
        position += 1
        while (match := _LABEL.match(line, position)) is not None:
            value = match[2]
            labels[match[1]] = _ESCAPE.sub(_unescaped, value) if "\\" in value else value
            position = match.end()
        if not line.startswith("}", position):
            return None
        position += 1
    # A time of measurement may follow the value.
    words = line[position:].split()
    try:
        return Sample(name, labels, float(words[0]))
    except (IndexError, ValueError):
        return None


def _unescaped(match: re.Match[str]) -> str:
    return _UNESCAPED.get(match[1], match[1])
