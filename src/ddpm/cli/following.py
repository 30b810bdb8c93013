"""`ddpm logs` and `ddpm events`: the newest lines and events of a running ddpm, and those to come."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import typer
from rich.console import Console
from rich.text import Text

from ddpm.cli.address import TokenFileOption, UrlOption, resolve
from ddpm.cli.client import AwayError, Client, ForeignError, Params
from ddpm.cli.configuration import ConfigOption
from ddpm.cli.names import complete_name, meant
from ddpm.cli.output import Terminal, write_line
from ddpm.cli.picture import event_text
from ddpm.cli.text import dumped, plain
from ddpm.server.views import EventView, LogLinesView, LogLineView, PipelineDetailView, PipelinesView, iso

RECONNECT_SECONDS = 1.0
# As many as ddpm keeps.
ALL_LINES = 2_000

_LEVEL_STYLES = {"warning": "yellow", "error": "red", "critical": "bold red", "fatal": "bold red", "debug": "green"}
# Tracebacks are the one thing that is printed on several lines.
_BLOCKS = ("exception", "stack")

NameArgument = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="Only this pipeline's.", show_default=False, autocompletion=complete_name),
]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line, as ddpm's API gives it.")]


def logs_command(
    name: NameArgument = None,
    *,
    follow: FollowOption = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=ALL_LINES, help="How many of the newest.")] = 100,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Show the newest lines of ddpm's log, its engines' among them."""
    with Client(resolve(url, token_file, config, os.environ)) as client:
        show_feed(_Logs(client, name), client, Printer(as_json), follow=follow, count=lines)


