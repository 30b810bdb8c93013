"""The typed configuration: what a pipeline is, with its defaults and its rules.

Pure data: no file, no network, no clock. Reading YAML, interpolation and places of problems live in `load`.
Every model forbids unknown keys, is frozen, and masks its secrets when shown.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ddpm.config.address import EMBEDDED as _EMBEDDED
from ddpm.config.address import parse_address, port_fault, web_fault
from ddpm.config.fields import keys_of, literal
from ddpm.config.moments import check_format, check_zone, misfit
from ddpm.config.names import split_table
from ddpm.config.paths import unfit
from ddpm.config.pgtypes import parse as parse_type
from ddpm.errors import ConfigError

if TYPE_CHECKING:
    from ddpm.config.written import Written

EMBEDDED = _EMBEDDED
IDENTITY_COLUMNS = ("source", "partition", "offset")
# Tells the rows of one record apart, for parsers of many documents a record.
INDEX_COLUMN = "index"
# Holds the record's timestamp in a document table, and in a partitioned one unless it is named otherwise.
RECORD_TIME_COLUMN = "timestamp"
# The ending of a parser written as a mapping.
BLOBLANG = ".blobl"
SINK_KINDS = ("postgres", "kafka", "stdout")
# Parsers whose documents have the names that `source.options.columns` gives.
_DELIMITED = ("csv", "tsv")
DOCKER_SCHEMES = ("unix://", "tcp://", "http://", "https://", "ssh://", "npipe://")
HOST_NETWORK = "host"

_DOCKER_SERVERS = ("tcp", "http", "https", "ssh")

_DURATION = re.compile(r"(?P<value>\d{1,12}(?:\.\d{1,12})?)\s*(?P<unit>ms|s|m|h)")
_DURATION_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(?P<value>\d{1,15}(?:\.\d{1,12})?)\s*(?P<unit>B|[kK]i?B|Mi?B|Gi?B)?")
_SIZE_BYTES = {"B": 1, "KB": 10**3, "KIB": 2**10, "MB": 10**6, "MIB": 2**20, "GB": 10**9, "GIB": 2**30}
_BROKER = re.compile(r"(?:[^\s:/@,\[\]]+|\[[0-9a-fA-F:.]+\]):(?P<port>[^\s:/@,]+)")
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_PIPELINE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_IDENTIFIER_BYTES = 63
# Room for _2026_01 and _default.
_PARTITIONED_NAME_BYTES = _IDENTIFIER_BYTES - 8
_MONTHS_PAST = 12


def broken_rule(message: str, *at: str | int) -> PydanticCustomError:
    """An error of a section whose culprit stands at `at`, the keys and indices below that section."""
    return PydanticCustomError("broken_rule", "{text}", {"text": message, "at": at})


def parse_duration(value: object) -> object:
    """Turn `"100ms"`, `"30s"`, `"5m"` or a number of seconds into seconds; anything else is left to the type check."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise PydanticCustomError(
                "duration", '"{value}" is not a duration; write for example 500ms, 30s or 5m', {"value": value}
            )
        return float(match["value"]) * _DURATION_SECONDS[match["unit"]]
    return value


def _with_unit(value: object) -> object:
    """Read a duration of the file, where a number alone is none: people mean milliseconds as often as seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        raise PydanticCustomError(
            "duration",
            "{value} of what? A duration has a unit: {value}ms, {value}s or {value}m",
            {"value": f"{value:g}"},
        )
    return parse_duration(value)


def parse_size(value: object) -> object:
    """Turn `"8MB"`, `"512 KiB"` or a number of bytes into bytes; anything else is left to the type check."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            raise PydanticCustomError(
                "size", '"{value}" is not a size; write for example 512KiB or 8MB', {"value": value}
            )
        return int(float(match["value"]) * _SIZE_BYTES[(match["unit"] or "B").upper()])
    return value


def _topic_name(name: str) -> str:
    if name in (".", "..") or not _TOPIC.fullmatch(name):
        msg = f'"{name}" is not the name of a topic: 1 to 249 of the characters a-z, A-Z, 0-9, ".", "_" and "-"'
        raise ValueError(msg)
    return name


def _pipeline_name(name: str) -> str:
    if not _PIPELINE_NAME.fullmatch(name):
        msg = (
            f'"{name}" is not the name of a pipeline: 1 to 63 of the characters a-z, 0-9, "_" and "-", '
            "with a letter or digit first and last"
        )
        raise ValueError(msg)
    return name


