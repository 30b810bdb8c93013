"""`ddpm dlq`: the dead letters of a pipeline: list, show, discard; `replaying` has the rest.

It reads Kafka itself, by the configuration: dead letters can be worked with while no ddpm runs.
"""

import secrets
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ddpm import words
from ddpm.cli.configuration import ConfigOption, meant, named, names_of, read_config
from ddpm.cli.letters import drawn
from ddpm.cli.messages import print_note
from ddpm.cli.options import DryRunOption, FromOption, JsonOption, PipelineArgument, ToOption, YesOption, agreed
from ddpm.cli.output import Terminal, show, write_line
from ddpm.cli.recording import recorded
from ddpm.cli.servers import with_servers
from ddpm.cli.text import dumped, dumped_answers, number, plain
from ddpm.config.model import Config, Pipeline
from ddpm.deadletters.index import Entry, summarize
from ddpm.deadletters.letter import DeadLetter, LetterId, shown
from ddpm.deadletters.resolution import Resolution
from ddpm.deadletters.selection import Selection, moment
from ddpm.deadletters.store import DeadLetterStore
from ddpm.errors import ConfigError, DdpmError
from ddpm.names import means
from ddpm.orchestrator.dead_letter_stores import dead_letter_stores
from ddpm.privacy import privacy_of
from ddpm.server.letters import letter_view, letters_view, line_view

app = typer.Typer(help="Dead letters: records that could not be written, with the reason.", no_args_is_help=True)

DEFAULT_LIMIT = 50

ReasonOption = Annotated[
    list[str] | None,
    typer.Option("--reason", help="Only with this code, stage or STAGE/CODE; may be repeated.", show_default=False),
]
MessageOption = Annotated[
    str | None,
    typer.Option("--message", help="Only with this message, as the list by reason shows it.", show_default=False),
]
SinkOption = Annotated[
    list[str] | None,
    typer.Option("--sink", help="Only what this sink did not get; may be repeated.", show_default=False),
]
IdOption = Annotated[
    list[str] | None,
    typer.Option("--id", metavar="ID", help="Only this letter, PARTITION:OFFSET; may be repeated.", show_default=False),
]


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters the options name, before ids are looked up."""

    reasons: list[str] | None
    message: str | None
    since: str | None
    until: str | None
    ids: list[str] | None
    sinks: list[str] | None

    def selection(self, store: DeadLetterStore, pipeline: str, others: Collection[str] = ()) -> Selection:
        """What they mean now for a pipeline.

        Raises ConfigError for what cannot be read, and for an id that is neither the pipeline's nor that of `others`.
        """
        now = datetime.now(UTC)
        return Selection(
            reasons=tuple(self.reasons or ()),
            since_ms=moment(self.since, now) if self.since else None,
            until_ms=moment(self.until, now) if self.until else None,
            ids=frozenset(_standing_for(store, pipeline, others, self.ids)) if self.ids else None,
            patterns=() if self.message is None else (self.message,),
            sinks=tuple(self.sinks or ()),
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
    sink: SinkOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List open dead letters by reason; without a pipeline those of all."""
    loaded = with_servers(read_config(config).config)
    chosen = meant(loaded, pipeline) if pipeline is not None else loaded.pipelines
    views = []
    with read_stores(loaded, chosen) as read:
        for each in chosen:
            store = read[each.name]
            selection = LetterFilter(reason, message, since, until, None, sink).selection(store, each.name)
            entries = store.entries(each.name, selection, handled=everything)
            newest = sorted(entries, key=lambda entry: (entry.failed_at_ms, entry.id), reverse=True)[:limit]
            privacy = privacy_of(each)
            found = [shown(letter, privacy) for letter in _read(store, each.name, newest)] if letters else []
            lines = [line_view(letter, store.entry(letter)) for letter in found]
            view = letters_view(each.name, store.topic, store.depth(each.name), summarize(entries), lines)
            views.append(view)
            if not as_json and letters:
                _show_lines(each.name, found, len(entries), store)
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
    loaded = with_servers(read_config(config).config)
    owner = named(loaded, pipeline) if pipeline or _one_topic(loaded) is None else loaded.pipelines[0]
    with read_store(loaded, owner) as store:
        letter = _letter(store, wanted, pipeline)
        if pipeline is not None and not means(pipeline, letter.pipeline):
            msg = f'dead letter {wanted} belongs to the pipeline "{plain(letter.pipeline)}"'
            raise ConfigError(msg, hint=f"ask for --pipeline {plain(letter.pipeline)}")
        of = next((each for each in loaded.pipelines if each.name == letter.pipeline), owner)
        letter = shown(letter, privacy_of(of))
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
    sink: SinkOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Count dead letters as dealt with; the records stay in the topic, and nothing is written anywhere else."""
    loaded = with_servers(read_config(config).config)
    wanted = LetterFilter(reason, message, since, until, letter_id, sink)
    answers = []
    owners = meant(loaded, pipeline)
    for owner in owners:
        with read_store(loaded, owner) as store:
            entries = store.entries(owner.name, wanted.selection(store, owner.name, names_of(owners)))
            run = new_run()
            done = not dry_run and bool(entries) and agreed(f"Discard {counted(len(entries))} of {owner.name}?", yes)
            if done:
                with recorded(loaded, "discard dead letters", owner.name, letters=len(entries), run=run):
                    store.mark(each.resolved(Resolution.DISCARDED, _now_ms(), run) for each in entries)
        discarded = len(entries) if done else 0
        answers.append({"pipeline": owner.name, "meant": len(entries), "discarded": discarded, "run": run})
        if not as_json and done:
            write_line(f"{counted(len(entries))} of {plain(owner.name)} discarded")
        elif not as_json:
            say_meant(owner.name, entries)
    if as_json:
        write_line(dumped_answers(answers))


def new_run() -> str:
    """A name for what this command does, as marks remember it."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


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
        sink = f"  sink {plain(letter.sink)}" if letter.sink and len(store.sinks(pipeline)) > 1 else ""
        origin = plain(str(letter.origin)) if letter.origin else "-"
        write_line(
            f"{letter.id}  {_time(letter.failed_at_ms)}  {origin}  {plain(letter.stage)}/{plain(letter.code)}"
            f"{sink}{attempt}{ended}  {plain(letter.message)}"
        )
    if total > len(letters) > 0:
        write_line(f"… and {number(total - len(letters))} more; --limit shows more")


