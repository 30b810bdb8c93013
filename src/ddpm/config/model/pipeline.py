"""A pipeline, complete, and a whole file of them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from ddpm.component import Component
from ddpm.config.model.engine import HOST_NETWORK, Engine, Scale
from ddpm.config.model.kafka import Kafka
from ddpm.config.model.privacy import Privacy
from ddpm.config.model.server import Logger, Metrics, Server
from ddpm.config.model.sinks import DeadLetter, Sink
from ddpm.config.model.source import Source
from ddpm.config.model.table import RowTable
from ddpm.config.model.values import ByteSize, Duration, FilePath, Model, NonEmptyStr, PipelineName, broken_rule
from ddpm.errors import ConfigError

if TYPE_CHECKING:
    from ddpm.config.written import Written


class Batching(Model):
    """How records are grouped on their way to the sinks; whichever limit is reached first closes a batch."""

    count: int = Field(
        default=4_000, ge=1, le=100_000, description="a batch closes with so many records; what limits it first counts"
    )
    period: Duration = Field(default=0.1, description="a batch closes after so long")
    byte_size: ByteSize = Field(
        default=8_000_000,
        description="a batch closes with so many bytes; by default 1 MB where records are compressed or of many rows",
    )


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


class InSection(Sink):
    """Stands for a sink whose fields are in a section that is not there; no valid pipeline has one."""

    kind = "missing"
    summary = ""

    of: str
    missing: str

    def output(self, pipeline: "Pipeline") -> Component:
        """There is none."""
        raise NotImplementedError(pipeline.name, self.of)


@dataclass(frozen=True, slots=True)
class Part:
    """That a pipeline is one of those that a pipeline with several sinks is run as.

    Attributes:
        pipeline: The name of the whole.
        sink: The name of its sink.
        group: The consumer group of the whole, of which its own is derived.
        sinks: The names of all sinks of the whole.

    """

    pipeline: str
    sink: str
    group: str
    sinks: tuple[str, ...]


class Beginning(Model):
    """The keys of a pipeline that stand before the sections of its sinks."""

    name: PipelineName = Field(
        default="pipeline", description="what the pipeline is called in logs, metrics and dead letters"
    )
    profiling: bool = Field(
        default=False, description="save CPU and memory profiles of engines and of ddpm in `.ddpm/profiles` at the end"
    )
    pipeline_template: FilePath | None = Field(
        default=None,
        examples=["pipelines/mine.yaml.j2"],
        description="a jinja skeleton of your own for the engine's configuration, in place of the shipped one",
    )
    generated_pipeline_config: FilePath | None = Field(
        default=None,
        examples=["out/orders.yaml"],
        description="where the engine's configuration is written; `.ddpm/generated/NAME.yaml` by default",
    )
    source: Source = Source()
    kafka: Kafka


class Pipeline(Beginning):
    """One pipeline, complete with all defaults: the keys of `app`.

    `pipeline_model` adds what the sinks may be, and the sections that some of them have.
    """

    # The sinks that there are, by their names; those with a section, by its key; and that of pipelines that name none.
    kinds: ClassVar[Mapping[str, type[Sink]]] = {}
    usual: ClassVar[str] = ""
    sections: ClassVar[Mapping[str, type[Sink]]] = {}
    # The parsers whose documents have the names that `source.options.columns` gives.
    naming: ClassVar[Collection[str]] = ()

    batching: Batching = Batching()
    processors: tuple[Processor, ...] = Field(
        default=(),
        examples=[[{"filter": "this.amount > 0"}, {"mapping": "root = this"}]],
        description="steps in Bloblang, each `mapping: …` or `filter: …`; files that they read or import are "
        "relative to the configuration's folder",
    )
    sinks: tuple[Sink, ...] = Field(
        min_length=1,
        description="where documents go: each a word, or a key with the sink's own keys below it "
        "(docs/configuration.md#sinks); or one of a package (docs/writing-a-sink.md)",
    )
    fan_out: Literal["separate", "together"] = Field(
        default="separate",
        description="of several sinks each has engines, a consumer group and dead letters of its own, so that none "
        "holds another; `together`: one engine for all, a record counts when all have it "
        "(docs/operations.md#several-sinks)",
    )
    dead_letter: DeadLetter = DeadLetter()
    engine: Engine = Engine()
    replicas: int = Field(default=1, ge=1, le=64, description="how many engines share the consumer group")
    scale: Scale | None = None
    once: bool = Field(default=False, description="read to the end that the topics have now, then end")
    privacy: Privacy = Privacy()
    server: Server = Server()
    logger: Logger = Logger()
    metrics: Metrics = Metrics()
    # Not the user's to write: the loader knows it.
    _folder: Path | None = PrivateAttr(default=None)
    _part: Part | None = PrivateAttr(default=None)

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
    def part(self) -> Part | None:
        """What it is a part of; None for a pipeline as its user wrote it."""
        return self._part

    def as_part(self, part: Part, update: Mapping[str, object]) -> Self:
        """The same pipeline with these fields changed, as a part of another one."""
        copy = self.model_copy(update=update)
        copy._part = part
        return copy

    @property
    def whole(self) -> str:
        """The name that its user gave it, or what it is a part of."""
        return self.name if self._part is None else self._part.pipeline

    @property
    def sink_names(self) -> tuple[str, ...]:
        """The names of its sinks: those that they were given, or their kinds."""
        return (self._part.sink,) if self._part is not None else tuple(sink.name or sink.kind for sink in self.sinks)

    @classmethod
    def kind_of(cls, name: str) -> type[Sink] | None:
        """The sink of that name; None where there is none, or where it cannot be imported."""
        try:
            return cls.kinds.get(name)
        except ConfigError:
            return None

    @property
    def configured(self) -> tuple[Sink, ...]:
        """Its sinks, and those of which there is a section though it does not write to them."""
        of_sections = (getattr(self, section, None) for section in self.sections)
        return (*self.sinks, *(each for each in of_sections if isinstance(each, Sink) and each not in self.sinks))

    def with_sinks(self, change: Callable[[Sink], Sink]) -> Self:
        """The same pipeline, with each sink and what its section says changed."""
        update: dict[str, object] = {"sinks": tuple(map(change, self.sinks))}
        for section in self.sections:
            found = getattr(self, section, None)
            update |= {section: change(found)} if isinstance(found, Sink) else {}
        return self.model_copy(update=update)

    @property
    def table(self) -> RowTable | None:
        """The table that it writes rows to, whose key is where their records came from; None where it writes none."""
        return next((sink.row_table for sink in self.sinks if sink.row_table is not None), None)

    @property
    def known_table(self) -> RowTable | None:
        """The same, also where it is configured and not written to; what no topic takes is kept beside it."""
        return next((sink.row_table for sink in self.configured if sink.row_table is not None), None)

    def into_table(self, table: str) -> Self:
        """The same pipeline, writing to nothing but a table of the same columns that has another name."""
        only = tuple(sink for sink in self.sinks if sink.row_table is not None)
        return self.model_copy(update={"sinks": only}).with_sinks(lambda sink: sink.renamed(table))

    @property
    def filled_from(self) -> tuple[str, ...]:
        """The names of the parsed documents that fill the table's columns; empty when unknown."""
        table = self.table
        if self.processors or table is None:
            return ()
        columns = (table.columns or {}).values()
        return tuple(dict.fromkeys(key for column in columns for key in column.keys[:1]))

    @model_validator(mode="after")
    def _sinks_fit(self) -> "Pipeline":
        for sink in self.sinks:
            if isinstance(sink, InSection):
                msg = f"the {sink.of} sink needs it"
                raise PydanticCustomError("missing_section", "{text}", {"text": msg, "at": (sink.missing,)})
        for index, sink in enumerate(self.sinks):
            if sink in self.sinks[:index]:
                raise broken_rule("this sink is named twice", "sinks", index)
        for index, sink in enumerate(self.sinks):
            if misfit := sink.misfit(self):
                raise broken_rule(misfit, "sinks", index)
        for index, name in enumerate(self.sink_names):
            if name in self.sink_names[:index]:
                # Not a number: it would be another sink's when they are put in another order, and so would its offsets.
                msg = f'two sinks are called "{name}"; give one of them a `name` of its own, which it then keeps'
                raise broken_rule(msg, "sinks", index)
        if sum(sink.row_table is not None for sink in self.sinks) > 1:
            raise broken_rule("a pipeline writes the rows of its records into one table", "sinks")
        return self

    @model_validator(mode="after")
    def _given_names_fill_the_table(self) -> "Pipeline":
        given, wanted = self.source.options.get("columns"), self.filled_from
        if self.source.parser not in self.naming or not wanted or not given or not isinstance(given, list | tuple):
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
    def _fan_out_can_be_kept(self) -> "Pipeline":
        if "fan_out" in self.model_fields_set and self.fan_out == "separate" and self.engine.external:
            msg = "ddpm does not start this engine (launcher: external), which is one for all sinks; omit it"
            raise broken_rule(msg, "fan_out")
        return self

    @model_validator(mode="after")
    def _launcher_can_do_it(self) -> "Pipeline":
        launcher = self.engine.launcher
        if launcher == "process":
            return self
        if self.profiling:
            raise broken_rule(f"the profiles of an engine with launcher: {launcher} are out of reach", "profiling")
        network = self.engine.container.network if self.engine.container else HOST_NETWORK
        if network != HOST_NETWORK and (self.kafka.embedded or any(sink.embedded for sink in self.configured)):
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
            outgoing |= dict.fromkeys(sink.topics_of(self.kafka), "the topic of one of its sinks")
        for index, topic in enumerate(self.kafka.topics):
            if topic in outgoing:
                msg = f'"{topic}" is read by this pipeline and is also {outgoing[topic]}: records would run in a circle'
                raise broken_rule(msg, "kafka", "topics", index)
        return self