def _broker(named: str) -> str:
    match = _BROKER.fullmatch(named)
    fault = port_fault(match["port"]) if match else None
    if named != EMBEDDED and (match is None or fault):
        why = f": {fault}" if fault else ""
        msg = f'"{named}" is not the address of a broker{why}; write one host:port an item, for example localhost:9092'
        raise ValueError(msg)
    return named


def _identifier(name: str) -> str:
    problem = None
    if not name:
        problem = "is empty"
    elif "\0" in name:
        problem = "contains the character NUL"
    elif len(name.encode("utf-8", "surrogatepass")) > _IDENTIFIER_BYTES:
        problem = f"is longer than the {_IDENTIFIER_BYTES} bytes that Postgres keeps of a name"
    if problem:
        shown = name.replace("\0", "\\0")
        msg = f'"{shown}" {problem}'
        raise ValueError(msg)
    return name


def _table_name(name: str) -> str:
    for part in split_table(name):
        if part is not None:
            _identifier(part)
    return name


def _file_path(path: Path) -> Path:
    if path == Path():
        msg = "names no file; give a path, or omit the key"
        raise ValueError(msg)
    if problem := unfit(path):
        msg = f"the path {problem}"
        raise ValueError(msg)
    return path


Seconds = Annotated[float, BeforeValidator(parse_duration), Field(gt=0, allow_inf_nan=False)]
Duration = Annotated[
    float,
    BeforeValidator(_with_unit),
    Field(gt=0, allow_inf_nan=False),
    WithJsonSchema({"type": "string", "examples": ["30s"]}),
]
ByteSize = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(gt=0),
    WithJsonSchema({"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string", "examples": ["8MB"]}]}),
]
NonEmptyStr = Annotated[str, Field(min_length=1)]
TopicName = Annotated[str, Field(min_length=1), AfterValidator(_topic_name)]
PipelineName = Annotated[str, Field(min_length=1), AfterValidator(_pipeline_name)]
Broker = Annotated[str, Field(min_length=1), AfterValidator(_broker)]
TableName = Annotated[str, Field(min_length=1), AfterValidator(_table_name)]
ColumnName = Annotated[str, AfterValidator(_identifier)]
FilePath = Annotated[Path, AfterValidator(_file_path)]


class Model(BaseModel):
    """Base of every section: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class NoOptions(Model):
    """What may stand in the options of a parser that has none."""


class LogLevel(StrEnum):
    """Levels a user may name; the engine knows the same ones."""

    TRACE = "TRACE"
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class StartFrom(StrEnum):
    """Where a consumer group without committed offsets begins."""

    EARLIEST = "earliest"
    LATEST = "latest"


class IsolationLevel(StrEnum):
    """Which records of transactions are read."""

    READ_COMMITTED = "read_committed"
    READ_UNCOMMITTED = "read_uncommitted"


class PluginKind(StrEnum):
    """What a parser's plugin is."""

    MAPPING = "mapping"
    PROCESSORS = "processors"
    FUNCTION = "function"


@dataclass(frozen=True, slots=True)
class Plugin:
    """A parser that is not built in.

    Attributes:
        kind: What it is.
        path: Its file or folder; None for an installed one.
        mapping: The Bloblang text of an installed mapping.
        processors: The engine's processors that a class returned.
        many: Whether these make any number of documents of a record.

    """

    kind: PluginKind
    path: str | None = None
    mapping: str | None = None
    processors: tuple[dict[str, Any], ...] = ()
    many: bool = False


class Workers(Model):
    """`app.source.workers`: the processes that run a parser which is a Python function."""

    count: int | None = Field(default=None, ge=1, le=64)
    timeout: Duration = 5.0
    memory: ByteSize = 512 * 2**20
    tries: int = Field(default=3, ge=1, le=10)


class Source(Model):
    """`app.source`: which parser turns a record's bytes into a document."""

    parser: NonEmptyStr = "json"
    plugin_path: str | None = None
    # What is allowed here is the parser's to say; the loader checks it against the parser's own model.
    options: dict[str, Any] = Field(default_factory=dict)
    compression: Literal["none", "auto", "gzip", "zlib", "zstd", "lz4", "snappy"] = "none"
    max_decompressed: ByteSize = 64 * 2**20
    tombstones: Literal["dead_letter", "skip", "pass"] = "dead_letter"
    workers: Workers = Field(default_factory=Workers)
    # Not the user's to write: the loader finds it.
    _plugin: Plugin | None = PrivateAttr(default=None)

    @property
    def plugin(self) -> Plugin | None:
        """What `plugin_path`, or an installed package, brings for the parser."""
        return self._plugin

    def with_plugin(self, plugin: Plugin | None) -> "Source":
        """The same source, with its plugin."""
        copy = self.model_copy()
        copy._plugin = plugin
        return copy