def _read(store: DeadLetterStore, pipeline: str, entries: Sequence[Entry]) -> list[DeadLetter]:
    found = {letter.id: letter for letter in store.letters((each.id for each in entries), pipeline)}
    return [replace(found[each.id], sink=each.sink) for each in entries if each.id in found]


def _standing_for(
    store: DeadLetterStore, pipeline: str, others: Collection[str], texts: Sequence[str]
) -> Iterator[LetterId]:
    wanted = {LetterId.parse(text) for text in texts}
    for letter in store.letters(wanted, pipeline):
        entry = store.entry(letter)
        if letter.pipeline != pipeline and letter.pipeline not in others:
            msg = f'dead letter {letter.id} belongs to the pipeline "{plain(letter.pipeline)}", not to {pipeline}'
            raise ConfigError(msg)
        wanted.discard(letter.id)
        if entry is not None and letter.pipeline == pipeline:
            yield entry.id
    for missing in sorted(wanted):
        raise _missing(store, missing)


def _letter(store: DeadLetterStore, wanted: LetterId, pipeline: str | None) -> DeadLetter:
    for letter in store.letters([wanted], pipeline):
        return letter
    raise _missing(store, wanted)


def _missing(store: DeadLetterStore, wanted: LetterId) -> DdpmError:
    msg = f"there is no dead letter {wanted} in topic {store.topic}"
    return ConfigError(msg, hint="Kafka may have let it go; `ddpm dlq list --letters` shows those that are there")


@contextmanager
def read_store(config: Config, pipeline: Pipeline) -> Iterator[DeadLetterStore]:
    """The store of a pipeline of a configuration, read to its end."""
    with read_stores(config, [pipeline]) as found:
        yield found[pipeline.name]


@contextmanager
def read_stores(config: Config, pipelines: Sequence[Pipeline]) -> Iterator[dict[str, DeadLetterStore]]:
    """The stores of pipelines of a configuration by name, each topic read to its end once."""
    found = dead_letter_stores(pipelines, config.pipelines)
    try:
        for store in set(found.by_pipeline.values()):
            store.read_all()
            for trouble in store.troubles:
                print_note(f"letters that were too large for {store.topic} cannot be shown: {trouble}")
        yield found.by_pipeline
    finally:
        found.close()


def _one_topic(config: Config) -> str | None:
    topics = {(each.kafka.cluster, each.dead_letter.topic) for each in config.pipelines}
    return next(iter(topics))[1] if len(topics) == 1 else None


def counted(count: int) -> str:
    """So many dead letters, in words."""
    return words.counted(count, "dead letter")


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _now_ms() -> int:
    return int(time.time() * 1000)
