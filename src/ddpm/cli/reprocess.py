"""`ddpm replay`: a window of time is read again, with the present parser, mapping and columns, into the table."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ddpm.cli.configuration import ConfigOption, named
from ddpm.cli.messages import progress
from ddpm.cli.options import DryRunOption, JsonOption, PipelineArgument, YesOption, agreed
from ddpm.cli.output import Terminal, write_line
from ddpm.cli.recording import recorded
from ddpm.cli.sameness import note_difference
from ddpm.cli.servers import load_with_servers
from ddpm.cli.text import dumped, number, plain
from ddpm.config.model import Config, Pipeline
from ddpm.deadletters.selection import moment
from ddpm.engine import binary as engine_binary
from ddpm.errors import ConfigError
from ddpm.orchestrator.dead_letter_stores import dead_letter_stores
from ddpm.orchestrator.redrive.reinject import Fed
from ddpm.orchestrator.reprocess.story import (
    Outcome,
    Reprocessing,
    Rows,
    Staged,
    Wanted,
    find_window,
    load,
    rows_of,
    stage,
)
from ddpm.orchestrator.reprocess.window import shown
from ddpm.words import counted

_TIME = "2026-11-23T08:00:00Z, or 2h for two hours ago"


def replay_command(
    pipeline: PipelineArgument = None,
    *,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help=f"The window's beginning: {_TIME}.", show_default=False)
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="TIME", help="Its end, which is not part of it; now without it.", show_default=False
        ),
    ] = None,
    skip_load: Annotated[bool, typer.Option("--skip-load", help="Only into a staging table, named by a tag.")] = False,
    skip_transform: Annotated[
        bool, typer.Option("--skip-transform", help="Only put what was staged into the table; needs --runtag.")
    ] = False,
    runtag: Annotated[str | None, typer.Option(metavar="TAG", help="Which one was staged.", show_default=False)] = None,
    delete_missing: Annotated[
        bool,
        typer.Option("--delete-missing", help="Also delete rows whose records Kafka no longer has."),
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Read a window of the source again and replace the table's rows of it, in one transaction a partition.

    Rows whose records Kafka no longer has stay, unless --delete-missing is given.
    """
    if skip_load and delete_missing:
        raise ConfigError("--delete-missing is for the loading", hint="pass it together with --skip-transform")
    _check(since, until, skip_load=skip_load, skip_transform=skip_transform, runtag=runtag)
    loaded = load_with_servers(config)
    owner = named(loaded, pipeline)
    if skip_transform and runtag is not None:
        if agreed(f"Replace the rows of {owner.name} by those of the replay {runtag}?", yes):
            with recorded(loaded, "replay", owner.name, runtag=runtag), _rereading(loaded, owner) as at:
                _say_loaded(_load(at, runtag, delete_missing=delete_missing), as_json=as_json)
        return
    now = datetime.now(UTC)
    wanted = find_window(owner, moment(since or "", now), moment(until, now) if until else int(now.timestamp() * 1000))
    if dry_run or not wanted.window.offsets:
        _say_window(wanted, as_json=as_json, delete_missing=delete_missing)
        return
    note_difference(loaded, owner, config)
    what = "Stage" if skip_load else "Replace the rows of"
    # Counting reads the window: only for somebody who decides by it.
    counted = "" if yes or skip_load else f" ({_counted(rows_of(wanted), delete_missing=delete_missing)})"
    question = f"{what} {number(wanted.window.offsets)} offsets of {owner.name}, {_span(wanted)}{counted}?"
    if not agreed(question, yes):
        return
    about = recorded(loaded, "replay", owner.name, window=_span(wanted), staged_only=skip_load, deletes=delete_missing)
    with about, _rereading(loaded, owner) as at:
        staged = _stage(at, wanted, kept=skip_load)
        if skip_load:
            _say_staged(staged, as_json=as_json)
        else:
            _say_loaded(_load(at, staged.tag, delete_missing=delete_missing), staged, as_json=as_json)


def _check(since: str | None, until: str | None, *, skip_load: bool, skip_transform: bool, runtag: str | None) -> None:
    if skip_transform:
        if runtag is None:
            raise ConfigError("--skip-transform needs --runtag TAG", hint="`ddpm replay --skip-load` prints it")
        if since or until or skip_load:
            raise ConfigError("--skip-transform takes nothing but --runtag: its window is known")
        return
    if runtag is not None:
        raise ConfigError("--runtag names what was staged: it is for --skip-transform")
    if since is None:
        raise ConfigError("the window has no beginning", hint=f"pass --from {_TIME}")


