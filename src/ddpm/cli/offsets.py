"""`ddpm offsets`: how far a pipeline's consumer group has read, and letting it read on from somewhere else."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from ddpm.broker.offsets import Partition, committed, lag, move, since, watermarks
from ddpm.cli.address import TokenFileOption, UrlOption, resolve
from ddpm.cli.client import AwayError, Client, NotFoundError, SlowError
from ddpm.cli.configuration import ConfigOption, meant
from ddpm.cli.control import DEFAULT_TIMEOUT, PAUSED, RESUMED, bring_about
from ddpm.cli.options import JsonOption, PipelineArgument, YesOption, agreed
from ddpm.cli.output import Terminal, write_line
from ddpm.cli.recording import recorded
from ddpm.cli.servers import load_with_servers
from ddpm.cli.text import dumped, dumped_answers, number, plain
from ddpm.config.model import Pipeline
from ddpm.config.parts import commit_note
from ddpm.deadletters.selection import moment
from ddpm.errors import ConfigError
from ddpm.orchestrator.offset_reset import Aim, Move, moves
from ddpm.server.views import PipelineDetailView

app = typer.Typer(help="How far consumer groups have read.", no_args_is_help=True)

# Who was killed stays a member of its group for ten seconds.
_EMPTY_SECONDS = 30.0


@app.command("get")
def get_command(pipeline: PipelineArgument = None, *, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show how far each pipeline has read, partition by partition; without a pipeline those of all."""
    loaded = load_with_servers(config)
    chosen = meant(loaded, pipeline) if pipeline is not None else loaded.pipelines
    answers = []
    for each in chosen:
        found = lag(each.kafka.cluster, each.kafka.consumer_group, each.kafka.topics)
        rows = [
            {
                "topic": place.topic,
                "partition": place.partition,
                "earliest": at.start,
                "committed": at.committed,
                "end": at.end,
                "lag": at.offsets,
            }
            for place, at in sorted(found.items())
        ]
        answers.append({"pipeline": each.name, "group": each.kafka.consumer_group, "partitions": rows})
    if as_json:
        write_line(dumped(answers, indent=2))
        return
    for answer in answers:
        _show(answer)


