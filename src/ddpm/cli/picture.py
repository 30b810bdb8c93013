"""Draws what ddpm says of its pipelines: one table of all, or one pipeline whole. Pure: models and the time go in."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ddpm.cli.text import duration, number, plain
from ddpm.server.views import (
    EventView,
    ExitView,
    LagView,
    OpenLettersView,
    PartitionView,
    PipelineDetailView,
    PipelineView,
    ProbeView,
    ReplicaView,
    TroubleView,
    UnseenPartitionView,
    iso,
)
from ddpm.words import counted

_WELL = frozenset({"running", "paused"})
UNKNOWN = "?"
_STATES: Mapping[str, tuple[str, str | None]] = {
    "starting": ("◌", "cyan"),
    "running": ("●", "green"),
    "degraded": ("◐", "yellow"),
    "recovering": ("↻", "yellow"),
    "paused": ("‖", "blue"),
    "draining": ("↓", "cyan"),
    "stopped": ("■", "bright_black"),
    "failed": ("✗", "bold red"),
}
# From this width on the reason has room in the table itself.
_WIDE = 120
_SHOWN_PARTITIONS = 20
_SHOWN_EVENTS = 10
_SHOWN_ERRORS = 5


def overview(pipelines: Sequence[PipelineView], now: datetime, *, terminal: bool, width: int) -> RenderableType:
    """All pipelines, a row each; the reasons stand below where they have no room.

    Args:
        pipelines: What to draw.
        now: The time from which ages are counted.
        terminal: Whether a person looks at it; else it is plain columns, one line a pipeline, for other tools.
        width: How many columns there are.

    """
    inside = not terminal or width >= _WIDE
    table = _table(terminal=terminal)
    table.collapse_padding = not inside
    units = 2 if inside else 1
    # Where it gets narrow the names give way, no figure does.
    table.add_column("pipeline", overflow="fold", no_wrap=not terminal)
    table.add_column("state", no_wrap=True)
    # Open letters, whichever ddpm wrote them: a count since the start would be 0 after a restart.
    for title in ("since", "rate", "lag", "dead", "replicas", "restarts"):
        table.add_column(title, justify="right", no_wrap=True)
    if inside:
        table.add_column("reason", no_wrap=not terminal)
    for each in pipelines:
        cells = (
            Text(plain(each.name)),
            state_text(each.state, terminal=terminal),
            Text(_age(each.since, now, units)),
            Text(f"{number(each.rates.written)}/s"),
            Text(_lag(each.lag, units)),
            open_letters(each),
            Text(replicas_text(each)),
            Text(str(each.restarts)),
        )
        table.add_row(*cells, *([Text(_reason(each, now))] if inside else []))
    if inside:
        return table
    return Group(table, *(Text(f" {plain(each.name)}: {_reason(each, now)}") for each in pipelines))


def detail(pipeline: PipelineDetailView, now: datetime, *, terminal: bool) -> RenderableType:
    """One pipeline with its probes, replicas, partitions, last exit, errors and events."""
    sections: list[RenderableType] = [_head(pipeline, now, terminal=terminal)]
    sections += _section("probes", _probes(pipeline.probes, terminal=terminal))
    sections += _section("replicas", _replica_rows(pipeline.replicas, now, terminal=terminal))
    if pipeline.partitions:
        sections += _section("partitions", _partitions(pipeline.partitions, terminal=terminal))
    if pipeline.unseen:
        sections += _section("partitions without an answer", _unseen(pipeline.unseen))
    if pipeline.last_exit is not None:
        sections += _section("last exit", _exit(pipeline.last_exit, now))
    if pipeline.errors:
        sections += _section("last errors", _errors(pipeline.errors[:_SHOWN_ERRORS], now))
    if pipeline.events:
        sections += _section("events", Group(*map(event_text, reversed(pipeline.events[:_SHOWN_EVENTS]))))
    return Group(*sections)


def is_well(pipeline: PipelineView) -> bool:
    """Whether nobody has to look after a pipeline: it runs, is paused on request, or has done its bounded work."""
    return (pipeline.state in _WELL or pipeline.finished) and not pipeline.tripped


def state_text(state: str, *, terminal: bool = True) -> Text:
    """A state as a coloured word with its symbol; the word alone for other tools."""
    symbol, style = _STATES.get(state, ("?", None))
    return Text(f"{symbol} {plain(state)}" if terminal else plain(state), style=style or "")


def event_text(event: EventView) -> Text:
    """An event on one line: when, what kind, which pipeline, and what happened."""
    text = Text().append(iso(event.at), style="bright_black").append(f" {plain(event.kind):<7} ")
    text.append(plain(event.pipeline), style="cyan")
    if event.state is not None:
        text.append(" ").append(plain(event.state), style=_STATES.get(event.state, ("", None))[1])
    return text.append(f" {plain(event.message)}")


def _table(*, terminal: bool) -> Table:
    return Table(box=box.SIMPLE_HEAD if terminal else None, pad_edge=terminal, header_style="bold", padding=(0, 1))


def _head(each: PipelineDetailView, now: datetime, *, terminal: bool) -> RenderableType:
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bright_black", no_wrap=True)
    rows.add_column()
    state = Text().append_text(state_text(each.state, terminal=terminal)).append(f" for {_age(each.since, now)}")
    sinks = ", ".join(f"{sink.kind} {sink.name}" if sink.name != sink.kind else sink.kind for sink in each.sinks)
    source = f"{', '.join(each.source.topics)} as {each.source.consumer_group}, parsed as {each.source.parser}"
    rates, totals, scaling = each.rates, each.totals, each.scaling
    done = f"{number(totals.read)} read, {number(totals.written)} written, {number(totals.dead)} dead"
    if totals.duplicates:
        done += f", {number(totals.duplicates)} skipped as duplicates"
    scale = {"fixed": "as configured", "manual": "as requested", "lag": f"{scaling.minimum}-{scaling.maximum} by lag"}
    why = f": {scaling.reason}" if scaling.reason else ""
    for name, value in (
        ("pipeline", Text(plain(each.name), style="bold")),
        ("state", state),
        ("reason", Text(_reason(each, now))),
        ("source", Text(plain(source))),
        ("sinks", Text(plain(f"{sinks}; dead letters to {each.dead_letter.topic}"))),
        ("rate", Text(f"{number(rates.read)}/s read, {number(rates.written)}/s written, {number(rates.dead)}/s dead")),
        ("records", Text(done)),
        ("dead letters", Text(_letters(each.dead_letters))),
        ("lag", Text(_lag(each.lag))),
        ("replicas", Text(plain(f"{replicas_text(each)}, {scale.get(scaling.mode, scaling.mode)}{why}"))),
        ("restarts", Text(str(each.restarts))),
    ):
        rows.add_row(name, value)
    return rows


def open_letters(each: PipelineView) -> Text:
    """How many dead letters are open; red when some are."""
    if each.dead_letters is None:
        return Text("?")
    return Text(number(each.dead_letters.open), style="red" if each.dead_letters.open else "")


def _letters(letters: OpenLettersView | None) -> str:
    if letters is None:
        return "not known yet"
    handled = f"{number(letters.replayed)} replayed, {number(letters.discarded)} discarded"
    return f"{number(letters.open)} open, {handled}"


def _section(title: str, body: RenderableType) -> tuple[RenderableType, ...]:
    return (Text(f"\n{title}", style="bold"), Padding(body, (0, 0, 0, 2)))


def _probes(probes: Sequence[ProbeView], *, terminal: bool) -> RenderableType:
    rows = Table.grid(padding=(0, 2))
    for probe in probes:
        word, style = ("ok", "green") if probe.ok else ("bad", "red")
        if probe.age_seconds is None:
            word, style = "not asked yet", "bright_black"
        symbol = {"ok": "✓ ", "bad": "✗ "}.get(word, "") if terminal else ""
        age = "" if probe.age_seconds is None else f"{duration(probe.age_seconds)} ago"
        rows.add_row(Text(plain(probe.name)), Text(symbol + word, style=style), age, Text(plain(probe.message)))
    return rows


def _replica_rows(replicas: Iterable[ReplicaView], now: datetime, *, terminal: bool) -> RenderableType:
    rows = Table.grid(padding=(0, 2))
    for each in replicas:
        reason = plain(each.reason)
        if each.next_retry is not None:
            reason += f"; next start in {_age(now, each.next_retry)}"
        rows.add_row(
            Text(str(each.index)),
            state_text(each.state, terminal=terminal),
            f"for {_age(each.since, now)}",
            plain(each.container or ("" if each.pid is None else f"pid {each.pid}")),
            counted(each.restarts, "restart"),
            Text(reason),
        )
    return rows if rows.rows else Text("none")


def _partitions(partitions: Sequence[PartitionView], *, terminal: bool) -> RenderableType:
    table = _table(terminal=terminal)
    for title in ("topic", "partition", "committed", "end", "lag", "behind"):
        table.add_column(title, justify="left" if title == "topic" else "right", no_wrap=True)
    shown: Sequence[PartitionView] = partitions
    if len(partitions) > _SHOWN_PARTITIONS:
        shown = sorted(partitions, key=lambda each: each.lag, reverse=True)[:_SHOWN_PARTITIONS]
    for each in shown:
        committed = UNKNOWN if each.committed is None else str(each.committed)
        behind = duration(each.seconds) if each.lag else "-"
        cells = (plain(each.topic), str(each.partition), committed, str(each.end), number(each.lag), behind)
        table.add_row(*map(Text, cells))
    left = len(partitions) - len(shown)
    return Group(table, Text(f"and {left} more with less lag; --json has them all")) if left else table


def _unseen(unseen: Sequence[UnseenPartitionView]) -> RenderableType:
    left = len(unseen) - _SHOWN_PARTITIONS
    rows = [Text(plain(each.reason), style="red") for each in unseen[:_SHOWN_PARTITIONS]]
    return Group(*rows, *([Text(f"and {left} more; --json has them all")] if left > 0 else []))


def _exit(last: ExitView, now: datetime) -> RenderableType:
    how = f"signal {last.signal}" if last.code is None else f"code {last.code}"
    head = f"replica {last.replica}, {how}, {_age(last.at, now)} ago: {last.reason}"
    return Group(Text(plain(head)), *(Text(f"  {plain(line)}", style="bright_black") for line in last.log))


def _errors(errors: Iterable[TroubleView], now: datetime) -> RenderableType:
    rows = Table.grid(padding=(0, 2))
    for each in errors:
        times = counted(each.count, "time") if each.count > 1 else ""
        rows.add_row(f"{_age(each.at, now)} ago", times, Text(plain(each.message), style="red"))
    return rows


def _reason(each: PipelineView, now: datetime) -> str:
    retry = "" if each.next_retry is None else f"; next start in {_age(now, each.next_retry)}"
    return plain(each.reason) + retry


def replicas_text(each: PipelineView) -> str:
    """How many engines are ready, of how many."""
    ready = sum(replica.ready and replica.state == "running" for replica in each.replicas)
    return f"{ready}/{each.scaling.desired}"


def _lag(lag: LagView | None, units: int = 2) -> str:
    if lag is None:
        return UNKNOWN
    return f"{number(lag.records)} ({duration(lag.seconds, units)})" if lag.records else "0"


def _age(since: datetime, now: datetime, units: int = 2) -> str:
    # Whole seconds, and none before it began: the clocks of two machines differ.
    return duration(max(0, int((now - since).total_seconds())), units)
