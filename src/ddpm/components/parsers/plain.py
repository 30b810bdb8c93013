"""Formats that need no options."""

from ddpm.components.parsers.parser import Parser, always, plain
from ddpm.config.model import NoOptions

# One event, {"event": "click", "properties": {"x": 1}}.
_SPADE = (
    "10.1.2.3 [1700000000.123] data=eyJldmVudCI6ImNsaWNrIiwicHJvcGVydGllcyI6eyJ4IjoxfX0= "
    "0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70"
)

JSON, NDJSON, LINES, SPADE, MSGPACK, PARQUET = (
    Parser(
        "json",
        "one JSON document a record (RFC 8259, UTF-8)",
        NoOptions,
        plain("ddpm_json"),
        sample='{"id": 1, "total": 2.50}',
    ),
    Parser(
        "ndjson",
        "one JSON document a line, many a record",
        NoOptions,
        plain("ddpm_ndjson"),
        always,
        sample='{"id": 1, "total": 2.50}\n{"id": 2, "total": 3}',
    ),
    Parser(
        "lines",
        "one document a line of text, many a record",
        NoOptions,
        plain("ddpm_lines"),
        always,
        sample="first line\nsecond line",
    ),
    Parser(
        "spade",
        "a line of Spade's edge servers, IP [seconds.millis] data=BASE64 UUID: one event or many",
        NoOptions,
        plain("ddpm_spade"),
        always,
        sample=_SPADE,
    ),
    Parser("msgpack", "one MessagePack value a record", NoOptions, plain("ddpm_msgpack")),
    Parser("parquet", "Apache Parquet: a record is a file of many rows", NoOptions, plain("ddpm_parquet"), always),
)
