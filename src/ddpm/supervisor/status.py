"""What anyone may know about a pipeline: immutable pictures that the supervisor hands out.

All times are wall-clock seconds since 1970; all rates are per second.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ddpm.supervisor.states import DesiredState, State


@dataclass(frozen=True, slots=True)
class Probe:
    """The last answer of something that a pipeline depends on.

    Attributes:
        name: What was asked, as people know it: `engine 0`, `kafka`, `postgres`.
        kind: Which of the three it is; a pipeline may have several of a kind.
        ok: Whether it answered, and well.
        message: What is wrong; empty when all is well.
        at: When the answer came; None while there was none yet.
        broken: Whether what is wrong waits for a person.

    """

    name: str
    kind: Literal["engine", "broker", "sink"]
    ok: bool
    message: str
    at: float | None
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Exit:
    """How an engine ended: `code` is None when a signal did it, `log` its last lines, oldest first."""

    replica: int
    at: float
    code: int | None
    signal: str | None
    reason: str
    log: tuple[str, ...]
    config_hash: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that went wrong, and when it was last seen; `count` says how often in a row."""

    at: float
    message: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """One engine of a pipeline.

    `pid` and `url` are None while none runs, and as long as they are not known; `container` is the name of the
    container that it runs in.
    """

    index: int
    state: State
    reason: str
    since: float
    restarts: int
    ready: bool
    pid: int | None
    container: str | None
    url: str | None
    next_retry: float | None


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """How far a pipeline has come in one partition.

    Attributes:
        topic: The topic.
        partition: The partition's number.
        committed: The offset that will be read next; None when none was ever committed.
        end: The offset that the next record will get.
        lag: Offsets between them.
        seconds: How long the oldest record between them has been waiting; 0 without lag.
        expired: Offsets that the topic's retention has removed before they were committed.

    """

    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int
    seconds: float
    expired: int = 0


@dataclass(frozen=True, slots=True)
class UnseenPartition:
    """A partition of which the cluster does not say how far the pipeline has come, and why: its leader is down, say."""

    topic: str
    partition: int
    reason: str


@dataclass(frozen=True, slots=True)
class PartitionAudit:
    """What became of what was read from one partition since ddpm started, over all replicas and restarts.

    Attributes:
        read: Records, redeliveries included.
        documents: What the parser made of them.
        filtered: Documents that processors dropped.
        rows: Rows that were committed.
        redelivered: Duplicates of records that may have been read before: after a restart or a rebalance.
        unexpected: Duplicates of records that cannot have been read before.
        dead: Dead letters.
        missing: Documents that are none of these though their offset is committed.

    """

    read: int
    documents: int
    filtered: int
    rows: int
    redelivered: int
    unexpected: int
    dead: int
    missing: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Records per second over the last seconds: read from the source, written to the sinks, dead-lettered."""

    read: float
    written: float
    dead: float


@dataclass(frozen=True, slots=True)
class Totals:
    """Records since ddpm started, over all replicas and restarts; `duplicates` are redeliveries that were skipped."""

    read: int
    written: int
    dead: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class History:
    """The near past for sparklines: equally long series, oldest first, one value every `step` seconds.

    `rate` is of records written, `dead` of dead letters, both per second.
    """

    step: float
    lag: tuple[float, ...]
    rate: tuple[float, ...]
    dead: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many replicas run and why.

    `mode` says who decides: the configuration, a person, or the lag. `ups` and `downs` count the decisions made since
    ddpm started.
    """

    desired: int
    minimum: int
    maximum: int
    mode: Literal["fixed", "manual", "lag"]
    reason: str
    ups: int = 0
    downs: int = 0


@dataclass(frozen=True, slots=True)
class OpenLetters:
    """How many dead letters are not handled yet, when the oldest of them failed, and what was done with others.

    The counts are of all that Kafka remembers, whichever ddpm or command did it.
    """

    open: int
    oldest: float | None
    replayed: int
    failed_again: int
    discarded: int


@dataclass(frozen=True, slots=True)
class Status:
    """One pipeline, whole.

    `finished` when it ended because its bounded work was done; `expired` is how many offsets retention has removed
    before they were read, by topic and partition; `dead_letters` is None while that is not known; `tripped` while it is
    paused because too many records were dead, which happened `trips` times since ddpm started; `external` when others
    start and end its engine; `audit` is what became of what was read, by topic and partition; `config_since` is when
    the configuration of `config_hash` came into force; `unseen` are partitions that are missing among `partitions`, and
    in the lag.
    """

    name: str
    state: State
    reason: str
    since: float
    wish: DesiredState
    restarts: int
    next_retry: float | None
    last_error: Trouble | None
    last_exit: Exit | None
    config_hash: str
    scaling: Scaling
    replicas: tuple[ReplicaStatus, ...]
    probes: tuple[Probe, ...]
    partitions: tuple[PartitionStatus, ...] | None
    rates: Rates
    totals: Totals
    history: History
    finished: bool = False
    expired: Mapping[tuple[str, int], int] = field(default_factory=dict)
    dead_letters: OpenLetters | None = None
    tripped: bool = False
    trips: int = 0
    external: bool = False
    audit: Mapping[tuple[str, int], PartitionAudit] = field(default_factory=dict)
    config_since: float | None = None
    unseen: tuple[UnseenPartition, ...] = ()

    @property
    def lag(self) -> int | None:
        """Offsets behind, over all partitions of which it is known; None while it is of none."""
        return None if self.partitions is None else sum(partition.lag for partition in self.partitions)

    @property
    def seconds_behind(self) -> float | None:
        """How long the oldest waiting record has been waiting; None while unknown."""
        return None if self.partitions is None else max((each.seconds for each in self.partitions), default=0.0)