class Kafka(Model):
    """`app.kafka`: where records come from."""

    brokers: tuple[Broker, ...] = Field(min_length=1, examples=[["localhost:9092"], [EMBEDDED]])
    topics: tuple[TopicName, ...] = Field(min_length=1, examples=[["orders"]])
    consumer_group: NonEmptyStr = Field(examples=["orders-group"])
    min_partitions: int = Field(default=1, ge=1, le=10_000)
    replication_factor: int = Field(default=1, ge=1, le=32_767)
    start_from: StartFrom = StartFrom.EARLIEST
    isolation_level: IsolationLevel = IsolationLevel.READ_COMMITTED
    topic_configs: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @property
    def embedded(self) -> bool:
        """Whether ddpm starts the broker itself."""
        return EMBEDDED in self.brokers

    @property
    def reads_committed(self) -> bool:
        """Whether records of aborted transactions are left out."""
        return self.isolation_level is IsolationLevel.READ_COMMITTED

    @field_validator("brokers")
    @classmethod
    def _embedded_stands_alone(cls, brokers: tuple[str, ...]) -> tuple[str, ...]:
        if EMBEDDED in brokers and len(brokers) > 1:
            msg = '"embedded" starts a broker of its own and cannot be mixed with others'
            raise ValueError(msg)
        return brokers

    @field_validator("topics")
    @classmethod
    def _topics_differ(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        for index, topic in enumerate(topics):
            if topic in topics[:index]:
                raise broken_rule(f'the topic "{topic}" is named twice', index)
        return topics


class Origin(Model):
    """Where a column's value comes from: exactly one of these.

    Attributes:
        path: The path of a value in the document.
        key: The record's key, as text or as bytes.
        header: The name of one of the record's headers.
        timestamp: The record's timestamp.
        topic: The record's topic.
        partition: The number of its partition.
        offset: Its offset.

    """

    path: NonEmptyStr | None = None
    key: Literal["text", "bytes"] | None = None
    header: NonEmptyStr | None = None
    timestamp: bool | None = None
    topic: bool | None = None
    partition: bool | None = None
    offset: bool | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that lead to the value from the document's top; none for what is not of the document."""
        return () if self.path is None else keys_of(self.path)

    @field_validator("path")
    @classmethod
    def _path_is_a_path(cls, path: str | None) -> str | None:
        if path is not None:
            keys_of(path)
        return path

    @field_validator("timestamp", "topic", "partition", "offset")
    @classmethod
    def _is_wanted(cls, wanted: bool | None) -> bool | None:
        if not wanted:
            msg = "write true, or omit the key"
            raise ValueError(msg)
        return wanted

    @model_validator(mode="after")
    def _exactly_one(self) -> "Origin":
        if len(self.model_fields_set) != 1:
            msg = f"a value comes from one place: a path, or one of {', '.join(RECORD_PARTS)}"
            raise ValueError(msg)
        return self


# What a column may hold of the record itself.
RECORD_PARTS = tuple(name for name in Origin.model_fields if name != "path")


def _origin_forms(value: object) -> object:
    """Let a path stand for `{path: …}`."""
    return {"path": value} if isinstance(value, str) else value


class Column(Model):
    """One column of a typed table: its Postgres type, where its value comes from, and how that says a time.

    A dot that belongs to a key is written `\\.`; in single quotes or plain YAML, `from: labels.app\\.name`.
    """

    type: NonEmptyStr
    origin: Annotated[Origin, BeforeValidator(_origin_forms)] = Field(alias="from")
    format: NonEmptyStr | None = None
    zone: NonEmptyStr | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that lead to the value in the document; none for what is not of the document."""
        return self.origin.keys

    @field_validator("type")
    @classmethod
    def _type_is_a_type(cls, text: str) -> str:
        parse_type(text)
        return text

    @field_validator("format")
    @classmethod
    def _format_is_known(cls, text: str | None) -> str | None:
        if text is not None:
            check_format(text)
        return text

    @field_validator("zone")
    @classmethod
    def _zone_is_known(cls, zone: str | None) -> str | None:
        if zone is not None:
            check_zone(zone)
        return zone

    @model_validator(mode="after")
    def _format_fits(self) -> "Column":
        read = self.format or self.zone
        if read and self.origin.model_fields_set & {"timestamp", "partition", "offset"}:
            raise broken_rule("this value needs none", "format" if self.format else "zone")
        found = parse_type(self.type)
        wrong = misfit(self.format, self.zone, found.name) if read and found.known else None
        if wrong is not None:
            key, msg = wrong
            raise broken_rule(msg, key)
        return self


class MonthlyPartitions(Model):
    """`app.postgres.partition`: one partition of the table for each month of the records' timestamps.

    `column` holds the timestamp. `past` and `ahead` are how many months before and after the present one have a
    partition; what lies outside stands in the default partition. Months before the last `retention` ones are dropped.
    """

    by: Literal["month"] = "month"
    column: ColumnName = RECORD_TIME_COLUMN
    past: int | None = Field(default=None, ge=0, le=600)
    ahead: int = Field(default=2, ge=1, le=60)
    retention: int | None = Field(default=None, ge=1, le=600)

    @property
    def months_past(self) -> int:
        """How many months before the present one have a partition."""
        if self.past is not None:
            return self.past
        return _MONTHS_PAST if self.retention is None else self.retention

    @field_validator("column")
    @classmethod
    def _is_no_identity_column(cls, column: str) -> str:
        if column in (*IDENTITY_COLUMNS, INDEX_COLUMN):
            msg = f'"{column}" is an identity column; name another one for the record\'s timestamp'
            raise ValueError(msg)
        return column

    @model_validator(mode="after")
    def _makes_nothing_that_it_drops(self) -> "MonthlyPartitions":
        if self.retention is not None and self.months_past > self.retention:
            msg = f"months older than the retention of {self.retention} would be made and dropped at once"
            raise broken_rule(msg, "past")
        return self


def _refuse_cut_types(columns: dict[str, object]) -> None:
    """Raise for a type that YAML cut in two: in `{ a: numeric(12,2) }` the comma ends a value, and `2)` is a key."""
    items = list(columns.items())
    for place, (name, cut) in enumerate(items):
        if not isinstance(cut, str) or cut.count("(") <= cut.count(")"):
            continue
        rest = []
        for key, value in items[place + 1 :]:
            if value is not None:
                break
            rest.append(key)
            if ")" in key:
                whole = ",".join([cut, *rest])
                msg = f'a comma between {{ }} ends a value, so this type must be in quotes: {name}: "{whole}"'
                raise broken_rule(msg, name)


class Postgres(Model):
    """`app.postgres`: the table that records end in; typed when `columns` are given, else one document a row."""

    url: NonEmptyStr = Field(repr=False, examples=["postgresql://user:${PGPASSWORD}@localhost:5432/database", EMBEDDED])
    table: TableName = Field(examples=["orders"])
    columns: dict[ColumnName, Column] | None = None
    partition: MonthlyPartitions | None = None
    write_timeout: Duration = 30.0
    max_in_flight: int = Field(default=4, ge=1, le=64)

    @property
    def embedded(self) -> bool:
        """Whether ddpm starts the database itself."""
        return self.url == EMBEDDED

    @field_validator("columns", mode="before")
    @classmethod
    def _short_form(cls, columns: object) -> object:
        """Let `name: type` stand for `name: {type, from: name}`."""
        if not isinstance(columns, dict):
            return columns
        _refuse_cut_types(columns)
        return {
            name: {"type": column, "from": literal(name)}
            if isinstance(column, str)
            else {"from": literal(name), **column}
            if isinstance(column, dict)
            else column
            for name, column in columns.items()
        }

    @field_validator("columns")
    @classmethod
    def _identity_is_ours(cls, columns: dict[str, Column] | None) -> dict[str, Column] | None:
        taken = sorted(set(columns or {}) & set(IDENTITY_COLUMNS))
        if taken:
            msg = (
                f'"{taken[0]}" is one of the identity columns (source, partition, offset) that ddpm keeps itself; '
                f"name yours differently and point it at the field: event_{taken[0]}: {{type: text, from: {taken[0]}}}"
            )
            raise broken_rule(msg, taken[0])
        if columns is not None and not columns:
            msg = "no column is named; omit `columns` for a document table"
            raise ValueError(msg)
        return columns

    @model_validator(mode="after")
    def _partitions_fit(self) -> "Postgres":
        if self.partition is None:
            return self
        column = self.partition.column
        if self.columns is None and column != RECORD_TIME_COLUMN:
            msg = f'a document table has the timestamp in the column "{RECORD_TIME_COLUMN}"; omit `column`'
            raise broken_rule(msg, "partition", "column")
        if column in (self.columns or {}):
            msg = (
                f'"{column}" is one of `columns`; the table is partitioned by the record\'s own timestamp, '
                "which needs a column of another name: partition: {column: recorded_at}"
            )
            raise broken_rule(msg, "partition")
        if len(split_table(self.table)[1].encode()) > _PARTITIONED_NAME_BYTES:
            msg = f"the name of a partitioned table may have {_PARTITIONED_NAME_BYTES} bytes: its partitions add to it"
            raise broken_rule(msg, "table")
        return self

    @field_validator("url")
    @classmethod
    def _url_is_postgres(cls, url: str) -> str:
        if url != EMBEDDED:
            parse_address(url)
        return url


class Batching(Model):
    """How records are grouped on their way to the sinks; whichever limit is reached first closes a batch."""

    count: int = Field(default=4_000, ge=1, le=100_000)
    period: Duration = 0.1
    byte_size: ByteSize = 8_000_000


class Processor(Model):
    """One step of user code in Bloblang: exactly one of `mapping` and `filter`."""

    mapping: NonEmptyStr | None = None
    filter: NonEmptyStr | None = None
    # Not the user's to write: the loader knows it.
    _written: "Written | None" = PrivateAttr(default=None)

    @property
    def written(self) -> "Written | None":
        """Where its text stands in the file that it was read from."""
        return self._written

    def at(self, written: "Written") -> "Processor":
        """The same step, with its place in a file."""
        copy = self.model_copy()
        copy._written = written
        return copy

    @model_validator(mode="after")
    def _exactly_one(self) -> "Processor":
        if (self.mapping is None) == (self.filter is None):
            msg = "a processor is exactly one of `mapping: <Bloblang>` and `filter: <Bloblang condition>`"
            raise ValueError(msg)
        return self


class KafkaSink(Model):
    """A topic that documents are also written to, at least once."""

    topic: TopicName = Field(examples=["orders-clean"])
    brokers: Annotated[tuple[Broker, ...], Field(min_length=1)] | None = None

    @field_validator("brokers", mode="before")
    @classmethod
    def _list_is_welcome(cls, brokers: object) -> object:
        """Below a validator that turns short forms into sections, strict validation knows no JSON lists any more."""
        return tuple(brokers) if isinstance(brokers, list) else brokers

    @field_validator("brokers")
    @classmethod
    def _embedded_is_the_pipelines(cls, brokers: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if brokers is not None and EMBEDDED in brokers:
            msg = '"embedded" is the pipeline\'s own broker; omit brokers to write there'
            raise ValueError(msg)
        return brokers


class Sink(Model):
    """One place that documents go to; `postgres` and `stdout` may be written as plain words."""

    kind: Literal["postgres", "kafka", "stdout"]
    kafka: KafkaSink | None = None

    @model_validator(mode="after")
    def _options_fit_kind(self) -> "Sink":
        if (self.kafka is not None) != (self.kind == "kafka"):
            msg = "the kafka sink, and no other, has the options `kafka`"
            raise ValueError(msg)
        return self


def _sink_forms(value: object) -> object:
    """Let `postgres`, `stdout` and `kafka: {topic: …}` stand for a `Sink`."""
    if isinstance(value, str):
        return {"kind": _known_kind(value)} if value != "kafka" else _needs_topic()
    if not isinstance(value, dict) or "kind" in value:
        return value
    if len(value) != 1:
        raise broken_rule("a sink is one word or one key; start each sink with its own -")
    ((kind, options),) = value.items()
    if _known_kind(str(kind)) == "kafka":
        return {"kind": "kafka", "kafka": options} if options is not None else _needs_topic()
    if options:
        raise broken_rule(f"the {kind} sink has no options here; write it as one word: - {kind}")
    return {"kind": kind}


def _known_kind(kind: str) -> str:
    if kind not in SINK_KINDS:
        raise PydanticCustomError("unknown_name", "{name}", {"name": kind, "known": list(SINK_KINDS), "what": "sink"})
    return kind


def _needs_topic() -> object:
    raise broken_rule("the kafka sink needs a topic: write - kafka: {topic: my-topic}")


Sinks = tuple[Annotated[Sink, BeforeValidator(_sink_forms)], ...]


class Breaker(Model):
    """`app.dead_letter.breaker`: pause the pipeline once `share` of so many `records` in a row are dead."""

    share: float = Field(default=0.5, gt=0, le=1)
    records: int = Field(default=1_000, ge=10, le=1_000_000)

    @property
    def limit(self) -> int:
        """So many dead records among `records` in a row are too many."""
        return math.ceil(self.share * self.records)


class DeadLetter(Model):
    """`app.dead_letter`: where poison records go, with their original bytes and the reason."""

    topic: TopicName = "failed-messages"
    breaker: Breaker | None = Breaker()

    @field_validator("breaker", mode="before")
    @classmethod
    def _on_and_off(cls, breaker: object) -> object:
        """Let `on` and `off`, which YAML takes for true and false, stand for the usual breaker and none."""
        if breaker is True or breaker == "on":
            return {}
        return None if breaker is False or breaker == "off" else breaker


class Container(Model):
    """`app.engine.container`: the container that an engine runs in.

    `docker` is the address of the Docker daemon (default: as the docker command finds it). `network` is `host`, or a
    network that exists. `env` names variables of ddpm's own environment that mappings read, `files` what they read
    besides the files that the configuration names; both are handed over, files at the same absolute path.
    """

    image: NonEmptyStr = Field(examples=["ddpm-engine:0.1.0"])
    network: NonEmptyStr = HOST_NETWORK
    memory: ByteSize | None = None
    cpus: float | None = Field(default=None, gt=0, le=1_024, allow_inf_nan=False)
    docker: NonEmptyStr | None = Field(default=None, examples=["unix:///var/run/docker.sock"])
    user: NonEmptyStr | None = None
    env: tuple[NonEmptyStr, ...] = ()
    files: tuple[FilePath, ...] = ()

    @field_validator("docker")
    @classmethod
    def _docker_is_an_address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(DOCKER_SCHEMES):
            msg = f'"{url}" is not the address of a Docker daemon; write for example unix:///var/run/docker.sock'
            raise ValueError(msg)
        named = url is not None and not url.startswith(("unix://", "npipe://"))
        fault = web_fault(str(url), _DOCKER_SERVERS) if named else None
        if fault:
            msg = f"not the address of a Docker daemon: {fault}; write for example tcp://docker:2376"
            raise ValueError(msg)
        return url

    @field_validator("network")
    @classmethod
    def _network_leads_to_kafka(cls, network: str) -> str:
        if network == "none" or network.startswith("container:"):
            msg = f'"{network}" cannot be used; write host, or the name of a network from which Kafka can be reached'
            raise ValueError(msg)
        return network


class Engine(Model):
    """`app.engine`: which engine runs, who starts it and in what, and how long it may take to drain.

    With `launcher: external` others start it, and `url` is where its HTTP server is.
    """

    launcher: Literal["process", "container", "external"] = "process"
    binary: FilePath | None = None
    drain: Duration = 20.0
    memory_limit: ByteSize = 800_000_000
    stall_timeout: Duration = 60.0
    container: Container | None = None
    url: NonEmptyStr | None = Field(default=None, examples=["http://orders-engine:4195"])

    @property
    def external(self) -> bool:
        """Whether others start and end it."""
        return self.launcher == "external"

    @field_validator("url")
    @classmethod
    def _url_is_http(cls, url: str | None) -> str | None:
        fault = web_fault(url or "http://none")
        if fault is None and "?" in (url or ""):
            fault = "it has a query"
        if fault:
            msg = f"not the address of an engine: {fault}; write for example http://orders-engine:4195"
            raise ValueError(msg)
        return url and url.rstrip("/")

    @model_validator(mode="after")
    def _sections_fit_the_launcher(self) -> "Engine":
        for name, section in (("container", self.container), ("url", self.url)):
            wanted = {"container": "container", "url": "external"}[name]
            if section is None and self.launcher == wanted:
                msg = f"the launcher {wanted} needs it"
                raise PydanticCustomError("missing_section", "{text}", {"text": msg, "at": (name,)})
            if section is not None and self.launcher != wanted:
                raise broken_rule(f"is for the launcher {wanted} only; write launcher: {wanted}, or remove it", name)
        if self.container and self.container.memory and self.container.memory <= self.memory_limit:
            msg = (
                f"must be above engine.memory_limit, which is {self.memory_limit} bytes and what the engine aims at; "
                f"is {self.container.memory}"
            )
            raise broken_rule(msg, "container", "memory")
        return self


class Scale(Model):
    """`app.scale`: how many replicas run, decided by how long the oldest record has been waiting.

    The wait must be above `target_lag` for `up_after` before there are more, and far below it for `down_after` before
    there are fewer.
    """

    min: int = Field(default=1, ge=1, le=64)
    max: int = Field(ge=1, le=64, examples=[3])
    target_lag: Duration = 30.0
    up_after: Duration = 60.0
    down_after: Duration = 600.0

    @model_validator(mode="after")
    def _max_is_not_below_min(self) -> "Scale":
        if self.max < self.min:
            raise broken_rule(f"must be at least min, which is {self.min}; is {self.max}", "max")
        return self


class Server(Model):
    """`app.server`: where people and Prometheus find ddpm, and who may use it.

    `token` is what a client must send as `Authorization: Bearer …`; without it only loopback may be bound, unless
    `insecure` says that whoever reaches the port may do everything. `allowed_hosts` are names besides the bound
    address and localhost by which clients may call it.
    """

    host: NonEmptyStr = "127.0.0.1"
    port: int = Field(default=4195, ge=0, le=65_535)
    token: Annotated[str, Field(min_length=16)] | None = Field(default=None, repr=False)
    insecure: bool = False
    allowed_hosts: tuple[NonEmptyStr, ...] = ()


class Metrics(Model):
    """`app.metrics`: `push_gateway` is the URL of a Prometheus PushGateway that a bounded run reports to at its end."""

    push_gateway: NonEmptyStr | None = Field(default=None, examples=["http://localhost:9091"])

    @field_validator("push_gateway")
    @classmethod
    def _push_gateway_is_http(cls, url: str | None) -> str | None:
        fault = None if url is None else web_fault(url)
        if fault:
            msg = f"not the address of a PushGateway: {fault}; write for example http://localhost:9091"
            raise ValueError(msg)
        return url


class Logger(Model):
    """`app.logger`."""

    level: LogLevel = LogLevel.INFO
    format: Literal["auto", "console", "json"] = "auto"

    @field_validator("level", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


class Pipeline(Model):
    """One pipeline, complete with all defaults: the keys of `app`."""

    name: PipelineName = "pipeline"
    profiling: bool = False
    pipeline_template: FilePath | None = None
    generated_pipeline_config: FilePath | None = None
    source: Source = Source()
    kafka: Kafka
    postgres: Postgres | None = None
    batching: Batching = Batching()
    processors: tuple[Processor, ...] = ()
    sinks: Sinks = Field(default=(Sink(kind="postgres"),), min_length=1)
    dead_letter: DeadLetter = DeadLetter()
    engine: Engine = Engine()
    replicas: int = Field(default=1, ge=1, le=64)
    scale: Scale | None = None
    once: bool = False
    server: Server = Server()
    logger: Logger = Logger()
    metrics: Metrics = Metrics()
    # Not the user's to write: the loader knows it.
    _folder: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path | None:
        """Where relative paths in mappings begin: the folder of the configuration; None for ddpm's own."""
        return self._folder

    def read_from(self, folder: Path, processors: tuple[Processor, ...]) -> "Pipeline":
        """The same pipeline, with the folder of its configuration and processors that know their places."""
        copy = self.model_copy(update={"processors": processors})
        copy._folder = folder
        return copy

    @property
    def writes_postgres(self) -> bool:
        """Whether one of the sinks is the table."""
        return any(sink.kind == "postgres" for sink in self.sinks)

    @property
    def filled_from(self) -> tuple[str, ...]:
        """The names of the parsed documents that fill the table's columns; empty where nobody knows them."""
        if self.processors or not self.writes_postgres or self.postgres is None:
            return ()
        columns = (self.postgres.columns or {}).values()
        return tuple(dict.fromkeys(key for column in columns for key in column.keys[:1]))

    @model_validator(mode="after")
    def _sinks_fit(self) -> "Pipeline":
        if self.writes_postgres and self.postgres is None:
            raise PydanticCustomError("missing_section", "the postgres sink needs it", {"at": ("postgres",)})
        for index, sink in enumerate(self.sinks):
            if sink in self.sinks[:index]:
                raise broken_rule("this sink is named twice", "sinks", index)
        return self

    @model_validator(mode="after")
    def _given_names_fill_the_table(self) -> "Pipeline":
        given, wanted = self.source.options.get("columns"), self.filled_from
        if self.source.parser not in _DELIMITED or not wanted or not given or not isinstance(given, list | tuple):
            return self
        at = ("source", "options", "columns")
        lowered = {name.strip().lower(): name for name in wanted if name not in given}
        for index, name in enumerate(given):
            close = lowered.get(str(name).strip().lower())
            if close is not None and name not in wanted:
                msg = f'"{name}" fills no column of the table; "{close}" would, names are compared with case and spaces'
                raise broken_rule(msg, *at, index)
        if not any(name in wanted for name in given):
            msg = f"none of these names fills a column of the table, which wants {', '.join(wanted)}"
            raise broken_rule(msg, *at)
        return self

    @model_validator(mode="after")
    def _one_way_of_scaling(self) -> "Pipeline":
        if self.scale is not None and "replicas" in self.model_fields_set:
            raise broken_rule("`replicas` fixes what `scale` would decide; omit one of them", "replicas")
        if self.scale is not None and self.once:
            raise broken_rule("a bounded run (`once`) is not scaled by lag; set `replicas` instead", "scale")
        return self

    @model_validator(mode="after")
    def _launcher_can_do_it(self) -> "Pipeline":
        launcher = self.engine.launcher
        if launcher == "process":
            return self
        stdout = next((index for index, sink in enumerate(self.sinks) if sink.kind == "stdout"), None)
        if launcher == "container" and stdout is not None:
            msg = "the documents of a stdout sink would stay in the container; write them to a topic or a table"
            raise broken_rule(msg, "sinks", stdout)
        if self.profiling:
            raise broken_rule(f"the profiles of an engine with launcher: {launcher} are out of reach", "profiling")
        network = self.engine.container.network if self.engine.container else HOST_NETWORK
        if network != HOST_NETWORK and (self.kafka.embedded or (self.postgres and self.postgres.embedded)):
            msg = f'the embedded servers listen on loopback, which cannot be reached from the network "{network}"'
            raise broken_rule(msg, "engine", "container", "network")
        if launcher == "external":
            for name, given in (("replicas", self.replicas != 1), ("scale", self.scale), ("once", self.once)):
                if given:
                    raise broken_rule("ddpm does not start or end this engine (launcher: external)", name)
        return self

    @model_validator(mode="after")
    def _topics_do_not_circle(self) -> "Pipeline":
        outgoing = {self.dead_letter.topic: "the topic of its dead letters"}
        for sink in self.sinks:
            if sink.kafka and set(sink.kafka.brokers or self.kafka.brokers) & set(self.kafka.brokers):
                outgoing[sink.kafka.topic] = "the topic of one of its sinks"
        for index, topic in enumerate(self.kafka.topics):
            if topic in outgoing:
                msg = f'"{topic}" is read by this pipeline and is also {outgoing[topic]}: records would run in a circle'
                raise broken_rule(msg, "kafka", "topics", index)
        return self


class Config(Model):
    """A whole file: one or several pipelines; process-wide sections are those of the first."""

    path: Path
    pipelines: tuple[Pipeline, ...] = Field(min_length=1)
    secrets: tuple[str, ...] = Field(default=(), repr=False)
    # Of the text that it was read from; empty when it was not.
    digest: str = ""

    @property
    def server(self) -> Server:
        """The address of this ddpm's HTTP server."""
        return self.pipelines[0].server

    @property
    def logger(self) -> Logger:
        """How this ddpm logs."""
        return self.pipelines[0].logger

    def served_insecurely(self) -> "Config":
        """The same configuration, with a server that asks nobody for a token."""
        return self._served(self.server.model_copy(update={"insecure": True}))

    def served_at(self, host: str | None, token: str | None, names: Sequence[str] = ()) -> "Config":
        """The same configuration for another place: another address if one is given, and a token if it has none.

        Raises ConfigError when the token is too short.
        """
        given = {"host": host or self.server.host, "token": self.server.token or token}
        try:
            server = Server(
                **self.server.model_dump() | given | {"allowed_hosts": [*self.server.allowed_hosts, *names]}
            )
        except ValidationError as error:
            msg = "the token has fewer than 16 characters"
            raise ConfigError(msg, hint="make one: openssl rand -hex 16") from error
        return self._served(server)

    def _served(self, server: Server) -> "Config":
        pipelines = tuple(each.model_copy(update={"server": server}) for each in self.pipelines)
        return self.model_copy(update={"pipelines": pipelines})

    @property
    def metrics(self) -> Metrics:
        """Where this ddpm's metrics are pushed."""
        return self.pipelines[0].metrics
