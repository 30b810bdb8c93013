"""`ddpm peek`: single records of a topic, and what a pipeline makes of them; reads outside of any consumer group."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Annotated

import typer
from rich.text import Text

from ddpm.broker.dump import RawRecord, newest, pick
from ddpm.cli.configuration import ConfigOption, named
from ddpm.cli.messages import progress
from ddpm.cli.output import Terminal, write_line
from ddpm.cli.servers import load_with_servers
from ddpm.cli.steps import answered
from ddpm.cli.text import HEX_ROW, harmless_json, hexdump, plain
from ddpm.config.model import Config, Pipeline
from ddpm.config.parts import first_of
from ddpm.deadletters.letter import LAST_MS
from ddpm.errors import ConfigError
from ddpm.orchestrator.dryrun import TooDeepError, Trials, configured, read_answer, shown
from ddpm.orchestrator.dryrun.consumed import consumed
from ddpm.orchestrator.look.tap import seen_of
from ddpm.orchestrator.signals import signal_handler
from ddpm.orchestrator.trace.story import parse_place, readers_of
from ddpm.privacy import privacy_of
from ddpm.server.views import from_epoch, iso
from ddpm.words import counted

DEFAULT_RECORDS = 3
MOST_RECORDS = 1_000
_HEX_ROWS = 16


def peek_command(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[TOPIC:PARTITION:OFFSET|NAME]",
            help="A record, or a pipeline: then the newest records of its topics.",
            show_default=False,
        ),
    ] = None,
    *,
    count: Annotated[
        int, typer.Option("-n", min=1, max=MOST_RECORDS, help="How many of the newest; the newest comes last.")
    ] = DEFAULT_RECORDS,
    pipeline: Annotated[
        str | None, typer.Option(help="The pipeline; needed where several read the topic.", show_default=False)
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Only the bytes, as they lie in the topic.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a record.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show records of a topic: key, headers, bytes, and what becomes of them step by step."""
    loaded = load_with_servers(config)
    owner, records = _chosen(loaded, what, count, pipeline)
    if not records and not as_json:
        write_line(f"no records in {', '.join(map(plain, owner.kafka.topics))}")
    with signal_handler(), ExitStack() as stack:
        trials = None if raw else stack.enter_context(Trials(configured(loaded, owner.name), progress()))
        privacy = privacy_of(owner)
        for record in records:
            answer = None
            # One that is nested too deeply to be shown does not hide those behind it.
            with suppress(TooDeepError):
                answer = shown(trials.answer(consumed(record)), privacy) if trials else None
            seen = seen_of(record, privacy)
            if as_json:
                write_line(record_as_json(seen, answer))
            else:
                _show(owner, seen, answer)


def _chosen(loaded: Config, what: str | None, count: int, name: str | None) -> tuple[Pipeline, list[RawRecord]]:
    if what is None or ":" not in what:
        owner = named(loaded, what or name)
        return owner, newest(owner.kafka.cluster, owner.kafka.topics, count)
    place = parse_place(what)
    owner = first_of(readers_of(loaded, place.topic, name))
    found = list(pick(owner.kafka.cluster, place.topic, {place.partition: [place.offset]}))
    if not found:
        msg = f"there is no record at {plain(what)}"
        raise ConfigError(msg, hint=f"`ddpm trace {plain(what)}` says why; `ddpm peek` shows the newest ones")
    return owner, found


def _show(owner: Pipeline, record: RawRecord, answer: str | None) -> None:
    console = Terminal()
    lines = Text("\n").join(Text(line, style="dim") for line in about(record))
    label = f"{plain(record.topic)}:{record.partition}:{record.offset}"
    if answer is None:
        value = record.value
        console.print(Text(f"{label}: {'null' if value is None else f'{len(value)} bytes'}", style="bold"))
        console.print(lines, soft_wrap=True)
        for line in list(hexdump(value or b""))[:_HEX_ROWS]:
            console.print(Text(f"  {line}"), soft_wrap=True)
        if value is not None and len(value) > _HEX_ROWS * HEX_ROW:
            console.print(Text(f"  … {counted(len(value) - _HEX_ROWS * HEX_ROW, 'byte')} more"))
        return
    table = owner.known_table
    console.print(lines, soft_wrap=True)
    console.print(answered(read_answer(answer), label, table.table if table else None), soft_wrap=True)


def about(record: RawRecord) -> Iterator[str]:
    """When a record was written, its key and its headers, a line each; a producer may have given any time."""
    if record.timestamp >= 0:
        yield f"  at {iso(from_epoch(min(record.timestamp, LAST_MS) / 1000))}"
    yield "  no key" if record.key is None else f"  key {plain(record.key.decode(errors='backslashreplace'))}"
    for name, value in record.headers:
        shown = "null" if value is None else plain(value.decode(errors="backslashreplace"))
        yield f"  header {plain(name)}: {shown}"


def record_as_json(record: RawRecord, answer: str | None) -> str:
    """A record, and what becomes of it, on one line."""
    fields = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp if record.timestamp >= 0 else None,
        "key": _text(record.key),
        "headers": [{"name": name, "value": _text(value)} for name, value in record.headers],
        "value": _text(record.value),
    }
    # Put in as it is: in the engine's answer numbers have all of their digits.
    return harmless_json(f'{json.dumps(fields)[:-1]}, "answer": {answer or "null"}}}')


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")
