"""`ddpm pause|resume|restart|drain|scale`: ask a running ddpm for something, and wait until it is so."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError
from rich.status import Status as Spinner

from ddpm.cli.address import TokenFileOption, UrlOption, resolve
from ddpm.cli.client import Client
from ddpm.cli.configuration import ConfigOption
from ddpm.cli.messages import print_note
from ddpm.cli.names import meant
from ddpm.cli.options import NameArgument
from ddpm.cli.output import Terminal, write_line
from ddpm.cli.text import dumped_answers, duration, plain
from ddpm.config.model import Seconds
from ddpm.errors import DdpmError
from ddpm.server.views import AcceptedView, PipelineDetailView, PipelinesView
from ddpm.words import counted

POLL_SECONDS = 0.2
DEFAULT_TIMEOUT = 60.0
_INTERRUPTED = 130


class NotReachedError(DdpmError):
    """What was asked for did not come true in time, or cannot any more."""


def _seconds(value: str | float) -> float:
    try:
        return TypeAdapter(Seconds).validate_python(value)
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"]) from error


TimeoutOption = Annotated[
    float,
    typer.Option(
        parser=_seconds, metavar="DURATION", help="How long to wait, for example 30s or 5m.", show_default="60s"
    ),
]
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Only ask; do not wait until it is so.")]
JsonOption = Annotated[bool, typer.Option("--json", help="The pipeline's status as ddpm's API gives it.")]


@dataclass(frozen=True, slots=True)
class Goal:
    """What is asked for.

    Attributes:
        request: The request of the API, and `body` what it takes.
        words: What the pipeline is when it is so.
        reached: Whether it is so, from the details before the request and those of now.
        runs: Whether engines must run for it, so that a failure ends the waiting.

    """

    request: str
    words: str
    reached: Callable[[PipelineDetailView, PipelineDetailView], bool]
    runs: bool
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a command waits and what it prints; `timeout` None does not wait."""

    timeout: float | None
    as_json: bool


PAUSED = Goal("pause", "paused", lambda _, now: now.state == "paused", runs=False)
RESUMED = Goal("resume", "running", lambda _, now: _all_run(now), runs=True)


def _command(goal: Goal, does: str) -> Callable[..., None]:
    def command(
        name: NameArgument = None,
        *,
        timeout: TimeoutOption = DEFAULT_TIMEOUT,
        no_wait: NoWaitOption = False,
        as_json: JsonOption = False,
        url: UrlOption = None,
        token_file: TokenFileOption = None,
        config: ConfigOption = None,
    ) -> None:
        with Client(resolve(url, token_file, config, os.environ)) as client:
            _carry_out(client, _meant(client, name), goal, Manner(None if no_wait else timeout, as_json))

    command.__doc__ = does
    return command


