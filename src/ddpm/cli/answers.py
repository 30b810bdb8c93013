"""What the commands read out of the answers of ddpm's HTTP API; what they do not need is left aside.

States and kinds are plain text here: an older command must be able to show what a newer ddpm says.
"""

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Answer(BaseModel):
    """Base of every part of an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Trouble(Answer):
    """Something that went wrong, when it was last seen, and how often."""

    at: AwareDatetime
    message: str
    count: int


class Exit(Answer):
    """How an engine ended, with its last lines, oldest first."""

    replica: int
    at: AwareDatetime
    code: int | None
    signal: str | None
    reason: str
    log: tuple[str, ...]


class Scaling(Answer):
    """How many replicas are wanted, who decides, and why."""

    desired: int
    minimum: int
    maximum: int
    mode: str
    reason: str


class Replica(Answer):
    """One engine."""

    index: int
    state: str
    reason: str
    since: AwareDatetime
    restarts: int
    ready: bool
    pid: int | None
    container: str | None
    next_retry: AwareDatetime | None


class Probe(Answer):
    """The last answer of something that the pipeline depends on."""

    name: str
    ok: bool
    message: str
    age_seconds: float | None


class Lag(Answer):
    """How far behind: records, and how long the oldest waiting one has been waiting."""

    records: int
    seconds: float


class Rates(Answer):
    """Records per second."""

    read: float
    written: float
    dead: float


class Totals(Answer):
    """Records since ddpm started."""

    read: int
    written: int
    dead: int
    duplicates: int


class OpenLetters(Answer):
    """Dead letters that nobody has handled yet, and what was done with others."""

    open: int
    replayed: int
    failed_again: int
    discarded: int


class Pipeline(Answer):
    """One pipeline."""

    name: str
    state: str
    reason: str
    since: AwareDatetime
    wish: str
    restarts: int
    next_retry: AwareDatetime | None
    finished: bool = False
    tripped: bool = False
    last_exit: Exit | None
    config_hash: str = ""
    scaling: Scaling
    replicas: tuple[Replica, ...]
    probes: tuple[Probe, ...]
    lag: Lag | None
    rates: Rates
    totals: Totals
    dead_letters: OpenLetters | None = None


class Pipelines(Answer):
    """All pipelines of a ddpm."""

    version: str
    pipelines: tuple[Pipeline, ...]
    config_changed: str | None = None


class Partition(Answer):
    """How far a pipeline has come in one partition."""

    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int
    seconds: float


class Event(Answer):
    """One thing that happened to a pipeline."""

    id: int
    at: AwareDatetime
    pipeline: str
    kind: str
    message: str
    state: str | None


class Source(Answer):
    """Where the records come from."""

    parser: str
    topics: tuple[str, ...]
    consumer_group: str


class Sink(Answer):
    """Where the documents go."""

    kind: str
    name: str


class DeadLetter(Answer):
    """Where the poison goes."""

    topic: str


class Detail(Pipeline):
    """One pipeline with everything around it; errors and events have the newest first."""

    source: Source
    sinks: tuple[Sink, ...]
    dead_letter: DeadLetter
    partitions: tuple[Partition, ...] | None
    errors: tuple[Trouble, ...]
    events: tuple[Event, ...]
    config_changed: str | None = None


class LogLine(Answer):
    """One line of ddpm's log."""

    id: int
    at: AwareDatetime
    level: str
    pipeline: str | None
    replica: int | None
    message: str
    fields: dict[str, Any]


class LogLines(Answer):
    """Lines of ddpm's log, oldest first."""

    lines: tuple[LogLine, ...]


class Accepted(Answer):
    """A request that is being carried out."""

    message: str
