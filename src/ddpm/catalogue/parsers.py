"""Parsers: which engine processors turn the bytes of a record into a document.

A parser's processors mark a record that they cannot read as failed, with a structured reason, and never drop it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ddpm.catalogue.component import Component
from ddpm.config.model import Source
from ddpm.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Parser:
    """One format: its name as written in `source.parser`, a sentence for people, and its engine processors."""

    name: str
    summary: str
    processors: Callable[[Source], list[Component]]


def _json(_: Source) -> list[Component]:
    return [{"ddpm_json": {}}]


PARSERS = {parser.name: parser for parser in (Parser("json", "one JSON document a record (RFC 8259, UTF-8)", _json),)}


def parser_of(source: Source) -> Parser:
    """The parser that a pipeline names.

    Raises:
        ConfigError: There is none of that name.

    """
    if source.parser not in PARSERS:
        msg = f'app.source.parser is "{source.parser}", not built in, and {source.plugin_path} cannot be loaded'
        raise ConfigError(msg, hint=f"parsers from files come later; built in are: {', '.join(sorted(PARSERS))}")
    return PARSERS[source.parser]
