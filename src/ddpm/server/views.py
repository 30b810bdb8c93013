"""What the HTTP API says: the shapes of its answers, and how a status becomes one. Times are ISO 8601 in UTC.

Server and commands read and write the same models. States, kinds and modes are text for readers: an older command
must be able to show what a newer ddpm says; its OpenAPI document names those that there are.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

import ddpm
from ddpm.names import sink_of, whole_of
from ddpm.supervisor.events import Event, Kind
from ddpm.supervisor.states import DesiredState, State
from ddpm.supervisor.status import PartitionStatus, Status


def from_epoch(seconds: float) -> datetime:
    """The moment so many seconds after the beginning of 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def iso(at: datetime) -> str:
    """A moment as answers and logs write it: ISO 8601 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _from_seconds(value: object) -> object:
    return from_epoch(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def one_of(*names: str) -> WithJsonSchema:
    """The schema of a text that is one of these; another ddpm may know more."""
    return WithJsonSchema({"type": "string", "enum": list(names)})


Time = Annotated[
    AwareDatetime, BeforeValidator(_from_seconds), PlainSerializer(iso, return_type=str), Field(description="ISO 8601")
]
StateName = Annotated[str, one_of(*State)]
DesiredStateName = Annotated[str, one_of(*DesiredState)]
KindName = Annotated[str, one_of(*get_args(Kind))]


class View(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(frozen=True)


class TroubleView(View):
    """Something that went wrong, when it was last seen, and how often in a row."""

    at: Time
    message: str
    count: int


class ExitView(View):
    """How an engine ended; `code` is null when a signal did it."""

    replica: int
    at: Time
    code: int | None
    signal: str | None
    reason: str
    log: tuple[str, ...]
    config_hash: str


class ScalingView(View):
    """How many replicas run and who decides it."""

    desired: int
    minimum: int
    maximum: int
    mode: Annotated[str, one_of("fixed", "manual", "lag")]
    reason: str
    ups: int
    downs: int


class ReplicaView(View):
    """One engine; `container` is the name of the container that it runs in."""

    index: int
    state: StateName
    reason: str
    since: Time
    restarts: int
    ready: bool
    pid: int | None
    container: str | None
    next_retry: Time | None


class ProbeView(View):
    """The last answer of something that the pipeline depends on; its age is null while there was none."""

    name: str
    kind: Annotated[str, one_of("engine", "broker", "sink")]
    ok: bool
    message: str
    age_seconds: float | None


class LagView(View):
    """How far behind: offsets, and how long the oldest waiting record has been waiting."""

    records: int
    seconds: float


class RatesView(View):
    """Records per second."""

    read: float
    written: float
    dead: float


class TotalsView(View):
    """Records since ddpm started."""

    read: int
    written: int
    dead: int
    duplicates: int


class OpenLettersView(View):
    """Dead letters that are not handled yet, when the oldest of them failed, and what was done with others."""

    open: int
    oldest: Time | None
    replayed: int
    failed_again: int
    discarded: int


class HistoryView(View):
    """Series for sparklines, oldest first, one value every `step` seconds; `rate` and `dead` are per second."""

    step: float
    lag: tuple[float, ...]
    rate: tuple[float, ...]
    dead: tuple[float, ...]


class PipelineView(View):
    """One pipeline; `tripped` while the breaker keeps it paused.

    Where each sink of a pipeline is run by itself, `part_of` is the pipeline and `sink` the sink's name.
    """

    name: str
    part_of: str | None = None
    sink: str | None = None
    state: StateName
    reason: str
    since: Time
    wish: DesiredStateName
    restarts: int
    next_retry: Time | None
    last_error: TroubleView | None
    last_exit: ExitView | None
    config_hash: str
    config_since: Time | None = None
    scaling: ScalingView
    replicas: tuple[ReplicaView, ...]
    probes: tuple[ProbeView, ...]
    lag: LagView | None
    rates: RatesView
    totals: TotalsView
    history: HistoryView
    finished: bool
    tripped: bool
    dead_letters: OpenLettersView | None


class ConfigurationView(View):
    """The configuration that runs: what names it, and since when it does."""

    hash: str
    since: Time


class PipelinesView(View):
    """All pipelines of this ddpm; `config_changed` says that the files it was started with are others by now."""

    version: str = ddpm.__version__
    pipelines: tuple[PipelineView, ...]
    config_changed: str | None = None
    configuration: ConfigurationView | None = None


class SourceView(View):
    """Where the records come from."""

    parser: str
    brokers: tuple[str, ...]
    topics: tuple[str, ...]
    consumer_group: str


class ProcessorView(View):
    """One step of the user's code."""

    kind: Annotated[str, one_of("mapping", "filter")]


class SinkView(View):
    """Where the documents go; `icon` are paths of SVG in 18 by 18 pixels, to be drawn by strokes."""

    kind: str
    name: str
    icon: tuple[str, ...] = ()


class DeadLetterView(View):
    """Where the poison goes."""

    topic: str


class Description(View):
    """What a pipeline is, as its configuration says; `config` is the engine's, with secrets masked."""

    source: SourceView
    processors: tuple[ProcessorView, ...]
    sinks: tuple[SinkView, ...]
    dead_letter: DeadLetterView
    config: str


class PartitionAuditView(View):
    """What became of what was read from one partition since ddpm started.

    Documents are `filtered` by processors, `rows`, `redelivered` or `unexpected` duplicates, or `dead`; those that are
    none of these though their offset is committed are `missing`.
    """

    read: int
    documents: int
    filtered: int
    rows: int
    redelivered: int
    unexpected: int
    dead: int
    missing: int