@app.command("reset")
def reset_command(
    pipeline: PipelineArgument = None,
    *,
    to_earliest: Annotated[bool, typer.Option("--to-earliest", help="To the first record that is kept.")] = False,
    to_latest: Annotated[bool, typer.Option("--to-latest", help="To the end.")] = False,
    to_datetime: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="To the first record from then on: 2026-11-23T08:00:00Z, or 2h for two hours ago."
        ),
    ] = None,
    by: Annotated[int | None, typer.Option(metavar="N", help="So many offsets on, or back with -N.")] = None,
    topic: Annotated[
        str | None, typer.Option(metavar="TOPIC[:PARTITION]", help="Only there.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Let a pipeline read on from somewhere else: it is paused first, and resumed if it ran."""
    aim = _aim(to_earliest=to_earliest, to_latest=to_latest, to_datetime=to_datetime, by=by)
    loaded = load_with_servers(config)
    at = moment(to_datetime, datetime.now(UTC)) if to_datetime else 0
    answers = []
    for owner in meant(loaded, pipeline):
        plan = _plan(owner, aim, at, by or 0, topic)
        if not as_json:
            _say(owner, plan)
        done = not dry_run and agreed(f"Let {owner.name} read on from there?", yes)
        if done:
            to = "earliest" if to_earliest else "latest" if to_latest else to_datetime
            with (
                recorded(loaded, "reset offsets", owner.name, to=to, offsets=by, topic=topic),
                Client(resolve(url, token_file, config, os.environ)) as client,
                _paused(client, owner.name),
            ):
                # While it was drained it has read on.
                plan = _plan(owner, aim, at, by or 0, topic)
                targets = {each.partition: each.after for each in plan}
                move(owner.kafka.cluster, owner.kafka.consumer_group, targets, _EMPTY_SECONDS, commit_note(owner))
        answers.append({"pipeline": owner.name, "moved": done, "partitions": [_as_json(each) for each in plan]})
        if done and not as_json:
            write_line(f"{plain(owner.name)} reads on from there")
    if as_json:
        write_line(dumped_answers(answers))


def _aim(*, to_earliest: bool, to_latest: bool, to_datetime: str | None, by: int | None) -> Aim:
    given = [
        aim
        for aim, said in {
            Aim.EARLIEST: to_earliest,
            Aim.LATEST: to_latest,
            Aim.MOMENT: to_datetime is not None,
            Aim.BY: by is not None,
        }.items()
        if said
    ]
    if len(given) != 1:
        msg = "say one of --to-earliest, --to-latest, --to-datetime and --by"
        raise ConfigError(msg, hint="--dry-run shows what it would mean")
    return given[0]


def _plan(pipeline: Pipeline, aim: Aim, at: int, by: int, topic: str | None) -> list[Move]:
    kafka = pipeline.kafka
    reached = committed(kafka.cluster, kafka.consumer_group, kafka.topics)
    marks = watermarks(kafka.cluster, kafka.topics)
    found = since(kafka.cluster, kafka.topics, at) if aim is Aim.MOMENT else None
    chosen = {place: offset for place, offset in reached.items() if topic is None or _is_meant(place, topic)}
    if not chosen:
        known = ", ".join(sorted(kafka.topics))
        raise ConfigError(f"{pipeline.name} reads nothing of {topic}", hint=f"it reads: {known}; as TOPIC or TOPIC:0")
    return moves(aim, chosen, marks, by=by, found=found)


def _is_meant(place: Partition, topic: str) -> bool:
    return topic in (place.topic, f"{place.topic}:{place.partition}")


@contextmanager
def _paused(client: Client, name: str) -> Iterator[None]:
    """Pause a pipeline that a ddpm runs for the block; without a ddpm, or when it is not running, nothing is asked."""
    try:
        state = client.read(PipelineDetailView, client.pipeline(name)).wish
    except SlowError:
        # It may run all the same, and its engines with it.
        raise
    except (AwayError, NotFoundError):
        yield
        return
    runs = state == "run"
    if runs:
        bring_about(client, name, PAUSED, DEFAULT_TIMEOUT)
    try:
        yield
    finally:
        if runs:
            bring_about(client, name, RESUMED, DEFAULT_TIMEOUT)


def _say(pipeline: Pipeline, plan: list[Move]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("topic", "partition", "from", "to", "read again", "skipped", ""):
        table.add_column(heading, justify="left" if heading in ("topic", "") else "right")
    for each in plan:
        before = "none" if each.before is None else str(each.before)
        kept = f"{each.clamped} is not kept" if each.clamped is not None else ""
        places = (plain(each.partition.topic), str(each.partition.partition), before, str(each.after))
        table.add_row(*places, number(each.again), number(each.skipped), kept)
    write_line(f"{plain(pipeline.name)}, consumer group {plain(pipeline.kafka.consumer_group)}:")
    Terminal().print(table)


def _show(answer: dict[str, Any]) -> None:
    write_line(f"{plain(answer['pipeline'])}, consumer group {plain(answer['group'])}:")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("topic", "partition", "earliest", "committed", "end", "lag"):
        table.add_column(heading, justify="left" if heading == "topic" else "right")
    for row in answer["partitions"]:
        reached = "none" if row["committed"] is None else str(row["committed"])
        ends = (str(row["earliest"]), reached, str(row["end"]), number(row["lag"]))
        table.add_row(plain(row["topic"]), str(row["partition"]), *ends)
    Terminal().print(table)


def _as_json(each: Move) -> dict[str, Any]:
    return {
        "topic": each.partition.topic,
        "partition": each.partition.partition,
        "from": each.before,
        "to": each.after,
        "again": each.again,
        "skipped": each.skipped,
        "clamped": each.clamped,
    }
