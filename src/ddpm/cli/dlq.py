"""`ddpm dlq`: the dead letters of a pipeline: list, show, discard; `replaying` has the rest.

It reads Kafka itself, by the configuration: dead letters can be worked with while no ddpm runs.
"""

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ddpm import words
from ddpm.catalogue.parsers import OPTIONS
from ddpm.cli.common import ConfigOption, load_config, print_note
from ddpm.cli.letters import drawn
from ddpm.cli.names import complete_name
from ddpm.cli.output import Terminal, show, write_line
from ddpm.cli.text import dumped, number, plain
from ddpm.config import find_config_path, load
from ddpm.config.known import did_you_mean
from ddpm.config.model import Config, Pipeline
from ddpm.deadletters.index import Entry, summarize
from ddpm.deadletters.letter import DeadLetter, LetterId
from ddpm.deadletters.resolution import Resolution, ResolutionRecord
from ddpm.deadletters.selection import Selection, moment
from ddpm.deadletters.store import DeadLetterStore
from ddpm.devstack.running import running_bootstrap, running_dsn
from ddpm.errors import ConfigError, DdpmError
from ddpm.orchestrator.dead_letter_stores import dead_letter_stores
from ddpm.orchestrator.embedded import Endpoints
from ddpm.orchestrator.prepare import DATA_DIR
from ddpm.plugins.loading import entry_point_names
from ddpm.server.letters import letter_view, letters_view, line_view

app = typer.Typer(help="Dead letters: records that could not be written, with the reason.", no_args_is_help=True)

DEFAULT_LIMIT = 50

PipelineArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="PIPELINE",
        help="The pipeline; needed where there are several.",
        show_default=False,
        autocompletion=complete_name,
    ),
]
ReasonOption = Annotated[
    list[str] | None,
    typer.Option("--reason", help="Only with this code, stage or STAGE/CODE; may be repeated.", show_default=False),
]
MessageOption = Annotated[
    str | None,
    typer.Option("--message", help="Only with this message, as the list by reason shows it.", show_default=False),
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="TIME", help="Only what failed then or later: 2026-11-23T08:00:00Z, or 2h for two hours ago."
    ),
]
ToOption = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only what failed before then.")]
IdOption = Annotated[
    list[str] | None,
    typer.Option("--id", metavar="ID", help="Only this letter, PARTITION:OFFSET; may be repeated.", show_default=False),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for tools.")]


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters the options name, before ids are looked up."""

    reasons: list[str] | None
    message: str | None
    since: str | None
    until: str | None
    ids: list[str] | None

    def selection(self, store: DeadLetterStore, pipeline: str) -> Selection:
        """What they mean now; raises ConfigError for what cannot be read, and for an id that is not the pipeline's."""
        now = datetime.now(UTC)
        return Selection(
            reasons=tuple(self.reasons or ()),
            since_ms=moment(self.since, now) if self.since else None,
            until_ms=moment(self.until, now) if self.until else None,
            ids=frozenset(_standing_for(store, pipeline, self.ids)) if self.ids else None,
            patterns=() if self.message is None else (self.message,),
        )


@app.command("list")
def list_command(
    pipeline: PipelineArgument = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also those that were handled already.")] = False,
    letters: Annotated[bool, typer.Option("--letters", help="One line a letter, the newest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="With --letters: at most so many.")] = DEFAULT_LIMIT,
    reason: ReasonOption = None,
    message: MessageOption = None,
    since: FromOption = None,
    until: ToOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List open dead letters by reason; without a pipeline those of all."""
    loaded = _load(config)
    chosen = [named(loaded, pipeline)] if pipeline is not None else list(loaded.pipelines)
    views = []
    with read_stores(chosen) as read:
        for each in chosen:
            store = read[each.name]
            selection = LetterFilter(reason, message, since, until, None).selection(store, each.name)
            entries = store.entries(each.name, selection, handled=everything)
            newest = sorted(entries, key=lambda entry: (entry.failed_at_ms, entry.id), reverse=True)[:limit]
            shown = _read(store, newest) if letters else []
            lines = [line_view(letter, store.entry(letter)) for letter in shown]
            view = letters_view(each.name, store.topic, store.depth(each.name), summarize(entries), lines)
            views.append(view)
            if not as_json and letters:
                _show_lines(each.name, shown, len(entries), store)
            elif not as_json:
                _show_reasons(each.name, entries, everything=everything)
    if as_json:
        write_line(dumped([view.model_dump(mode="json", exclude={"replay", "complete"}) for view in views], indent=2))


@app.command("show")
def show_command(
    letter_id: Annotated[
        str, typer.Argument(metavar="ID", help="PARTITION:OFFSET in the topic of dead letters, or table:ID.")
    ],
    pipeline: Annotated[str | None, typer.Option(help="The pipeline; needed where topics differ.")] = None,
    *,
    as_hex: Annotated[bool, typer.Option("--hex", help="The bytes in hexadecimal.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show a dead letter: the reason, where it came from, its headers, key and bytes."""
    wanted = LetterId.parse(letter_id)
    loaded = _load(config)
    owner = named(loaded, pipeline) if pipeline or _one_topic(loaded) is None else loaded.pipelines[0]
    with read_store(owner) as store:
        letter = _letter(store, wanted)
        if pipeline is not None and letter.pipeline != pipeline:
            msg = f'dead letter {wanted} belongs to the pipeline "{plain(letter.pipeline)}"'
            raise ConfigError(msg, hint=f"ask for --pipeline {plain(letter.pipeline)}")
        view = letter_view(letter, store.entry(letter))
    if as_json:
        write_line(dumped(view.model_dump(mode="json"), indent=2))
        return
    console = Terminal()
    console.print(drawn(letter, view, as_hex=as_hex), soft_wrap=True)


@app.command("discard")
def discard_command(
    pipeline: PipelineArgument = None,
    *,
    reason: ReasonOption = None,
    message: MessageOption = None,
    since: FromOption = None,
    until: ToOption = None,
    letter_id: IdOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Count dead letters as dealt with; the records stay in the topic, and nothing is written anywhere else."""
    owner = named(_load(config), pipeline)
    with read_store(owner) as store:
        entries = store.entries(
            owner.name, LetterFilter(reason, message, since, until, letter_id).selection(store, owner.name)
        )
        run = new_run()
        done = not dry_run and bool(entries) and agreed(f"Discard {counted(len(entries))} of {owner.name}?", yes)
        if done:
            store.mark(
                ResolutionRecord(e.id, e.pipeline, e.origin, e.attempt, Resolution.DISCARDED, _now_ms(), run)
                for e in entries
            )
    if as_json:
        answer = {"pipeline": owner.name, "meant": len(entries), "discarded": len(entries) if done else 0, "run": run}
        write_line(dumped(answer, indent=2))
    elif done:
        write_line(f"{counted(len(entries))} of {plain(owner.name)} discarded")
    else:
        say_meant(owner.name, entries)


def new_run() -> str:
    """A name for what this command does, as marks remember it."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def agreed(question: str, yes: bool) -> bool:
    """Whether the person says yes; raises ConfigError where there is no terminal to confirm on."""
    if yes:
        return True
    if not os.isatty(0):
        msg = "there is no terminal on which to confirm this"
        raise ConfigError(msg, hint="pass --yes, or --dry-run to see what would be done")
    return typer.confirm(question, err=True, abort=True)


def say_meant(pipeline: str, entries: Sequence[Entry]) -> None:
    """Print which letters a command would touch."""
    if not entries:
        write_line(f"no open dead letter of {plain(pipeline)} is selected")
        return
    write_line(f"{counted(len(entries))} of {plain(pipeline)} selected:")
    _print_reasons(entries)


def _show_reasons(pipeline: str, entries: list[Entry], *, everything: bool) -> None:
    if not entries:
        write_line(f"{plain(pipeline)}: no {'' if everything else 'open '}dead letters")
        return
    write_line(f"{plain(pipeline)}: {counted(len(entries))}{'' if everything else ' open'}")
    _print_reasons(entries)


def _print_reasons(entries: Sequence[Entry]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("stage", "code", "message", "count", "first", "last", "for example"):
        table.add_column(heading, justify="right" if heading == "count" else "left", overflow="fold")
    for each in summarize(entries):
        stage, code, pattern = (Text(plain(text)) for text in each.reason)
        times = (_time(each.first_ms), _time(each.last_ms))
        table.add_row(stage, code, pattern, number(each.count), *times, str(each.example))
    show(Terminal(), table)


def _show_lines(pipeline: str, letters: Sequence[DeadLetter], total: int, store: DeadLetterStore) -> None:
    if not letters:
        write_line(f"{plain(pipeline)}: no open dead letters")
    for letter in letters:
        view = line_view(letter, store.entry(letter))
        ended = f"  [{view.handled.deed.value.replace('_', ' ')}]" if view.handled else ""
        attempt = f"  attempt {letter.attempt}" if letter.attempt > 1 else ""
        origin = plain(str(letter.origin)) if letter.origin else "-"
        write_line(
            f"{letter.id}  {_time(letter.failed_at_ms)}  {origin}  {plain(letter.stage)}/{plain(letter.code)}{attempt}"
            f"{ended}  {plain(letter.message)}"
        )
    if total > len(letters) > 0:
        write_line(f"… and {number(total - len(letters))} more; --limit shows more")


def _read(store: DeadLetterStore, entries: Sequence[Entry]) -> list[DeadLetter]:
    found = {letter.id: letter for letter in store.letters(each.id for each in entries)}
    return [found[each.id] for each in entries if each.id in found]


def _standing_for(store: DeadLetterStore, pipeline: str, texts: Sequence[str]) -> Iterator[LetterId]:
    wanted = {LetterId.parse(text) for text in texts}
    for letter in store.letters(wanted):
        entry = store.entry(letter)
        if letter.pipeline != pipeline:
            msg = f'dead letter {letter.id} belongs to the pipeline "{plain(letter.pipeline)}", not to {pipeline}'
            raise ConfigError(msg)
        wanted.discard(letter.id)
        if entry is not None:
            yield entry.id
    for missing in sorted(wanted):
        raise _missing(store, missing)


def _letter(store: DeadLetterStore, wanted: LetterId) -> DeadLetter:
    for letter in store.letters([wanted]):
        return letter
    raise _missing(store, wanted)


def _missing(store: DeadLetterStore, wanted: LetterId) -> DdpmError:
    msg = f"there is no dead letter {wanted} in topic {store.topic}"
    return ConfigError(msg, hint="Kafka may have let it go; `ddpm dlq list --letters` shows those that are there")


@contextmanager
def read_store(pipeline: Pipeline) -> Iterator[DeadLetterStore]:
    """The store of a pipeline, read to its end."""
    with read_stores([pipeline]) as found:
        yield found[pipeline.name]


@contextmanager
def read_stores(pipelines: Sequence[Pipeline]) -> Iterator[dict[str, DeadLetterStore]]:
    """The stores of pipelines by name, each topic read to its end once."""
    found = dead_letter_stores(pipelines)
    try:
        for store in set(found.by_pipeline.values()):
            store.read_all()
            for trouble in store.troubles:
                print_note(f"letters that were too large for {store.topic} cannot be shown: {trouble}")
        yield found.by_pipeline
    finally:
        found.close()


def _load(option: Path | None) -> Config:
    path = find_config_path(option, os.environ)
    config = load(path, os.environ, parsers=OPTIONS, installed=entry_point_names()).config
    return _with_servers(config)


def load_with_servers(option: Path | None, *, kafka: bool = True) -> Config:
    """The configuration as for a run: checked whole, with the addresses of the embedded servers that it asks for.

    Without `kafka` for a command that asks no broker.
    """
    return _with_servers(load_config(option), kafka=kafka)


def _with_servers(config: Config, *, kafka: bool = True) -> Config:
    if kafka and any(pipeline.kafka.embedded for pipeline in config.pipelines):
        config = Endpoints(bootstrap=running_bootstrap(DATA_DIR)).resolve(config)
    if any(pipeline.postgres is not None and pipeline.postgres.embedded for pipeline in config.pipelines):
        config = Endpoints(dsn=running_dsn(DATA_DIR)).resolve(config)
    return config


def named(config: Config, name: str | None) -> Pipeline:
    """The pipeline of a name, or the only one; raises ConfigError when there is none such."""
    known = [pipeline.name for pipeline in config.pipelines]
    if name is None:
        if len(known) == 1:
            return config.pipelines[0]
        raise ConfigError(f"{config.path} has several pipelines", hint=f"name one of them: {', '.join(known)}")
    for pipeline in config.pipelines:
        if pipeline.name == name:
            return pipeline
    msg = f'{config.path} has no pipeline "{plain(name)}"'
    raise ConfigError(msg, hint=did_you_mean(name, known) or f"there are: {', '.join(known)}")


def _one_topic(config: Config) -> str | None:
    topics = {(each.kafka.brokers, each.dead_letter.topic) for each in config.pipelines}
    return next(iter(topics))[1] if len(topics) == 1 else None


def counted(count: int) -> str:
    """So many dead letters, in words."""
    return words.counted(count, "dead letter")


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _now_ms() -> int:
    return int(time.time() * 1000)
