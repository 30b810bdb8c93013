"""Parsers: which engine processors turn the bytes of a record into documents. A module for each family of formats.

A parser's processors mark a record that they cannot read as failed, with a structured reason, and never drop it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddpm.component import Component
from ddpm.components.parsers import plain
from ddpm.components.parsers.avro import AVRO
from ddpm.components.parsers.delimited import CSV, TSV
from ddpm.components.parsers.parser import Options, Parser, SchemaRegistry
from ddpm.components.parsers.plugins import of_plugin
from ddpm.components.parsers.protobuf import PROTOBUF
from ddpm.components.processors import guarded
from ddpm.config.model import Model, PluginKind, Source
from ddpm.errors import ConfigError

_ALL: tuple[Parser[Any], ...] = (
    plain.JSON,
    plain.NDJSON,
    plain.LINES,
    CSV,
    TSV,
    plain.SPADE,
    plain.MSGPACK,
    AVRO,
    plain.PARQUET,
    PROTOBUF,
)

PARSERS: Mapping[str, Parser[Any]] = {parser.name: parser for parser in _ALL}

# What the loader checks `source.options` against.
OPTIONS: Mapping[str, type[Model]] = {parser.name: parser.options for parser in _ALL}


def parser_of(source: Source) -> Parser[Any]:
    """The parser that a pipeline names.

    Raises:
        ConfigError: There is none of that name.

    """
    if source.parser in PARSERS:
        return PARSERS[source.parser]
    if source.plugin is None:
        msg = f'app.source.parser is "{source.parser}", which is not built in, and no plugin was found for it'
        raise ConfigError(msg, hint=f"built in are: {', '.join(sorted(PARSERS))}")
    return of_plugin(source, source.plugin)


def processors(source: Source, wanted: tuple[str, ...] = ()) -> list[Component]:
    """The engine's processors that decompress and parse.

    Args:
        source: The parser and its options.
        wanted: The names that rows are filled from, where they are known.

    Raises:
        ConfigError: As `parser_of` does.

    """
    parser = parser_of(source)
    options = _options(parser, source)
    unpack: list[Component] = []
    if source.compression != "none":
        unpack = [{"ddpm_decompress": {"method": source.compression, "limit": source.max_decompressed}}]
    made = parser.wanting(options, wanted) if parser.wanting else parser.processor(options)
    maps = source.plugin is not None and source.plugin.kind is not PluginKind.FUNCTION
    reading = [*unpack, *(guarded(made) if maps else [made])]
    # ddpm's own decoders know a tombstone; what others would make of its empty text is not a document.
    if source.tombstones == "dead_letter" and not maps:
        return reading
    reading.insert(0, {"ddpm_tombstones": {"action": source.tombstones}})
    if source.tombstones == "pass":
        reading.append({"ddpm_tombstones_passed": {"many": parser.many(options)}})
    return reading


def gives_many(source: Source) -> bool:
    """Whether a record can become many documents; raises ConfigError as `parser_of` does."""
    parser = parser_of(source)
    return parser.many(_options(parser, source))


def may_drop(source: Source) -> bool:
    """Whether a record may be dropped: by processors that are not ddpm's own, or as a tombstone."""
    made_by_others = source.plugin is not None and source.plugin.kind is not PluginKind.FUNCTION
    return made_by_others or source.tombstones == "skip"


def gives_texts(source: Source) -> bool:
    """Whether all values of its documents are texts, whatever they stand for."""
    return source.plugin is None and parser_of(source).texts


def reads_files(source: Source) -> bool:
    """Whether the engine reads a file for it, such as a schema; raises ConfigError as `parser_of` does."""
    return bool(_named_files(source))


def files(source: Source) -> tuple[Path, ...]:
    """What the engine reads for it: schemas, a mapping; raises ConfigError as `parser_of` does."""
    plugin = source.plugin
    mapping_file = plugin.path if plugin is not None and plugin.kind is PluginKind.MAPPING else None
    return (*_named_files(source), *([Path(mapping_file)] if mapping_file else []))


def _named_files(source: Source) -> tuple[Path, ...]:
    return tuple(value for _, value in _options(parser_of(source), source) if isinstance(value, Path))


def expands(source: Source) -> bool:
    """Whether a record's documents can be much larger than it; raises ConfigError as `parser_of` does."""
    return gives_many(source) or source.compression != "none"


def schema_registry(source: Source) -> SchemaRegistry | None:
    """The schema registry that is asked while records flow; raises ConfigError as `parser_of` does."""
    parser = parser_of(source)
    return parser.registry(_options(parser, source))


def secrets(source: Source) -> dict[str, str]:
    """Environment variables for the engine; raises ConfigError as `parser_of` does."""
    parser = parser_of(source)
    return parser.secrets(_options(parser, source))


def _options(parser: Parser[Options], source: Source) -> Options:
    return parser.options.model_validate(source.options if parser.name in PARSERS else {})