class PartitionView(View):
    """How far a pipeline has come in one partition; `expired` offsets were removed before they were read."""

    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int
    seconds: float
    expired: int
    audit: PartitionAuditView | None


class UnseenPartitionView(View):
    """A partition of which the cluster does not say how far the pipeline has come, and why."""

    topic: str
    partition: int
    reason: str


class EventView(View):
    """One thing that happened."""

    id: int
    at: Time
    pipeline: str
    kind: KindName
    message: str
    state: str | None


class PipelineDetailView(PipelineView, Description):
    """One pipeline, with all its details; errors and events have the newest first.

    `unseen` are partitions that are missing among `partitions` and in the lag.
    """

    partitions: tuple[PartitionView, ...] | None
    unseen: tuple[UnseenPartitionView, ...] = ()
    errors: tuple[TroubleView, ...]
    events: tuple[EventView, ...]
    config_changed: str | None = None


class LogLineView(View):
    """One line of the log."""

    id: int
    at: Time
    level: str
    pipeline: str | None
    replica: int | None
    message: str
    fields: dict[str, Any]


class LogLinesView(View):
    """The newest lines of the log, oldest first."""

    lines: tuple[LogLineView, ...]


class AcceptedView(View):
    """A request that is being carried out."""

    pipeline: str
    accepted: Annotated[str, one_of("restart", "pause", "resume", "drain", "scale")]
    message: str


class ErrorText(View):
    """What is wrong, and the way out."""

    message: str
    hint: str | None = None


class ErrorView(View):
    """The answer to a request that cannot be carried out: problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    hint: str | None = None
    problems: tuple[dict[str, Any], ...] = Field((), description="those of a configuration, as `ddpm validate --json`")
    error: ErrorText


class HealthReplicaView(View):
    """One engine process, for probes."""

    index: int
    state: StateName
    ready: bool
    pid: int | None


class HealthPipelineView(View):
    """One pipeline, for probes."""

    name: str
    ok: bool
    state: StateName
    reason: str
    since: Time
    restarts: int
    probes: tuple[ProbeView, ...]
    replicas: tuple[HealthReplicaView, ...]


class HealthView(View):
    """Whether all is well; `culprits` names what is not."""

    status: Literal["ok", "unavailable"]
    culprits: tuple[str, ...]
    pipelines: tuple[HealthPipelineView, ...]
    warnings: tuple[str, ...] = Field((), description="what somebody should look at, though all pipelines work")


class LiveView(View):
    """Whether ddpm itself is alive."""

    status: Literal["ok", "stuck"]


def pipeline_view(status: Status, now: float) -> PipelineView:
    """A status at `now` (seconds since 1970)."""
    return PipelineView(**_fields(status, now))


def detail_view(
    status: Status,
    description: Description,
    errors: tuple[TroubleView, ...],
    events: list[Event],
    now: float,
    *,
    config_changed: str | None,
) -> PipelineDetailView:
    """A status with everything around it; `events` come newest first."""
    partitions = status.partitions
    return PipelineDetailView(
        **_fields(status, now),
        **{name: getattr(description, name) for name in Description.model_fields},
        partitions=None if partitions is None else tuple(_partition(status, each) for each in partitions),
        errors=errors,
        events=tuple(event_view(event) for event in events),
        config_changed=config_changed,
    )


def _partition(status: Status, seen: PartitionStatus) -> PartitionView:
    audit = status.audit.get((seen.topic, seen.partition))
    return PartitionView(**asdict(seen), audit=None if audit is None else PartitionAuditView(**asdict(audit)))


def event_view(event: Event) -> EventView:
    """An event."""
    return EventView(**asdict(event))


def health_view(statuses: tuple[Status, ...], *, alive: bool, now: float, warnings: tuple[str, ...] = ()) -> HealthView:
    """Whether all is well at `now`: all pipelines run, are paused by a person or have done their work."""
    pipelines = tuple(_health_of(status, now) for status in statuses)
    culprits = [f"{each.name} is {each.state}: {each.reason}" for each in pipelines if not each.ok]
    if not alive:
        culprits.append("the supervisor's loop does not tick")
    state: Literal["ok", "unavailable"] = "unavailable" if culprits else "ok"
    return HealthView(status=state, culprits=tuple(culprits), pipelines=pipelines, warnings=warnings)


_WELL = frozenset({State.RUNNING, State.PAUSED})


def _health_of(status: Status, now: float) -> HealthPipelineView:
    return HealthPipelineView(
        name=status.name,
        ok=(status.state in _WELL and not status.tripped) or status.finished,
        state=status.state,
        reason=status.reason,
        since=from_epoch(status.since),
        restarts=status.restarts,
        probes=_probes(status, now),
        replicas=tuple(
            HealthReplicaView(index=each.index, state=each.state, ready=each.ready, pid=each.pid)
            for each in status.replicas
        ),
    )


def _probes(status: Status, now: float) -> tuple[ProbeView, ...]:
    return tuple(
        ProbeView(
            name=probe.name,
            kind=probe.kind,
            ok=probe.ok,
            message=probe.message,
            age_seconds=None if probe.at is None else round(max(0.0, now - probe.at), 3),
        )
        for probe in status.probes
    )


def _fields(status: Status, now: float) -> dict[str, Any]:
    lag, seconds = status.lag, status.seconds_behind
    fields = asdict(status)
    del fields["partitions"]
    sink = sink_of(status.name)
    return fields | {
        "part_of": None if sink is None else whole_of(status.name),
        "sink": sink,
        "probes": _probes(status, now),
        "lag": None if lag is None or seconds is None else LagView(records=lag, seconds=seconds),
    }
