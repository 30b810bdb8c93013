"""A pipeline, complete, and a whole file of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, PrivateAttr, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from ddpm.config.model.engine import HOST_NETWORK, Engine, Scale
from ddpm.config.model.kafka import Kafka
from ddpm.config.model.postgres import Postgres
from ddpm.config.model.server import Logger, Metrics, Server
from ddpm.config.model.sinks import DeadLetter, Sink, Sinks
from ddpm.config.model.source import Source
from ddpm.config.model.values import ByteSize, Duration, FilePath, Model, NonEmptyStr, PipelineName, broken_rule
from ddpm.errors import ConfigError

if TYPE_CHECKING:
    from ddpm.config.written import Written

# Parsers whose documents have the names that `source.options.columns` gives.
_DELIMITED = ("csv", "tsv")


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