def events_command(
    name: NameArgument = None,
    *,
    follow: FollowOption = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the newest.")] = 20,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Show what happened to the pipelines: states, exits, requests, changes of scale."""
    with Client(resolve(url, token_file, config, os.environ)) as client:
        show_feed(_Events(client, name), client, Printer(as_json), follow=follow, count=lines)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line or an event: its number, when it was, how it reads, and what ddpm said."""

    id: int
    at: str
    text: Text
    answer: Mapping[str, Any]


class Feed(Protocol):
    """Something that ddpm keeps the newest of, and sends as it comes."""

    def kept(self) -> list[Entry]:
        """The newest, oldest first."""

    def after(self, last: int | None) -> Iterator[Entry]:
        """What follows the entry of this number, or all that there is, while the connection holds."""


class _Logs:
    def __init__(self, client: Client, pipeline: str | None) -> None:
        self._client = client
        self._pipeline = pipeline
        self._params = _only(pipeline)

    def kept(self) -> list[Entry]:
        """See `Feed`."""
        with self._client.about(self._pipeline):
            answer = self._client.get("/v1/logs", {**self._params, "lines": ALL_LINES})
        lines = self._client.read(LogLinesView, answer).lines
        return [
            Entry(line.id, raw["at"], line_text(line), raw) for line, raw in zip(lines, answer["lines"], strict=True)
        ]

    def after(self, last: int | None) -> Iterator[Entry]:
        """See `Feed`."""
        params: Params = {**self._params, "lines": 0 if last is not None else ALL_LINES}
        for raw in _decoded(self._client, self._client.stream("/v1/logs/stream", params, last)):
            line = self._client.read(LogLineView, raw)
            yield Entry(line.id, raw["at"], line_text(line), raw)


class _Events:
    def __init__(self, client: Client, pipeline: str | None) -> None:
        self._client = client
        self._pipeline = pipeline
        self._params = _only(pipeline)

    def kept(self) -> list[Entry]:
        """See `Feed`; the API keeps the past of each pipeline with its details."""
        names = self._names() if self._pipeline is None else meant(self._names(), self._pipeline)
        found = [entry for name in names for entry in self._of(name)]
        return sorted(found, key=lambda entry: entry.id)

    def after(self, last: int | None) -> Iterator[Entry]:
        """See `Feed`."""
        for raw in _decoded(self._client, self._client.stream("/v1/events", self._params, last)):
            yield _event_entry(self._client.read(EventView, raw), raw)

    def _names(self) -> list[str]:
        return [each.name for each in self._client.read(PipelinesView, self._client.pipelines()).pipelines]

    def _of(self, name: str) -> list[Entry]:
        answer = self._client.pipeline(name)
        events = self._client.read(PipelineDetailView, answer).events
        return [_event_entry(event, raw) for event, raw in zip(events, answer["events"], strict=True)]


def _only(pipeline: str | None) -> dict[str, str]:
    # A name that is not valid text is not a pipeline's; ddpm says so.
    return {} if pipeline is None else {"pipeline": os.fsencode(pipeline).decode("utf-8", "replace")}


def _event_entry(event: EventView, raw: Mapping[str, Any]) -> Entry:
    return Entry(event.id, raw["at"], event_text(event), raw)


def _decoded(client: Client, stream: Iterator[str]) -> Iterator[Any]:
    for data in stream:
        try:
            yield json.loads(data)
        except ValueError as error:
            raise ForeignError(f"{client.url} streams something else than JSON") from error


class Printer:
    """Prints entries as text or as JSON, each at once."""

    def __init__(self, as_json: bool) -> None:
        self._console = Terminal()
        self._as_json = as_json

    def __call__(self, entry: Entry) -> None:
        """Print one."""
        if self._as_json:
            write_line(dumped(entry.answer))
        else:
            self._console.print(entry.text, soft_wrap=True)


def show_feed(feed: Feed, client: Client, printer: Callable[[Entry], None], *, follow: bool, count: int) -> None:
    """Print the newest entries of a feed, so many at most, and then what comes when it is to be followed."""
    kept = feed.kept()
    for entry in kept[max(0, len(kept) - count) :]:
        printer(entry)
    if not follow:
        return
    try:
        for entry in followed(feed, kept, _Notice(client.url, Terminal(stderr=True))):
            printer(entry)
    except KeyboardInterrupt:
        return


class _Notice:
    """Says to a person, once each time, that the connection was lost and that it is there again."""

    def __init__(self, url: str, console: Console) -> None:
        self._url = url
        self._console = console
        self._lost = False

    def __call__(self, lost: bool) -> None:
        if lost != self._lost:
            self._lost = lost
            said = f"the connection to {self._url} is lost, waiting for ddpm" if lost else "connected again"
            self._console.print(f"-- {said}", style="bright_black")


def followed(feed: Feed, kept: list[Entry], notice: Callable[[bool], None]) -> Iterator[Entry]:
    """What comes after the kept entries, for ever; over lost connections and restarts of ddpm.

    `notice` is called with True while the connection is lost, and with False when it is there again.
    """
    last = kept[-1] if kept else None
    while True:
        try:
            for entry in feed.after(last.id if last else None):
                last = entry
                yield entry
        except AwayError:
            notice(True)
        for entry in _missed(_kept_again(feed, notice), last):
            last = entry
            yield entry


def _kept_again(feed: Feed, notice: Callable[[bool], None]) -> list[Entry]:
    """What ddpm keeps, as soon as one answers again."""
    while True:
        time.sleep(RECONNECT_SECONDS)
        try:
            kept = feed.kept()
        except AwayError:
            notice(True)
        else:
            notice(False)
            return kept


def _missed(kept: list[Entry], last: Entry | None) -> list[Entry]:
    """The kept entries that follow the last one seen; all of them when another ddpm numbers again."""
    known = last is not None and any((entry.id, entry.at) == (last.id, last.at) for entry in kept)
    return [entry for entry in kept if entry.id > last.id] if known and last else kept


def line_text(line: LogLineView) -> Text:
    """A line as ddpm's own log writes it: time, level, pipeline and replica, message, fields."""
    text = Text().append(iso(line.at), style="bright_black")
    text.append(" [").append(f"{plain(line.level):<8}", style=_LEVEL_STYLES.get(line.level)).append("] ")
    if line.pipeline is not None:
        replica = "" if line.replica is None else f"/{line.replica}"
        text.append(f"{plain(line.pipeline)}{replica} ", style="cyan")
    text.append(plain(line.message), style="bold")
    for name, value in line.fields.items():
        if name not in _BLOCKS:
            text.append(f" {plain(name)}=", style="bright_black").append(_field(value))
    for name in _BLOCKS:
        for row in str(line.fields.get(name, "")).splitlines():
            text.append(f"\n    {plain(row)}")
    return text


def _field(value: Any) -> str:  # noqa: ANN401 -- logs carry anything
    bare = isinstance(value, str) and value and not any(char.isspace() or char in "\"'=" for char in value)
    return plain(value if bare else dumped(value))
