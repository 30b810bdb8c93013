"""The typed configuration: what a pipeline is, with its defaults and its rules.

Pure data: no file, no network, no clock. Reading YAML, interpolation and places of problems live in `load`.
Every model forbids unknown keys, is frozen, and masks its secrets when shown.
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

EMBEDDED = "embedded"
IDENTITY_COLUMNS = ("source", "partition", "offset")

_DURATION = re.compile(r"(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h)")
_DURATION_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>B|[kK]i?B|Mi?B|Gi?B)?")
_SIZE_BYTES = {"B": 1, "KB": 10**3, "KIB": 2**10, "MB": 10**6, "MIB": 2**20, "GB": 10**9, "GIB": 2**30}


def parse_duration(value: object) -> object:
    """Turn `"100ms"`, `"30s"`, `"5m"` or a number of seconds into seconds; anything else is left to the type check."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            msg = f'"{value}" is not a duration; write for example 500ms, 30s or 5m'
            raise ValueError(msg)
        return float(match["value"]) * _DURATION_SECONDS[match["unit"]]
    return value


def parse_size(value: object) -> object:
    """Turn `"8MB"`, `"512 KiB"` or a number of bytes into bytes; anything else is left to the type check."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            msg = f'"{value}" is not a size; write for example 512KiB or 8MB'
            raise ValueError(msg)
        return int(float(match["value"]) * _SIZE_BYTES[(match["unit"] or "B").upper()])
    return value


Seconds = Annotated[float, BeforeValidator(parse_duration), Field(gt=0, allow_inf_nan=False)]
ByteSize = Annotated[int, BeforeValidator(parse_size), Field(gt=0)]
NonEmptyStr = Annotated[str, Field(min_length=1)]
TopicName = Annotated[str, Field(min_length=1, max_length=249, pattern=r"^[a-zA-Z0-9._-]+$")]
PipelineName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$")]


class Model(BaseModel):
    """Base of every section: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


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


class Source(Model):
    """`app.source`: which parser turns a record's bytes into a document."""

    parser: NonEmptyStr = "json"
    plugin_path: str | None = None


class Kafka(Model):
    """`app.kafka`: where records come from."""

    brokers: tuple[NonEmptyStr, ...] = Field(min_length=1)
    topics: tuple[TopicName, ...] = Field(min_length=1)
    consumer_group: NonEmptyStr
    min_partitions: int = Field(default=1, ge=1, le=10_000)
    replication_factor: int = Field(default=1, ge=1, le=32_767)
    start_from: StartFrom = StartFrom.EARLIEST
    topic_configs: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @property
    def embedded(self) -> bool:
        """Whether ddpm starts the broker itself."""
        return EMBEDDED in self.brokers

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
        if len(set(topics)) != len(topics):
            msg = "a topic is named twice"
            raise ValueError(msg)
        return topics


class Column(Model):
    """One column of a typed table: its Postgres type and the dotted path of its value in the document."""

    type: NonEmptyStr
    path: NonEmptyStr = Field(alias="from", default="")

    @field_validator("type")
    @classmethod
    def _type_is_a_type(cls, text: str) -> str:
        if not re.fullmatch(r'[A-Za-z_][\w ."]*(\(\s*\d+\s*(,\s*\d+\s*)?\))?[\w ]*(\[\])*', text):
            msg = f'"{text}" is not the name of a Postgres type; write for example bigint, numeric(12,2), text[]'
            raise ValueError(msg)
        return text


