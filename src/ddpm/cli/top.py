"""`ddpm top`: a live view of all pipelines in the terminal, sorted by what matters."""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ddpm.cli.address import TokenFileOption, UrlOption, resolve
from ddpm.cli.client import AwayError, Client, RefusedError
from ddpm.cli.configuration import ConfigOption
from ddpm.cli.output import Terminal, show
from ddpm.cli.picture import UNKNOWN, is_well, open_letters, replicas_text, state_text
from ddpm.cli.text import duration, number, plain
from ddpm.engine.exposition import samples
from ddpm.server.views import PipelinesView, PipelineView
from ddpm.words import counted

REFRESH_SECONDS = 2.0
_CPU, _MEMORY = "ddpm_engine_cpu_seconds_total", "ddpm_engine_resident_memory_bytes"
_BARS = "▁▂▃▄▅▆▇█"
# From these widths on there is room for a figure, for the word of a state, a picture of the rate, and the reason.
_FIGURES = {
    "read/s": 100,
    "written/s": 0,
    "lag": 0,
    "behind": 90,
    "dead": 0,
    "engines": 90,
    "cpu": 0,
    "memory": 0,
}
_FOR_STATE = 72
_FOR_CHART, _FOR_REASON = 110, 140
_CHART_POINTS = 16
_MEGABYTE = 1_000_000


class SortKey(StrEnum):
    """What pipelines are sorted by; names upwards, everything else downwards."""

    LAG = "lag"
    WRITTEN = "written"
    DEAD = "dead"
    CPU = "cpu"
    MEMORY = "memory"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Used:
    """What the engines of a pipeline use: CPUs, None until it was asked twice, and bytes of memory."""

    cpu: float | None
    memory: float


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment; `note` says why it is no newer."""

    at: datetime
    pipelines: tuple[PipelineView, ...] = ()
    used: Mapping[str, Used] = field(default_factory=dict)
    note: str | None = None


def top_command(
    *,
    sort: Annotated[SortKey, typer.Option(help="What to sort by; while it runs its first letter does.")] = SortKey.LAG,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Show all pipelines live: state, rates, lag, dead letters, CPU and memory of their engines; q ends."""
    console = Terminal()
    with Client(resolve(url, token_file, config, os.environ)) as client:
        eyes = Eyes(client)
        if not console.is_terminal:
            show(console, picture(eyes.look(), sort, None))
            return
        try:
            _live(eyes, console, sort)
        except KeyboardInterrupt:
            return