class Config(Model):
    """A whole configuration: one or several pipelines; process-wide sections are those of the first."""

    path: Path
    pipelines: tuple[Pipeline, ...] = Field(min_length=1)
    secrets: tuple[str, ...] = Field(default=(), repr=False)
    # Of all that it was read from; empty when it was not.
    digest: str = ""
    # Those of its files, and of which files are in its folders.
    files: dict[Path, str] = Field(default_factory=dict, repr=False)
    folders: dict[Path, str] = Field(default_factory=dict, repr=False)
    # The file of each pipeline, by the name of the whole.
    homes: dict[str, Path] = Field(default_factory=dict, repr=False)
    # Those of the files that `${file:…}` names, and of what was read of them.
    secret_files: dict[Path, str] = Field(default_factory=dict, repr=False)

    @property
    def server(self) -> Server:
        """The address of this ddpm's HTTP server."""
        return self.pipelines[0].server

    @property
    def logger(self) -> Logger:
        """How this ddpm logs."""
        return self.pipelines[0].logger

    def served_insecurely(self) -> "Config":
        """The same configuration, with a server that asks for no token."""
        return self._served(self.server.model_copy(update={"insecure": True}))

    def served_at(self, host: str | None, token: str | None, names: Sequence[str] = ()) -> "Config":
        """The same configuration for another place: another address if one is given, and a token if it has none.

        Raises ConfigError when the token is too short.
        """
        given = {"host": host or self.server.host, "token": self.server.token or token}
        try:
            kept = {name: getattr(self.server, name) for name in Server.model_fields}
            server = Server(**kept | given | {"allowed_hosts": [*self.server.allowed_hosts, *names]})
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