@contextmanager
def _rereading(config: Config, pipeline: Pipeline) -> Iterator[Reprocessing]:
    binary = engine_binary.locate(pipeline.engine.binary, progress())
    found = dead_letter_stores([pipeline], config.pipelines)
    try:
        yield Reprocessing(config, pipeline, binary, found.by_pipeline[pipeline.name])
    finally:
        found.close()


def _stage(at: Reprocessing, wanted: Wanted, *, kept: bool) -> Staged:
    with _bar("reading", wanted.window.offsets) as advance:

        def report(fed: Fed) -> None:
            advance(fed.acknowledged, f"; the engine waits: {plain(fed.waiting)}" if fed.waiting else "")

        return stage(at, wanted, report, kept=kept)


def _load(at: Reprocessing, tag: str, *, delete_missing: bool) -> Outcome:
    with _bar("replacing", None) as advance:

        def report(done: int, due: int) -> None:
            advance(done, f" {done} of {due} partitions")

        return load(at, tag, report, delete_missing=delete_missing)


@contextmanager
def _bar(doing: str, total: int | None) -> Iterator[Callable[[int, str], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Terminal(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda done, more: bar.update(task, completed=done, description=f"{doing}{more}")


def _counted(rows: Rows, *, delete_missing: bool) -> str:
    """What would happen to the rows of a window."""
    if delete_missing or not rows.missing:
        gone = f", {number(rows.missing)} of them for good: Kafka has their records no more" if rows.missing else ""
        return f"{counted(rows.all, 'row')} of the table would be replaced{gone}"
    return (
        f"{counted(rows.all - rows.missing, 'row')} of the table would be replaced; {number(rows.missing)} would stay, "
        "since Kafka has their records no more (--delete-missing deletes them)"
    )


def _say_window(wanted: Wanted, *, as_json: bool, delete_missing: bool) -> None:
    rows = rows_of(wanted)
    spans = [
        {"topic": each.partition.topic, "partition": each.partition.partition, "first": each.first, "end": each.end}
        for each in wanted.window.spans
    ]
    if as_json:
        write_line(
            dumped(
                {"pipeline": wanted.pipeline.name, "rows": rows.all, "missing": rows.missing, "partitions": spans},
                indent=2,
            )
        )
        return
    write_line(f"{plain(wanted.pipeline.name)}, {_span(wanted)}: {_counted(rows, delete_missing=delete_missing)}")
    for each in spans:
        write_line(
            f"  {plain(str(each['topic']))}/{each['partition']}: offsets {each['first']} to before {each['end']}"
        )


def _say_staged(staged: Staged, *, as_json: bool) -> None:
    if as_json:
        write_line(dumped(_staged(staged), indent=2))
        return
    write_line(
        f"{counted(staged.records, 'record')} became {counted(staged.rows, 'row')} of {plain(staged.staging)} and "
        f"{counted(staged.dead_letters, 'dead letter')}"
    )
    write_line(f"look at them, then: ddpm replay --skip-transform --runtag {staged.tag}")


def _say_loaded(outcome: Outcome, staged: Staged | None = None, *, as_json: bool) -> None:
    if as_json:
        answer = {
            "runtag": outcome.tag,
            "deleted": outcome.deleted,
            "inserted": outcome.inserted,
            "vanished": outcome.vanished,
            "kept": outcome.kept,
            "mended": outcome.mended,
        }
        write_line(dumped(answer | ({"staged": _staged(staged)} if staged else {}), indent=2))
        return
    dead = f"; {number(staged.dead_letters)} records are dead letters" if staged and staged.dead_letters else ""
    mended = f"; {counted(outcome.mended, 'dead letter')} became rows" if outcome.mended else ""
    gone = f", {number(outcome.vanished)} of them without a successor" if outcome.vanished else ""
    stay = f"; {counted(outcome.kept, 'row')} kept, since Kafka has their records no more" if outcome.kept else ""
    write_line(f"{counted(outcome.deleted, 'row')}{gone} replaced by {number(outcome.inserted)}{stay}{dead}{mended}")


def _staged(staged: Staged) -> dict[str, Any]:
    return {
        "runtag": staged.tag,
        "table": staged.staging,
        "records": staged.records,
        "rows": staged.rows,
        "dead_letters": staged.dead_letters,
    }


def _span(wanted: Wanted) -> str:
    return f"{shown(wanted.since_ms)} to {shown(wanted.until_ms)}"
