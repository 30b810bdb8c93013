"""`ddpm dlq replay`: dead letters through an engine again, with a bar, a pace and a limit to how often."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ddpm.cli.common import ConfigOption, progress
from ddpm.cli.dlq import (
    DryRunOption,
    FromOption,
    IdOption,
    JsonOption,
    LetterFilter,
    MessageOption,
    PipelineArgument,
    ReasonOption,
    ToOption,
    YesOption,
    agreed,
    app,
    counted,
    load_with_servers,
    named,
    new_run,
    read_store,
    say_meant,
)
from ddpm.cli.output import Terminal, write_line
from ddpm.cli.text import dumped, number, plain
from ddpm.config.model import Pipeline
from ddpm.deadletters.replay import MOST_ATTEMPTS, Plan, plan, replay
from ddpm.deadletters.replay import Progress as Done
from ddpm.errors import DdpmError


class RefusedError(DdpmError):
    """None of the letters that are meant may be replayed."""


@app.command("replay")
def replay_command(
    pipeline: PipelineArgument = None,
    *,
    reason: ReasonOption = None,
    message: MessageOption = None,
    since: FromOption = None,
    until: ToOption = None,
    letter_id: IdOption = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Letters a second at most.", show_default=False)] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help=f"Also letters that failed in {MOST_ATTEMPTS} attempts, or whose headers were cut."
        ),
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Feed dead letters to an engine again, with the present configuration and their original identity."""
    loaded = load_with_servers(config)
    owner = named(loaded, pipeline)
    with read_store(owner) as store:
        wanted = LetterFilter(reason, message, since, until, letter_id).selection(store, owner.name)
        chosen = plan(store.entries(owner.name, wanted), force=force)
        _say_left_out(owner.name, chosen)
        if not chosen.taken and chosen.left_out:
            msg = f"none of the selected dead letters of {owner.name} may be replayed"
            raise RefusedError(msg, hint=_way_out(chosen))
        run, done = new_run(), Done(len(chosen.taken))
        question = f"Replay {counted(len(chosen.taken))} of {owner.name}?"
        if chosen.taken and not dry_run and agreed(question, yes):
            # It brings in all that starts engines, which the other commands do without.
            from ddpm.cli.sameness import tell_difference
            from ddpm.orchestrator.redrive import reinjector

            tell_difference(loaded, owner, config)
            feed = reinjector(loaded, owner, progress())
            with _bar(len(chosen.taken)) as told:
                done = replay(store, chosen.taken, feed, run, told, rate=rate)
        elif not as_json:
            say_meant(owner.name, chosen.taken)
            return
    if as_json:
        write_line(dumped(_answer(owner, chosen, done, run, dry_run=dry_run), indent=2))
    else:
        write_line(
            f"{counted(done.done)} of {plain(owner.name)} replayed: {number(done.landed)} landed, "
            f"{number(done.failed_again)} failed again"
        )


@contextmanager
def _bar(total: int) -> Iterator[Callable[[Done], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Terminal(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("replaying", total=total)

        def told(done: Done) -> None:
            waits = f"; the engine waits: {plain(done.waiting)}" if done.waiting else ""
            bar.update(task, completed=done.done, description=f"replaying{waits}")

        yield told


def _say_left_out(pipeline: str, chosen: Plan) -> None:
    console = Terminal(stderr=True)
    if chosen.exhausted:
        text = f"{counted(len(chosen.exhausted))} of {plain(pipeline)} left out: failed in {MOST_ATTEMPTS} attempts"
        console.print(f"{text}; --force takes them too", style="yellow", soft_wrap=True)
    if chosen.cut:
        text = f"{counted(len(chosen.cut))} of {plain(pipeline)} left out: their headers were cut"
        console.print(f"{text}; --force takes them without", style="yellow", soft_wrap=True)
    if chosen.unplaced:
        text = f"{counted(len(chosen.unplaced))} of {plain(pipeline)} left out: where they came from is unknown"
        console.print(text, style="yellow", soft_wrap=True)


def _way_out(chosen: Plan) -> str:
    if chosen.exhausted:
        return f"they failed in {MOST_ATTEMPTS} attempts; look at one with `ddpm dlq show`, or say --force"
    if chosen.cut:
        return "their headers were cut to fit the topic; look at one with `ddpm dlq show`, or say --force"
    return "look at one with `ddpm dlq show`, and produce its record again"


def _answer(pipeline: Pipeline, chosen: Plan, done: Done, run: str, *, dry_run: bool) -> dict[str, object]:
    return {
        "pipeline": pipeline.name,
        "run": run,
        "dry_run": dry_run,
        "meant": len(chosen.taken),
        "replayed": done.landed,
        "failed_again": done.failed_again,
        "left_out": chosen.left_out,
    }
