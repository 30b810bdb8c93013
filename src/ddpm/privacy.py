"""Hides what `privacy` names wherever records are shown; the one place that does. What is delivered never comes here.

A field is hidden by its name, at any depth. What was hidden in a document is also hidden where it turns up again: in
what mappings made of it, in columns, in reasons. Where no field can be told in a value, nothing of the value is shown.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from ddpm.config.fields import keys_of
from ddpm.config.model import Column, Pipeline, Privacy
from ddpm.exact import Number, compact, loads
from ddpm.words import counted

MASK = "***"
# Shorter values are found everywhere by chance.
_SHORTEST = 3
# What messages quote, as ddpm and Postgres write it: "…", and (column)=(…). A value may hold quotes and parentheses
# itself, and neither escapes them: all between the first and the last is hidden, and without a last one the rest.
_QUOTED = re.compile(r"\"(?:.*\"|.*)|(?<==)\((?:.*\)|.*)", re.DOTALL)

# What an engine logs of records that a sink refused; the reason may be of the user's own making.
_OF_A_RECORD = re.compile(r"(records refused, the first one: ).*", re.DOTALL)

Headers = tuple[tuple[str, bytes | None], ...]


class PrivacyFilter:
    """What is shown of the records of a pipeline.

    Args:
        privacy: What is hidden.
        columns: The columns of its table, which are hidden with the fields that they come from.

    """

    def __init__(self, privacy: Privacy, columns: Mapping[str, Column] | None = None) -> None:
        self._privacy = privacy
        self._paths = [keys_of(path) for path in privacy.mask]
        self._columns = columns or {}

    @property
    def active(self) -> bool:
        """Whether fields are hidden."""
        return bool(self._paths)

    def document(self, document: Any) -> Any:  # noqa: ANN401 -- JSON
        """A document with the values of hidden fields replaced."""
        return self._replaced(document, (), lambda _: MASK) if self.active else document

    def taken(self, document: Any) -> frozenset[str]:  # noqa: ANN401 -- JSON
        """The values in a document that are hidden, as texts."""
        found: list[str] = []

        def take(value: Any) -> str:  # noqa: ANN401 -- JSON
            found.extend(_texts(value))
            return MASK

        if self.active:
            self._replaced(document, (), take)
        return frozenset(each for each in found if len(each) >= _SHORTEST)

    def without(self, document: Any, taken: Collection[str]) -> Any:  # noqa: ANN401 -- JSON
        """A document without its hidden fields, and without values that are hidden elsewhere."""
        return _scrubbed(self.document(document), taken)

    def text(self, text: str, taken: Collection[str] | None) -> str:
        """A message without hidden values; without what it quotes when it is not known which those are (None)."""
        if not self.active:
            return text
        return _QUOTED.sub(MASK, text) if taken is None else _without(text, taken)

    def logged(self, text: str) -> str:
        """A line of an engine's log, without what it says of a record."""
        return self.text(_OF_A_RECORD.sub(rf"\1{MASK}", text), None) if self.active else text

    def reason(self, text: str, column: str | None, taken: Collection[str] | None) -> str:
        """Why a record was refused, without hidden values; `taken` are those of the record if they are known."""
        if taken is None or (column is not None and self._is_hidden(column)):
            text = self.text(text, None)
        return self.text(text, taken or ())

    def cell(self, column: str, value: str | None, taken: Collection[str] = ()) -> str | None:
        """What is shown of a value of a column."""
        if value is None or not self.active:
            return value
        if self._is_hidden(column):
            return MASK
        if value[:1] in ("{", "["):
            try:
                return compact(self.without(loads(value), taken))
            except (ValueError, RecursionError):
                # A document that was cut, or an array of Postgres'.
                return MASK
        return _without(value, taken)

    def row(self, document: str) -> str:
        """What is shown of a row as a document of JSON, whose fields are columns."""
        if not self.active:
            return document
        row = loads(document)
        return compact({name: self._of_row(name, each) for name, each in row.items()})

    def _of_row(self, column: str, value: Any) -> Any:  # noqa: ANN401 -- JSON
        if value is not None and self._is_hidden(column):
            return MASK
        try:
            return self.document({column: value})[column]
        except RecursionError:
            return MASK

    def value(self, value: bytes | None) -> bytes | None:
        """What is shown of a record's bytes: a document without hidden fields, else a sentence with their number."""
        if value is None or not self.active:
            return value
        document = _document(value)
        with suppress(RecursionError):
            if document is not None:
                return compact(self.without(document, self.taken(document))).encode()
        return f"({counted(len(value), 'byte')}, not shown: privacy.mask)".encode()

    def taken_of(self, value: bytes | None) -> frozenset[str] | None:
        """The hidden values in the bytes of a record; None where that cannot be told."""
        document = None if value is None else _document(value)
        with suppress(RecursionError):
            return None if document is None else self.taken(document)
        return None

    def key(self, key: bytes | None) -> bytes | None:
        """What is shown of a key."""
        return MASK.encode() if key and self._privacy.mask_key else key

    def headers(self, headers: Headers) -> Headers:
        """What is shown of headers."""
        hidden = self._privacy.mask_headers
        return tuple((name, MASK.encode() if value and name in hidden else value) for name, value in headers)

    def _is_hidden(self, column: str) -> bool:
        origin = self._columns.get(column)
        return self._hides((column,)) or (origin is not None and self._hides(origin.keys))

    def _replaced(self, value: Any, above: tuple[str, ...], put: Callable[[Any], Any]) -> Any:  # noqa: ANN401 -- JSON
        match value:
            case dict():
                return {key: self._field(each, (*above, key), put) for key, each in value.items()}
            case list():
                return [self._replaced(each, above, put) for each in value]
            case str() if value[:1] in ("{", "["):
                return self._inside(value, above, put)
        return value

    def _inside(self, text: str, above: tuple[str, ...], put: Callable[[Any], Any]) -> str:
        """A text that may be a document itself, as applications nest them; any other one stays as it is."""
        try:
            document = loads(text)
        except ValueError:
            return text
        replaced = self._replaced(document, above, put)
        return text if replaced == document else compact(replaced)

    def _field(self, value: Any, path: tuple[str, ...], put: Callable[[Any], Any]) -> Any:  # noqa: ANN401 -- JSON
        if value is not None and self._hides(path):
            return put(value)
        return self._replaced(value, path, put)

    def _hides(self, path: Sequence[str]) -> bool:
        return any(tuple(path[-len(each) :]) == each for each in self._paths)