class Postgres(Model):
    """`app.postgres`: the table that records end in; typed when `columns` are given, else one document a row."""

    url: NonEmptyStr = Field(repr=False)
    table: NonEmptyStr
    columns: dict[NonEmptyStr, Column] | None = None
    write_timeout: Seconds = 30.0
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
        return {
            name: {"type": column, "from": name} if isinstance(column, str)
            else {"from": name, **column} if isinstance(column, dict) else column
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
            raise ValueError(msg)
        if columns is not None and not columns:
            msg = "no column is named; leave `columns` away for a document table"
            raise ValueError(msg)
        return columns

    @field_validator("url")
    @classmethod
    def _url_is_postgres(cls, url: str) -> str:
        if url != EMBEDDED and not url.startswith(("postgresql://", "postgres://")):
            msg = 'write postgresql://user:password@host:5432/database, or "embedded"'
            raise ValueError(msg)
        return url


class Batching(Model):
    """How records are grouped on their way to the sinks; whichever limit is reached first closes a batch."""

    count: int = Field(default=4_000, ge=1, le=100_000)
    period: Seconds = 0.1
    byte_size: ByteSize = 8_000_000


class Processor(Model):
    """One step of user code in Bloblang: exactly one of `mapping` and `filter`."""

    mapping: NonEmptyStr | None = None
    filter: NonEmptyStr | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "Processor":
        if (self.mapping is None) == (self.filter is None):
            msg = "a processor is exactly one of `mapping: <Bloblang>` and `filter: <Bloblang condition>`"
            raise ValueError(msg)
        return self


class KafkaSink(Model):
    """A topic that documents are also written to, at least once."""

    topic: TopicName
    brokers: tuple[NonEmptyStr, ...] | None = None


class Sink(Model):
    """One place that documents go to; `postgres` and `stdout` may be written as plain words."""

    kind: Literal["postgres", "kafka", "stdout"]
    kafka: KafkaSink | None = None


def _sink_forms(value: object) -> object:
    if isinstance(value, str):
        if value == "kafka":
            msg = "the kafka sink needs a topic: write - kafka: {topic: my-topic}"
            raise ValueError(msg)
        return {"kind": value}
    if isinstance(value, dict) and len(value) == 1:
        (kind, options), = value.items()
        if kind == "kafka":
            return {"kind": kind, "kafka": options}
        if kind in ("postgres", "stdout") and not options:
            return {"kind": kind}
    return value


Sinks = tuple[Annotated[Sink, BeforeValidator(_sink_forms)], ...]


class DeadLetter(Model):
    """`app.dead_letter`: where poison records go, with their original bytes and the reason."""

    topic: TopicName = "failed-messages"


class Engine(Model):
    """`app.engine`: which engine runs, and how long it may take to drain."""

    binary: Path | None = None
    drain: Seconds = 20.0
    memory_limit: ByteSize = 800_000_000


class Server(Model):
    """`app.server`: where people and Prometheus find ddpm."""

    host: NonEmptyStr = "127.0.0.1"
    port: int = Field(default=4195, ge=0, le=65_535)


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
    pipeline_template: Path | None = None
    generated_pipeline_config: Path | None = None
    source: Source = Source()
    kafka: Kafka
    postgres: Postgres | None = None
    batching: Batching = Batching()
    processors: tuple[Processor, ...] = ()
    sinks: Sinks = Field(default=(Sink(kind="postgres"),), min_length=1)
    dead_letter: DeadLetter = DeadLetter()
    engine: Engine = Engine()
    server: Server = Server()
    logger: Logger = Logger()

    @property
    def writes_postgres(self) -> bool:
        """Whether one of the sinks is the table."""
        return any(sink.kind == "postgres" for sink in self.sinks)

    @model_validator(mode="after")
    def _sinks_fit(self) -> "Pipeline":
        if self.writes_postgres and self.postgres is None:
            msg = "the postgres sink needs the section `postgres` with url and table"
            raise ValueError(msg)
        if len(set(self.sinks)) != len(self.sinks):
            msg = "a sink is named twice"
            raise ValueError(msg)
        outgoing = {self.dead_letter.topic: "dead_letter.topic"}
        outgoing |= {sink.kafka.topic: "a kafka sink's topic" for sink in self.sinks if sink.kafka}
        for topic in self.kafka.topics:
            if topic in outgoing:
                msg = f'"{topic}" is read by this pipeline and is also {outgoing[topic]}: records would run in a circle'
                raise ValueError(msg)
        return self


class Config(Model):
    """A whole file: one or several pipelines; process-wide sections are those of the first."""

    path: Path
    pipelines: tuple[Pipeline, ...] = Field(min_length=1)
    secrets: tuple[str, ...] = Field(default=(), repr=False)

    @property
    def server(self) -> Server:
        """The address of this ddpm's HTTP server."""
        return self.pipelines[0].server

    @property
    def logger(self) -> Logger:
        """How this ddpm logs."""
        return self.pipelines[0].logger


def masked_url(url: str) -> str:
    """A Postgres URL fit to be shown: the password, wherever it stands, is `***`."""
    parts = urlsplit(url)
    if parts.password is not None:
        user_info, _, host = parts.netloc.rpartition("@")
        parts = parts._replace(netloc=f"{user_info.split(':', 1)[0]}:***@{host}")
    query = re.sub(r"(?i)((?:^|&)(?:password|sslpassword)=)[^&]*", r"\1***", parts.query)
    return urlunsplit(parts._replace(query=query))
