"""Where the characters of a value stand in its file, however YAML folded, quoted or indented it. Pure."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ddpm.config.codes import Code
from ddpm.config.document import Document, Span
from ddpm.config.problems import Finding, Place, Problem
from ddpm.config.tree import Scalar

_BLANK = frozenset(" \t\r\n\x85\u2028\u2029")
# An anchor or a tag before the value, and what opens a block: `&name |-  # comment`.
_PROPERTIES = re.compile(r"(?:[&!][^\s]*\s+)*")
_BLOCK = re.compile(r"[|>][-+0-9]*[ \t]*(?:#[^\r\n]*)?(?:\r\n|[\r\n])")
_ESCAPE = re.compile(
    r"\\(?:x(?P<x>[0-9A-Fa-f]{2})|u(?P<u>[0-9A-Fa-f]{4})|U(?P<U>[0-9A-Fa-f]{8})|(?P<break>\r\n|[\r\n])|(?P<one>.))"
)


@dataclass(frozen=True)
class Written:
    """A text of a configuration and the file that it stands in.

    Attributes:
        document: The file.
        scalar: The text, with what was interpolated.
        urls: Where the file's Postgres URLs stand.

    """

    document: Document
    scalar: Scalar
    urls: Sequence[Span] = ()

    def place(self, index: int) -> Place:
        """Line and column in the file of a character of the text; beyond its end, the place behind the last one."""
        return self.document.place(self._in_file(self._as_written(index)))

    def problem(self, code: Code, index: int, message: str, hint: str | None = None) -> Problem:
        """A problem at a character of the text."""
        finding = Finding(code, self.place(index), self.scalar.path, message, hint)
        return self.document.problems([finding], self.urls)[0]

    def _as_written(self, index: int) -> int:
        """The place in the text before values from outside were put in."""
        shift = 0
        for swap in self.scalar.swaps:
            start = swap.start + shift
            if index < start:
                break
            if index < start + swap.length:
                return swap.start
            shift += swap.length - (swap.end - swap.start)
        return index - shift

    def _in_file(self, index: int) -> int:
        text, marks = self.scalar.text, self._marks
        index = min(index, len(text))
        # Only what can be seen is compared: folding, indentation and line ends change nothing but the room between.
        before = bisect_right(self._visible, index) - 1
        if before < 0:
            return marks[0] if marks else self.scalar.span[0]
        if before >= len(marks):
            return marks[-1] + 1 if marks else self.scalar.span[0]
        behind = index - self._visible[before]
        if "\n" in text[self._visible[before] : index] and before + 1 < len(marks) and index < len(text):
            return marks[before + 1]
        return marks[before] + behind if "\n" not in text[self._visible[before] : index] else marks[before] + 1

    @cached_property
    def _visible(self) -> list[int]:
        return [index for index, char in enumerate(self.scalar.text) if char not in _BLANK]

    @cached_property
    def _marks(self) -> list[int]:
        """Where each visible character of the text stands in the file."""
        return list(_visible_in(self.document.text, *self.scalar.span))


def _visible_in(source: str, start: int, end: int) -> Iterator[int]:
    found = _PROPERTIES.match(source, start, end)
    start = found.end() if found else start
    if block := _BLOCK.match(source, start, end):
        yield from _seen(source, block.end(), end)
    elif source[start:end].startswith('"'):
        yield from _double_quoted(source, start + 1, end)
    elif source[start:end].startswith("'"):
        yield from _single_quoted(source, start + 1, end)
    else:
        yield from _seen(source, start, end)


def _seen(source: str, start: int, end: int) -> Iterator[int]:
    return (index for index in range(start, end) if source[index] not in _BLANK)


def _single_quoted(source: str, start: int, end: int) -> Iterator[int]:
    index = start
    while index < end:
        if source[index] == "'":
            if source[index + 1 : index + 2] != "'":
                return
            yield index
            index += 2
            continue
        if source[index] not in _BLANK:
            yield index
        index += 1


def _double_quoted(source: str, start: int, end: int) -> Iterator[int]:
    index = start
    while index < end and source[index] != '"':
        escape = _ESCAPE.match(source, index, end)
        if escape is None:
            if source[index] not in _BLANK:
                yield index
            index += 1
            continue
        if _is_visible(escape):
            yield index
        index = escape.end()


def _is_visible(escape: re.Match[str]) -> bool:
    if escape["break"]:
        return False
    if one := escape["one"]:
        return one not in "ntrNLP \t"
    code = int(escape["x"] or escape["u"] or escape["U"], 16)
    return chr(code) not in _BLANK
