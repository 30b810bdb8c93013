"""What a sink is, `app.sinks` and `app.dead_letter`: where documents go, and those that cannot.

`Sink` is the base of every sink: its fields are what a user may write, its methods what ddpm asks. A sink of one's own
needs `kind`, `summary`, its fields and `output`. Which sinks there are is not known here.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, Self

from pydantic import Field, field_validator

from ddpm.component import Component
from ddpm.config.model.kafka import Kafka
from ddpm.config.model.table import RowTable
from ddpm.config.model.values import Model, SinkName, TopicName

if TYPE_CHECKING:
    from ddpm.config.model.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a sink can do; one that says nothing promises nothing.

    Attributes:
        refuses_records: Whether a single record can be refused, which then becomes a dead letter.
        names_refused_records: Whether it says itself which records of a batch are refused; else halves are tried.
        idempotent: Whether a record that comes again changes nothing.
        replaceable: Whether a window of time can be read again in place of what is there (`ddpm replay`).
        direct: Whether its output takes batches that travel as one message.
        audited: Whether what it writes stands in the audit's books.

    """

    refuses_records: bool = True
    names_refused_records: bool = False
    idempotent: bool = False
    replaceable: bool = False
    direct: bool = False
    audited: bool = False


@dataclass(frozen=True, slots=True)
class EngineFamily:
    """A family of metrics that an engine exposes and ddpm passes on.

    Attributes:
        name: Its name here; base units.
        type: Its type. Of a `summary` only sum and count are exposed.
        help: One line for people.
        source: The name that the engine gives it. Histograms and summaries are timings: the engine counts them in
            seconds when it makes histograms of them and in nanoseconds otherwise.
        labels: The labels after `pipeline` and `replica`, each with its name in the engine's page. Series that differ
            only in other labels are added up.

    """

    name: str
    type: Literal["counter", "gauge", "histogram", "summary"]
    help: str
    source: str
    labels: tuple[tuple[str, str], ...] = ()


# Of every output in `ddpm_sink`.
WRAPPED = "ddpm_sink"
WRAPPED_FAMILIES = (
    EngineFamily(
        "ddpm_engine_sink_rows_total",
        "counter",
        "Records that an output in ddpm_sink took.",
        f"{WRAPPED}_rows_committed",
    ),
    EngineFamily(
        "ddpm_engine_sink_rejected_total",
        "counter",
        "Records that an output in ddpm_sink refused.",
        f"{WRAPPED}_rows_failed",
        (("class", "class"),),
    ),
    EngineFamily(
        "ddpm_engine_sink_write_seconds",
        "histogram",
        "Time that an output in ddpm_sink took for a batch.",
        f"{WRAPPED}_write_seconds",
    ),
    EngineFamily(
        "ddpm_engine_sink_waiting_batches",
        "gauge",
        "Batches that wait for an output in ddpm_sink, by the reason: error, timeout.",
        f"{WRAPPED}_waiting",
        (("reason", "reason"),),
    ),
)


class Probe(Protocol):
    """Asks every few seconds whether what a sink writes to is there."""

    def look(self) -> object:
        """Return if it is; raises DdpmError otherwise."""

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """How to ask whether what a sink writes to is there.

    Attributes:
        name: As people see it.
        key: Sinks that write to the same have the same, and share a probe.
        opened: Makes the probe; nothing is connected before its first look.

    """

    name: str
    key: Hashable
    opened: Callable[[], Probe]


