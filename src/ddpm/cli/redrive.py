"""`ddpm dlq replay`: dead letters through an engine again, with a bar, a pace and a limit to how often."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ddpm.cli.configuration import ConfigOption, meant, names_of
from ddpm.cli.dlq import (
    IdOption,
    LetterFilter,
    MessageOption,
    ReasonOption,
    SinkOption,
    app,
    counted,
    new_run,
    read_store,
    say_meant,
)
from ddpm.cli.messages import print_note, progress
from ddpm.cli.options import DryRunOption, FromOption, JsonOption, PipelineArgument, ToOption, YesOption, agreed
from ddpm.cli.output import Terminal, write_line
from ddpm.cli.recording import recorded
from ddpm.cli.servers import load_with_servers
from ddpm.cli.sources import Given
from ddpm.cli.text import dumped_answers, number, plain
from ddpm.config.model import Config, Pipeline
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
    sink: SinkOption = None,
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
    filtered = LetterFilter(reason, message, since, until, letter_id, sink)
    manner = _Manner(force=force, dry_run=dry_run, yes=yes, as_json=as_json, rate=rate, config=config)
    owners = meant(loaded, pipeline)
    answers, errors = [], []
    for owner in owners:
        try:
            answers.append(_replay(loaded, owner, filtered, names_of(owners), manner))
        except DdpmError as error:
            if len(owners) == 1:
                raise
            # One of them keeps no other's letters from being replayed.
            errors.append((owner.name, error))
    if as_json:
        write_line(dumped_answers(answers))
    _raise(errors)


def _raise(errors: Sequence[tuple[str, DdpmError]]) -> None:
    """Raise what kept letters from being replayed, all of it with the exit code of the first."""
    if not errors:
        return
    for name, error in errors[1:]:
        print_note(f"{plain(name)}: {error.message}")
    name, first = errors[0]
    first.message = f"{plain(name)}: {first.message}"
    raise first


@dataclass(frozen=True, slots=True)
class _Manner:
    """How a command replays, and what it prints."""

    force: bool
    dry_run: bool
    yes: bool
    as_json: bool
    rate: float | None
    config: Given | None


def _replay(
    loaded: Config, owner: Pipeline, filtered: LetterFilter, names: list[str], manner: _Manner
) -> dict[str, object]:
    with read_store(loaded, owner) as store:
        wanted = filtered.selection(store, owner.name, names)
        chosen = plan(store.entries(owner.name, wanted), force=manner.force, sinks=owner.sink_names)
        _say_left_out(owner.name, chosen)
        if not chosen.taken and chosen.left_out:
            msg = f"none of the selected dead letters of {owner.name} may be replayed"
            raise RefusedError(msg, hint=_way_out(chosen))
        run, done = new_run(), Done(len(chosen.taken))
        question = f"Replay {counted(len(chosen.taken))} of {owner.name}?"
        agrees = bool(chosen.taken) and not manner.dry_run and agreed(question, manner.yes)
        if agrees:
            # It brings in all that starts engines, which the other commands do without.
            from ddpm.cli.sameness import note_difference
            from ddpm.orchestrator.redrive.letters import reinjector

            note_difference(loaded, owner, manner.config)
            feed = reinjector(loaded, owner, progress())
            what = recorded(loaded, "replay dead letters", owner.name, letters=len(chosen.taken), run=run)
            with what, _bar(len(chosen.taken)) as report:
                done = replay(store, chosen.taken, feed, run, report, rate=manner.rate)
    if not manner.as_json and agrees:
        write_line(
            f"{counted(done.done)} of {plain(owner.name)} replayed: {number(done.landed)} landed, "
            f"{number(done.failed_again)} failed again"
        )
    elif not manner.as_json:
        say_meant(owner.name, chosen.taken)
    return _answer(owner, chosen, done, run, dry_run=manner.dry_run)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[Done], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Terminal(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("replaying", total=total)

        def report(done: Done) -> None:
            waits = f"; the engine waits: {plain(done.waiting)}" if done.waiting else ""
            bar.update(task, completed=done.done, description=f"replaying{waits}")

        yield report


def _say_left_out(pipeline: str, chosen: Plan) -> None:
    console = Terminal(stderr=True)
    if chosen.exhausted:
        text = f"{counted(len(chosen.exhausted))} of {plain(pipeline)} left out: failed in {MOST_ATTEMPTS} attempts"
        console.print(f"{text}; --force takes them too", style="yellow", soft_wrap=True)
    if chosen.cut:
        text = f"{counted(len(chosen.cut))} of {plain(pipeline)} left out: their headers were cut"
        console.print(f"{text}; --force takes them without", style="yellow", soft_wrap=True)
    if chosen.orphaned:
        gone = ", ".join(sorted({plain(each.sink or "") for each in chosen.orphaned}))
        text = f"{counted(len(chosen.orphaned))} of {plain(pipeline)} left out: it has no sink {gone} any more"
        console.print(text, style="yellow", soft_wrap=True)
    if chosen.unplaced:
        text = f"{counted(len(chosen.unplaced))} of {plain(pipeline)} left out: where they came from is unknown"
        console.print(text, style="yellow", soft_wrap=True)


def _way_out(chosen: Plan) -> str:
    if chosen.exhausted:
        return f"they failed in {MOST_ATTEMPTS} attempts; look at one with `ddpm dlq show`, or say --force"
    if chosen.cut:
        return "their headers were cut to fit the topic; look at one with `ddpm dlq show`, or say --force"
    if chosen.orphaned:
        return "give a sink the `name` of theirs, or discard them: `ddpm dlq discard --sink`"
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
