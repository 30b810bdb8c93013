"""`ddpm trace`: what became of one record."""

from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ddpm.cli.configuration import ConfigOption
from ddpm.cli.messages import progress
from ddpm.cli.output import Terminal, write_line
from ddpm.cli.servers import load_with_servers
from ddpm.cli.text import dumped_answers, plain
from ddpm.deadletters.letter import shown
from ddpm.orchestrator.trace.story import Trace, parse_place, readers_of, trace
from ddpm.privacy import PrivacyFilter, privacy_of


def trace_command(
    place: Annotated[str, typer.Argument(metavar="TOPIC:PARTITION:OFFSET", help="The record.")],
    pipeline: Annotated[
        str | None, typer.Option(help="The pipeline; needed where several read the topic.", show_default=False)
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for tools.")] = False,
    config: ConfigOption = None,
) -> None:
    """Say what became of a record: row, dead letter, in flight, filtered, expired, or never written."""
    wanted = parse_place(place)
    loaded = load_with_servers(config)
    readers = readers_of(loaded, wanted.topic, pipeline)
    found = [_seen(trace(loaded, each, wanted, progress()), privacy_of(each)) for each in readers]
    if as_json:
        answers = [_as_json(each) for each in found]
        write_line(dumped_answers(answers))
        return
    for each in found:
        _show(each, several=len(found) > 1)


def _seen(found: Trace, privacy: PrivacyFilter) -> Trace:
    """What people may see of it."""
    rows = tuple(
        replace(row, columns={name: privacy.cell(name, value) for name, value in row.columns.items()})
        for row in found.rows
    )
    letters, said = tuple(shown(each, privacy) for each in found.letters), found.said
    for letter, own in zip(found.letters, letters, strict=True):
        # It may say the reason.
        said = said.replace(letter.message, own.message) if letter.message else said
    return replace(found, rows=rows, letters=letters, said=said)


def _show(found: Trace, *, several: bool) -> None:
    if several:
        write_line(f"{plain(found.pipeline)}:")
    write_line(f"{plain(str(found.place))}: {found.fate.value}")
    write_line(f"  {plain(found.said)}")
    for row in found.rows:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        for name, value in row.columns.items():
            table.add_row(Text(f"  {plain(name)}"), Text("null" if value is None else plain(value)))
        Terminal().print(table)
    for letter in found.letters:
        write_line(
            f"  dead letter {letter.id}, {plain(letter.stage)}/{plain(letter.code)}: {plain(letter.message)}"
            f"  (ddpm dlq show {letter.id})"
        )


def _as_json(found: Trace) -> dict[str, Any]:
    return {
        "pipeline": found.pipeline,
        "topic": found.place.topic,
        "partition": found.place.partition,
        "offset": found.place.offset,
        "fate": found.fate.value,
        "said": found.said,
        "rows": [{"source": row.source, "present": row.present, "columns": row.columns} for row in found.rows],
        "letters": [
            {
                "id": str(each.id),
                "stage": each.stage,
                "code": each.code,
                "message": each.message,
                "attempt": each.attempt,
            }
            for each in found.letters
        ],
        "start": found.marks.start,
        "end": found.marks.end,
        "committed": found.committed,
    }
