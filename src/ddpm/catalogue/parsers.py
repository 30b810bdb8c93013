"""Parsers: which engine processors turn the bytes of a record into a document.

A parser's processors mark a record that they cannot read as failed, with a structured reason, and never drop it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ddpm.catalogue.component import Component
from ddpm.config.model import Source


@dataclass(frozen=True, slots=True)
class Parser:
    """One format: its name as written in `source.parser`, a sentence for people, and its engine processors."""

    name: str
    summary: str
    processors: Callable[[Source], list[Component]]


def _json(_: Source) -> list[Component]:
    return [{"ddpm_json": {}}]


PARSERS = {parser.name: parser for parser in (Parser("json", "one JSON document a record (RFC 8259, UTF-8)", _json),)}
