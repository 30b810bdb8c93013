"""Parsers: which engine processors turn the bytes of a record into documents.

A parser's processors mark a record that they cannot read as failed, with a structured reason, and never drop it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from ddpm.catalogue import environment, formats
from ddpm.catalogue.component import Component, duration, mapping
from ddpm.catalogue.processors import guarded
from ddpm.config.model import Model, NoOptions, Plugin, PluginKind, Source
from ddpm.errors import ConfigError

# The engine's processors whose text is a mapping.
_MAPPINGS = ("mapping", "bloblang", "mutation")

Options = TypeVar("Options", bound=Model)


@dataclass(frozen=True, slots=True)
class Parser(Generic[Options]):
    """One format.

    Attributes:
        name: As written in `source.parser`.
        summary: A sentence for people.
        options: What `source.options` may hold.
        processor: The engine's processor for options.
        wanting: The same with the names that rows are filled from, where they are known.
        many: Whether a record can become many documents, for options.
        secrets: What the engine is told through its environment and no file, for options.
        sample: A record, for formats that a person can read.

    """

    name: str
    summary: str
    options: type[Options]
    processor: Callable[[Options], Component]
    many: Callable[[Options], bool] = lambda _: False
    wanting: Callable[[Options, tuple[str, ...]], Component] | None = None
    secrets: Callable[[Options], dict[str, str]] = lambda _: {}
    sample: str | None = None


def _always(_: Model) -> bool:
    return True


def _plain(name: str) -> Callable[[Model], Component]:
    return lambda _: {name: {}}


def _csv(options: formats.Csv, wanted: tuple[str, ...] = ()) -> Component:
    return _delimited(options.delimiter, options.columns, wanted)


def _tsv(options: formats.Tsv, wanted: tuple[str, ...] = ()) -> Component:
    return _delimited("\t", options.columns, wanted)


def _delimited(delimiter: str, columns: tuple[str, ...], wanted: tuple[str, ...]) -> Component:
    made: Component = {"delimiter": delimiter, "columns": list(columns)}
    if wanted and not columns:
        made["wanted"] = list(wanted)
    return {"ddpm_csv": made}


def _avro(options: formats.Avro) -> Component:
    if options.framing == "datum":
        return {"ddpm_avro_datum": {"schema_file": str(options.schema_file)}}
    if options.framing == "confluent":
        return {"ddpm_avro_registry": {"registry_env": environment.SCHEMA_REGISTRY}}
    return {"ddpm_avro_file": {}}


def _avro_secrets(options: formats.Avro) -> dict[str, str]:
    return {environment.SCHEMA_REGISTRY: options.registry} if options.registry else {}


def _protobuf(options: formats.Protobuf) -> Component:
    return {"ddpm_protobuf": {"descriptor_set": str(options.descriptor_set), "message": options.message}}


# One event, {"event": "click", "properties": {"x": 1}}.
_SPADE = (
    "10.1.2.3 [1700000000.123] data=eyJldmVudCI6ImNsaWNrIiwicHJvcGVydGllcyI6eyJ4IjoxfX0= "
    "0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70"
)

_ALL: tuple[Parser[Any], ...] = (
    Parser(
        "json",
        "one JSON document a record (RFC 8259, UTF-8)",
        NoOptions,
        _plain("ddpm_json"),
        sample='{"id": 1, "total": 2.50}',
    ),
    Parser(
        "ndjson",
        "one JSON document a line, many a record",
        NoOptions,
        _plain("ddpm_ndjson"),
        _always,
        sample='{"id": 1, "total": 2.50}\n{"id": 2, "total": 3}',
    ),
    Parser(
        "lines",
        "one document a line of text, many a record",
        NoOptions,
        _plain("ddpm_lines"),
        _always,
        sample="first line\nsecond line",
    ),
    Parser(
        "csv",
        "comma-separated values (RFC 4180), many rows a record",
        formats.Csv,
        _csv,
        _always,
        _csv,
        sample='id,note\n1,"a, b"\n2,',
    ),
    Parser(
        "tsv",
        "tab-separated values, quoted like csv, many rows a record",
        formats.Tsv,
        _tsv,
        _always,
        _tsv,
        sample="id\tnote\n1\ta, b\n2\t",
    ),
    Parser(
        "spade",
        "a line of Spade's edge servers, IP [seconds.millis] data=BASE64 UUID: one event or many",
        NoOptions,
        _plain("ddpm_spade"),
        _always,
        sample=_SPADE,
    ),
    Parser("msgpack", "one MessagePack value a record", NoOptions, _plain("ddpm_msgpack")),
    Parser(
        "avro",
        "Apache Avro: container files, single values, or values of a schema registry",
        formats.Avro,
        _avro,
        lambda options: options.framing == "file",
        secrets=_avro_secrets,
    ),
    Parser("parquet", "Apache Parquet: a record is a file of many rows", NoOptions, _plain("ddpm_parquet"), _always),
    Parser("protobuf", "one Protocol Buffers message a record", formats.Protobuf, _protobuf),
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
    return _of_plugin(source, source.plugin)


def _of_plugin(source: Source, plugin: Plugin) -> Parser[Any]:
    # A class has judged its options itself.
    match plugin.kind:
        case PluginKind.MAPPING:
            made = _mapping(plugin)
        case PluginKind.PROCESSORS:
            made = _made_by_class(plugin)
        case PluginKind.FUNCTION:
            made = _function(source, plugin)
    many = plugin.many or plugin.kind is PluginKind.FUNCTION
    return Parser(source.parser, f"a plugin, {plugin.path or 'installed'}", NoOptions, lambda _: made, lambda _: many)


# In `try`, because a record that could not be decompressed has failed already.
def _mapping(plugin: Plugin) -> Component:
    # The engine reads a file itself: its own errors then name it. Within quotes, Bloblang takes what JSON does.
    text = mapping(plugin.mapping or f"from {json.dumps(plugin.path, ensure_ascii=False)}")
    return {"try": [{"mapping": text}]}


def _made_by_class(plugin: Plugin) -> Component:
    # The engine's own processors know nothing of identities: what they made of one record has to be told apart.
    return {"try": [*map(_with_usable_mappings, plugin.processors), {"ddpm_index": {"many": plugin.many}}]}


def _with_usable_mappings(value: object) -> Any:  # noqa: ANN401 -- whatever a class returned
    if isinstance(value, list):
        return [_with_usable_mappings(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: mapping(item) if name in _MAPPINGS and isinstance(item, str) else _with_usable_mappings(item)
        for name, item in value.items()
    }


def _function(source: Source, plugin: Plugin) -> Component:
    workers = source.workers
    return {
        "ddpm_python": {
            "python_env": environment.PYTHON,
            "name": source.parser,
            "path": plugin.path or "",
            "workers": workers.count or 0,
            "timeout": duration(workers.timeout),
            "memory": workers.memory,
            "tries": workers.tries,
        }
    }


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
    # ddpm's own decoders know a tombstone; what others would make of its empty text is no document.
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
    return source.plugin is None and source.parser in ("csv", "tsv")


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


def secrets(source: Source) -> dict[str, str]:
    """Environment variables for the engine; raises ConfigError as `parser_of` does."""
    parser = parser_of(source)
    return parser.secrets(_options(parser, source))


def _options(parser: Parser[Options], source: Source) -> Options:
    return parser.options.model_validate(source.options if parser.name in PARSERS else {})