class Eyes:
    """Looks at a ddpm again and again; CPU time is what was used between two looks."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._last = Look(datetime.now(UTC))
        self._cpu: dict[tuple[str, str], float] = {}
        self._looked = 0.0

    def look(self) -> Look:
        """What is to be seen now; raises as `Client.get` does when that is nothing, and nothing was seen before."""
        try:
            seen = self._client.read(PipelinesView, self._client.pipelines())
            self._last = Look(datetime.now(UTC), seen.pipelines, self._used())
        except AwayError as error:
            if not self._last.pipelines:
                raise
            away = duration(int((datetime.now(UTC) - self._last.at).total_seconds()))
            return Look(self._last.at, self._last.pipelines, self._last.used, f"{error.message}; since {away}")
        return self._last

    def _used(self) -> dict[str, Used]:
        try:
            page = self._client.page("/metrics")
        except RefusedError:
            # It needs a token of its own kind: the rest is shown without.
            return {}
        now, passed = time.monotonic(), time.monotonic() - self._looked
        cpu: dict[tuple[str, str], float] = {}
        memory: dict[str, float] = {}
        for each in samples(page, {_CPU, _MEMORY}):
            name = each.labels.get("pipeline", "")
            if each.name == _MEMORY:
                memory[name] = memory.get(name, 0.0) + each.value
            else:
                cpu[name, each.labels.get("replica", "")] = each.value
        before, self._cpu = self._cpu, cpu
        first, self._looked = self._looked == 0.0, now
        used: dict[str, float] = {}
        for (name, replica), seconds in cpu.items():
            # One that was started since then begins at nothing.
            grown = seconds - before.get((name, replica), 0.0)
            used[name] = used.get(name, 0.0) + (grown if grown >= 0 else seconds) / passed
        return {name: Used(None if first else used.get(name, 0.0), size) for name, size in memory.items()}


def picture(look: Look, sort: SortKey, width: int | None) -> RenderableType:
    """A head with sums, and a row for each pipeline.

    Args:
        look: What was seen.
        sort: What to sort by.
        width: How many columns a terminal has; None where a tool reads it.

    """
    table = Table(box=box.SIMPLE_HEAD if width else None, pad_edge=False, header_style="bold", padding=(0, 1))
    table.collapse_padding = width is not None and width < _FOR_STATE
    table.add_column("pipeline", overflow="fold", no_wrap=width is None)
    table.add_column("state", no_wrap=True)
    titles = [title for title, least in _FIGURES.items() if width is None or width >= least]
    for title in titles:
        chosen = sort.value in (title, title.removesuffix("/s"))
        heading = Text(f"{title}▾" if chosen and width else title)
        table.add_column(heading, justify="right", no_wrap=True)
    chart, reason = width is None or width >= _FOR_CHART, width is None or width >= _FOR_REASON
    if chart and width:
        table.add_column("written", no_wrap=True)
    if reason:
        table.add_column("reason", no_wrap=width is None)
    for each in ordered(look, sort):
        figures = _figures(each, look.used.get(each.name))
        state = state_text(each.state, terminal=width is not None)
        cells = [Text(plain(each.name)), state if width is None or width >= _FOR_STATE else state[:1]]
        cells += [figures[title] for title in titles]
        drawn = [Text(spark(each.history.rate), style="cyan")] if chart and width else []
        table.add_row(*cells, *drawn, *([Text(plain(each.reason))] if reason else []))
    parts: list[RenderableType] = [_head(look), table] if width else [table]
    if look.note:
        parts.append(Text(plain(look.note), style="bold red"))
    if width:
        keys = ", ".join(f"{each.value[0]} {each.value}" for each in SortKey)
        parts.append(Text(f"q quit, {keys}", style="bright_black"))
    return Group(*parts)


def ordered(look: Look, sort: SortKey) -> list[PipelineView]:
    """The pipelines, the most remarkable first; what is not known comes before everything that is."""
    unknown = float("inf")
    nothing = Used(0.0, 0.0)
    figures: Mapping[SortKey, Callable[[PipelineView], float]] = {
        SortKey.LAG: lambda each: each.lag.records if each.lag else unknown,
        SortKey.WRITTEN: lambda each: each.rates.written,
        SortKey.DEAD: lambda each: each.dead_letters.open if each.dead_letters else unknown,
        SortKey.CPU: lambda each: look.used.get(each.name, nothing).cpu or 0.0,
        SortKey.MEMORY: lambda each: look.used.get(each.name, nothing).memory,
    }
    by_name = sorted(look.pipelines, key=lambda each: each.name)
    return by_name if sort is SortKey.NAME else sorted(by_name, key=figures[sort], reverse=True)


def spark(values: Sequence[float]) -> str:
    """The newest values as bars between nothing and the largest."""
    shown = values[-_CHART_POINTS:]
    most = max(shown, default=0.0)
    if most <= 0:
        return _BARS[0] * len(shown)
    return "".join(_BARS[min(len(_BARS) - 1, int(value / most * len(_BARS)))] for value in shown)


def _figures(each: PipelineView, used: Used | None) -> dict[str, Text]:
    lag = each.lag
    cpu = "-" if used is None or used.cpu is None else f"{used.cpu * 100:.0f}%"
    return {
        "read/s": Text(number(each.rates.read)),
        "written/s": Text(number(each.rates.written)),
        "lag": Text(UNKNOWN if lag is None else number(lag.records)),
        "behind": Text("-" if lag is None or not lag.records else duration(lag.seconds, 1)),
        "dead": open_letters(each),
        "engines": Text(replicas_text(each)),
        "cpu": Text(cpu),
        "memory": Text("-" if used is None else f"{number(used.memory / _MEGABYTE)} MB"),
    }


def _head(look: Look) -> Text:
    well = sum(map(is_well, look.pipelines))
    written = sum(each.rates.written for each in look.pipelines)
    lag = sum(each.lag.records for each in look.pipelines if each.lag)
    dead = sum(each.dead_letters.open for each in look.pipelines if each.dead_letters)
    bad = len(look.pipelines) - well
    text = Text.assemble(("ddpm ", "bold"), f"{look.at:%H:%M:%S}  ", f"{counted(len(look.pipelines), 'pipeline')}, ")
    text.append(f"{bad} not well" if bad else "all well", style="bold red" if bad else "green")
    return text.append(f"  {number(written)}/s written  lag {number(lag)}  {counted(dead, 'open dead letter')}")


def _live(eyes: Eyes, console: Console, sort: SortKey) -> None:
    by_key = {each.value[0]: each for each in SortKey}
    with _keys() as pressed, Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            look, until = eyes.look(), time.monotonic() + REFRESH_SECONDS
            live.update(picture(look, sort, console.width), refresh=True)
            while (left := until - time.monotonic()) > 0:
                key = pressed(left)
                if key == "q":
                    return
                if key in by_key:
                    sort = by_key[key]
                    live.update(picture(look, sort, console.width), refresh=True)


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Yield what waits so many seconds for a key, and returns an empty text when none was pressed."""
    if not sys.stdin.isatty():
        yield _nothing_pressed
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield lambda seconds: os.read(descriptor, 1).decode(errors="replace") if _ready(descriptor, seconds) else ""
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _nothing_pressed(seconds: float) -> str:
    time.sleep(seconds)
    return ""


def _ready(descriptor: int, seconds: float) -> bool:
    return bool(select.select([descriptor], [], [], seconds)[0])