def privacy_of(pipeline: Pipeline) -> PrivacyFilter:
    """What is shown of the records of a pipeline."""
    table = pipeline.known_table
    return PrivacyFilter(pipeline.privacy, table.columns if table else None)


def _document(value: bytes) -> Any:  # noqa: ANN401 -- JSON
    """An object or array of JSON; None for anything else, in which no fields can be told."""
    try:
        found = loads(value.decode())
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 -- JSON
    match value:
        case dict():
            for each in value.values():
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)
        case str():
            yield str(value)


def _scrubbed(value: Any, taken: Collection[str]) -> Any:  # noqa: ANN401 -- JSON
    match value:
        case dict():
            return {key: _scrubbed(each, taken) for key, each in value.items()}
        case list():
            return [_scrubbed(each, taken) for each in value]
        case Number():
            return MASK if str(value) in taken else value
        case str():
            return _without(value, taken)
    return value


def _without(text: str, taken: Collection[str]) -> str:
    """A text in whose place of hidden values the mask stands; the effort does not grow with their number."""
    written, lengths = _sought(frozenset(taken))
    if not written:
        return text
    parts: list[str] = []
    at = begun = 0
    while at <= len(text) - _SHORTEST:
        found = next(
            (each for each in lengths.get(text[at : at + _SHORTEST], ()) if text[at : at + each] in written), 0
        )
        if found:
            parts += (text[begun:at], MASK)
            begun = at + found
        at += found or 1
    return "".join((*parts, text[begun:]))


@lru_cache(maxsize=2)
def _sought(taken: frozenset[str]) -> tuple[frozenset[str], Mapping[str, Sequence[int]]]:
    """Hidden values, as they stand in messages and as JSON writes them; their lengths by how they begin."""
    written = frozenset(form for each in taken for form in (each, json.dumps(each)[1:-1]))
    lengths: dict[str, set[int]] = {}
    for each in written:
        lengths.setdefault(each[:_SHORTEST], set()).add(len(each))
    return written, {begin: sorted(found, reverse=True) for begin, found in lengths.items()}