@dataclass(frozen=True, slots=True)
class Wait:
    """That a sink waits, as its engine says it.

    Attributes:
        word: Why, as one word.
        where: What it writes to; several, where more sinks of its kind share their metrics.
        said: What the engine says of it besides.
        changed: Which columns of its table changed, where that is known.

    """

    word: str
    where: str
    said: str | None = None
    changed: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The same in words, and whether a person has to correct it."""

    text: str
    broken: bool = False


class Sink(Model, ABC):
    """A place that documents go to. What begins without an underscore here cannot be the name of a field."""

    kind: ClassVar[str]
    summary: ClassVar[str]
    capabilities: ClassVar[Capabilities] = Capabilities()
    # The key below `app` in which its fields may stand as well, for all pipelines of a file; only for ddpm's own sinks.
    section: ClassVar[str | None] = None
    # The engine's output that it is written by, where that is none of the engine's own.
    engine_output: ClassVar[str] = WRAPPED
    # How the console draws it: paths of SVG, in 18 by 18 pixels, which become strokes.
    icon: ClassVar[tuple[str, ...]] = ("M2.5 5.5 9 2l6.5 3.5v7L9 16l-6.5-3.5Z", "M2.5 5.5 9 9l6.5-3.5M9 9v7")
    # How the engine's metrics of it begin; these are those of an output in `ddpm_sink`.
    metrics_prefix: ClassVar[str] = WRAPPED
    # What of them stands on ddpm's own page of metrics; those of outputs in `ddpm_sink` do anyway.
    families: ClassVar[tuple[EngineFamily, ...]] = ()
    # What the engine's words for waiting mean: what a person has to correct, and what passes by itself.
    broken_words: ClassVar[Mapping[str, str]] = {}
    outage_words: ClassVar[Mapping[str, str]] = {
        "connection": "it cannot be reached",
        "timeout": "it does not answer in time",
    }

    name: SinkName | None = Field(
        default=None, examples=["audit"], description="what it is called beside other sinks; its kind by default"
    )

    @abstractmethod
    def output(self, pipeline: "Pipeline") -> Component:
        """The engine's output, for example `{"ddpm_sink": {"name": …, "output": …}}`."""

    @property
    def shown(self) -> str:
        """What it writes to, for lists: a table, a topic."""
        return self.kind

    @property
    def described(self) -> str:
        """What it writes to, in a sentence."""
        return self.kind if self.shown == self.kind else f"{self.kind} {self.shown}"

    def environment(self) -> dict[str, str]:
        """What the engine must know and no file may hold, by variables of its environment."""
        return {}

    def wait_reason(self, wait: Wait) -> Waiting:
        """What it means that it waits."""
        word, words = wait.word, {**self.outage_words, **self.broken_words}
        text = words[word].format(name=wait.where) if word in words else wait.said or word
        return Waiting(f"{self.kind} sink: {text}", broken=word in self.broken_words)

    def misfit(self, pipeline: "Pipeline") -> str | None:
        """Why it cannot be a sink of that pipeline; None when it can."""
        del pipeline
        return None

    def probes(self, pipeline: "Pipeline") -> tuple[ProbeSpec, ...]:
        """How to ask whether what it writes to is there; the pipeline's own brokers and tables are watched anyway."""
        del pipeline
        return ()

    def provision(self, pipeline: "Pipeline") -> None:
        """Make what it writes to exist; safe to repeat. Raises ServiceError and ConfigError."""
        del pipeline

    def topics_of(self, kafka: Kafka) -> tuple[str, ...]:
        """The topics that it writes on brokers of that source."""
        del kafka
        return ()

    def topics_made(self, kafka: Kafka) -> tuple[str, ...]:
        """Those that ddpm makes there."""
        return self.topics_of(kafka)

    @property
    def row_table(self) -> RowTable | None:
        """Its table, where rows have the identity of the records that they come from."""
        return None

    @property
    def embedded(self) -> bool:
        """Whether ddpm starts the server itself."""
        return False

    def resolved(self, dsn: str) -> Self:
        """The same sink, with the address of the embedded database in place of `embedded`."""
        del dsn
        return self

    def renamed(self, table: str) -> Self:
        """The same sink, with another name for its table, where it has one."""
        del table
        return self

    @property
    def in_flight(self) -> int | None:
        """How many batches may be on their way to it at once; None where it does not matter to it."""
        return None

    def letters(self) -> Component:
        """What the output of dead letters has to know of it, to keep there what no topic takes."""
        return {}

    @classmethod
    def missing_files(cls, given: Mapping[str, str]) -> Iterable[tuple[str, str]]:
        """The fields that name a file which cannot be used, each with what is said of it; `given` may be invalid."""
        del given
        return ()

    @property
    def engine_files(self) -> Iterable[Path]:
        """Files, by their absolute paths, that an engine in a container is given."""
        return ()


class Breaker(Model):
    """`app.dead_letter.breaker`: pause the pipeline once `share` of so many `records` in a row are dead."""

    share: float = Field(
        default=0.5, gt=0, le=1, description="pause the pipeline once such a share of the last records is dead"
    )
    records: int = Field(default=1_000, ge=10, le=1_000_000, description="of so many records in a row")

    @property
    def limit(self) -> int:
        """So many dead records among `records` in a row are too many."""
        return math.ceil(self.share * self.records)


class DeadLetter(Model):
    """`app.dead_letter`: where poison records go, with their original bytes and the reason."""

    topic: TopicName = Field(
        default="failed-messages",
        description="where poison goes, with its key and bytes, and the reason in headers (docs/dead-letters.md)",
    )
    breaker: Breaker | None = Field(
        default=Breaker(), description="pauses the pipeline when too many records in a row are dead; `off` never does"
    )

    @field_validator("breaker", mode="before")
    @classmethod
    def _on_and_off(cls, breaker: object) -> object:
        """Let `on` and `off`, which YAML takes for true and false, stand for the usual breaker and none."""
        if breaker is True or breaker == "on":
            return {}
        return None if breaker is False or breaker == "off" else breaker