def scale_command(
    first: NameArgument = None,
    second: Annotated[
        str | None,
        typer.Argument(metavar="N|auto", help="How many; auto: as the configuration says.", show_default=False),
    ] = None,
    *,
    timeout: TimeoutOption = DEFAULT_TIMEOUT,
    no_wait: NoWaitOption = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Run so many replicas of a pipeline, or give the decision back to the configuration."""
    name, replicas = (None, first) if second is None else (first, second)
    if replicas is None:
        raise typer.BadParameter("say how many, or auto", param_hint="N|auto")
    goal = _scaled(_replicas(replicas))
    with Client(resolve(url, token_file, config, os.environ)) as client:
        _carry_out(client, _meant(client, name), goal, Manner(None if no_wait else timeout, as_json))


def _meant(client: Client, name: str | None) -> list[str]:
    return meant([plain(each.name) for each in client.read(PipelinesView, client.pipelines()).pipelines], name)


def _replicas(text: str) -> int | None:
    if text == "auto":
        return None
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        msg = f'"{plain(text)}" is neither a number of replicas, from 1 on, nor auto; `ddpm pause` stops them all'
        raise typer.BadParameter(msg, param_hint="N|auto")
    return int(text)


def _scaled(wanted: int | None) -> Goal:
    def reached(_: PipelineDetailView, now: PipelineDetailView) -> bool:
        as_asked = now.scaling.mode != "manual" if wanted is None else _asks_for(now, wanted)
        return as_asked and (now.wish != "run" or _all_run(now))

    words = "running as many replicas as configured" if wanted is None else f"running {counted(wanted, 'replica')}"
    return Goal("scale", words, reached, runs=True, body={"replicas": wanted})


def _asks_for(now: PipelineDetailView, wanted: int) -> bool:
    return now.scaling.mode == "manual" and now.scaling.desired == wanted


def _all_run(now: PipelineDetailView) -> bool:
    """Whether the pipeline runs with every replica that is wanted, and none beyond."""
    running = sum(replica.state == "running" for replica in now.replicas)
    return now.state == "running" and running == len(now.replicas) == now.scaling.desired


def _restarted(before: PipelineDetailView, now: PipelineDetailView) -> bool:
    old = {replica.pid for replica in before.replicas if replica.pid is not None}
    return _all_run(now) and not any(replica.pid in old for replica in now.replicas)


def bring_about(client: Client, name: str, goal: Goal, timeout: float) -> None:
    """Ask for something and wait until it is so, printing nothing but what happens meanwhile.

    Raises:
        NotReachedError: It did not come true in time, or cannot any more.
        DdpmError: What the client raises.

    """
    before = client.read(PipelineDetailView, client.pipeline(name))
    client.ask(name, goal.request, goal.body)
    _wait(client, before, goal, timeout)


def _carry_out(client: Client, names: list[str], goal: Goal, manner: Manner) -> None:
    """Ask for it of all first: those that drain do so at the same time."""
    before = [client.read(PipelineDetailView, client.pipeline(name)) for name in names]
    answers = [client.ask(name, goal.request, goal.body) for name in names]
    if manner.timeout is not None:
        asked = ", ".join(map(plain, names))
        try:
            answers = [_wait(client, each, goal, manner.timeout) for each in before]
        except KeyboardInterrupt:
            Terminal(stderr=True).print(f"no longer waiting; what was asked of {asked} stands", style="yellow")
            raise typer.Exit(_INTERRUPTED) from None
    if manner.as_json:
        write_line(dumped_answers(answers))
    elif manner.timeout is None:
        for name, answer in zip(names, answers, strict=True):
            write_line(f"{plain(name)}: {plain(client.read(AcceptedView, answer).message)}")
    if manner.timeout is not None:
        _say_reached([client.read(PipelineDetailView, answer) for answer in answers], goal, as_json=manner.as_json)


def _say_reached(reached: list[PipelineDetailView], goal: Goal, *, as_json: bool) -> None:
    for now in reached:
        said = f"{plain(now.name)} is {plain(now.state)}: {plain(now.reason)}"
        if goal.request == "scale" and now.wish != "run":
            said += f"; {counted(now.scaling.desired, 'replica')} will run when it is resumed"
        if not as_json:
            write_line(said)
    changed = next((now.config_changed for now in reached if now.config_changed), None)
    if changed and goal.runs:
        # It runs, and not as anyone who edited the file may believe.
        print_note(plain(changed))


def _wait(client: Client, before: PipelineDetailView, goal: Goal, timeout: float) -> Any:  # noqa: ANN401 -- JSON
    deadline = time.monotonic() + timeout
    with _progress(before.name) as show_progress:
        while True:
            answer = client.pipeline(before.name)
            now = client.read(PipelineDetailView, answer)
            if goal.reached(before, now):
                return answer
            failed = goal.runs and _has_failed(before, now)
            if failed or time.monotonic() >= deadline:
                after = "" if failed else f" after {duration(timeout)}"
                msg = f"{plain(now.name)} is {plain(now.state)} and not {goal.words}{after}: {plain(now.reason)}"
                hint = f"`ddpm status {plain(now.name)}` and `ddpm logs {plain(now.name)}` show more"
                raise NotReachedError(msg, hint=hint)
            show_progress(f"{plain(now.state)}: {plain(now.reason)}")
            time.sleep(POLL_SECONDS)


def _has_failed(before: PipelineDetailView, now: PipelineDetailView) -> bool:
    """Whether it has failed since the request; that it had failed before says nothing."""
    newest = max((event.id for event in now.events), default=0)
    known = max((event.id for event in before.events), default=0)
    since = [event for event in now.events if event.id > known or newest < known]
    return now.state == "failed" and any(event.state == "failed" for event in since)


@contextmanager
def _progress(name: str) -> Iterator[Callable[[str], None]]:
    """Shows on standard error what the pipeline does: a line that changes, or lines where that is not a terminal."""
    console = Terminal(stderr=True)
    last = ""

    def show_progress(text: str) -> None:
        nonlocal last
        if text == last:
            return
        last = text
        if spinner is not None:
            spinner.update(f"{plain(name)} is {text}")
        else:
            console.print(f"{plain(name)} is {text}", soft_wrap=True)

    spinner = Spinner(plain(name), console=console) if console.is_terminal else None
    if spinner is None:
        yield show_progress
        return
    with spinner:
        yield show_progress


pause_command = _command(PAUSED, "Drain a pipeline and keep it paused until it is resumed, over restarts of ddpm too.")
resume_command = _command(RESUMED, "Run a pipeline that is paused, stopped or failed.")
restart_command = _command(
    Goal("restart", "running again", _restarted, runs=True), "Drain a pipeline's engines and start them again."
)
drain_command = _command(
    Goal("drain", "stopped", lambda _, now: now.state == "stopped", runs=False),
    "Finish what is in flight and stop a pipeline, until it is resumed or ddpm starts again.",
)
