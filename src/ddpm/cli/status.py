"""`ddpm status`: what every pipeline does and why, once or as long as someone looks."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from ddpm.cli.address import TokenFileOption, UrlOption, resolve
from ddpm.cli.client import AwayError, Client, NotFoundError
from ddpm.cli.configuration import ConfigOption
from ddpm.cli.names import complete_name
from ddpm.cli.output import Terminal, show, write_line
from ddpm.cli.picture import detail, is_well, overview
from ddpm.cli.text import dumped, duration, plain
from ddpm.errors import ExitCode
from ddpm.names import means
from ddpm.server.views import PipelineDetailView, PipelinesView, PipelineView

WATCH_SECONDS = 1.0


def status_command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="One pipeline, with all its details.", show_default=False, autocompletion=complete_name
        ),
    ] = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look every second until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The answer of ddpm's API as it is.")] = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Show what each pipeline does and why; exits with 1 when one is neither running nor paused on request."""
    if watch and as_json:
        raise typer.BadParameter("--watch and --json do not go together; `ddpm events -f --json` follows for tools")
    console = Terminal()
    with Client(resolve(url, token_file, config, os.environ)) as client:
        if watch:
            _watch(client, name, console)
            return
        answer = _ask(client, name)
        seen = _read(client, name, answer)
        pipelines = seen.pipelines
        if as_json:
            write_line(dumped(answer, indent=2))
        else:
            show(console, _picture(seen, console))
    if not all(map(is_well, pipelines)):
        raise typer.Exit(ExitCode.RUNTIME)


def _ask(client: Client, name: str | None) -> Any:  # noqa: ANN401 -- JSON
    if name is None:
        return client.pipelines()
    try:
        return client.pipeline(name)
    except NotFoundError:
        answer = client.pipelines()
        listed = client.read(PipelinesView, answer).pipelines
        parts = [raw for each, raw in zip(listed, answer["pipelines"], strict=True) if means(name, each.name)]
        if not parts:
            raise
        return {**answer, "pipelines": parts}


@dataclass(frozen=True, slots=True)
class _Seen:
    pipelines: tuple[PipelineView, ...] = ()
    config_changed: str | None = None


def _read(client: Client, name: str | None, answer: Any) -> _Seen:  # noqa: ANN401 -- JSON
    if name is None or "pipelines" in answer:
        found = client.read(PipelinesView, answer)
        return _Seen(found.pipelines, found.config_changed)
    only = client.read(PipelineDetailView, answer)
    return _Seen((only,), only.config_changed)


def _picture(seen: _Seen, console: Console) -> RenderableType:
    now, terminal = datetime.now(UTC), console.is_terminal
    match seen.pipelines:
        case (PipelineDetailView() as only,):
            picture = detail(only, now, terminal=terminal)
        case _:
            picture = overview(seen.pipelines, now, terminal=terminal, width=console.width)
    return Group(picture, Text(plain(seen.config_changed), style="yellow")) if seen.config_changed else picture


def _watch(client: Client, name: str | None, console: Console) -> None:
    """Show every second how it is, also that ddpm is away, until Ctrl-C."""
    pictures = _pictures(client, name, console)
    try:
        if not console.is_terminal:
            for picture in pictures:
                show(console, Group(picture, Text()))
            return
        with Live(console=console, auto_refresh=False) as live:
            for picture in pictures:
                live.update(picture, refresh=True)
    except KeyboardInterrupt:
        return


def _pictures(client: Client, name: str | None, console: Console) -> Iterator[RenderableType]:
    last = _Seen()
    answered = time.monotonic()
    while True:
        try:
            last = _read(client, name, _ask(client, name))
        except AwayError as error:
            silent = duration(int(time.monotonic() - answered))
            note = Text(f"{error.message}; since {silent}, asking again every second", style="bold red")
            yield Group(_picture(last, console), note) if last.pipelines else note
        else:
            answered = time.monotonic()
            yield _picture(last, console)
        time.sleep(WATCH_SECONDS)
