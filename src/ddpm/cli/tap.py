"""`ddpm tap`: records of a pipeline as they come, without its group having a part in it."""

import json
import signal
from typing import Annotated

import typer
from rich.text import Text

from ddpm.broker.dump import RawRecord
from ddpm.cli.configuration import ConfigOption, named
from ddpm.cli.letters import moment
from ddpm.cli.messages import progress
from ddpm.cli.options import NameArgument
from ddpm.cli.output import Terminal, write_line
from ddpm.cli.peek import record_as_json
from ddpm.cli.servers import load_with_servers
from ddpm.cli.text import harmless_json, number, plain
from ddpm.errors import Interrupted
from ddpm.exact import compact, loads
from ddpm.orchestrator.dryrun import Result
from ddpm.orchestrator.look.tap import LeftOut, Point, Seen, Wanted, fields, tapped
from ddpm.orchestrator.signals import signal_handler

DEFAULT_RATE = 10
MOST_RATE = 1_000
_HEX_BYTES = 24
_CTRL_C = 128 + signal.SIGINT


def tap_command(
    name: NameArgument = None,
    *,
    at: Annotated[
        Point,
        typer.Option(help="Where to look: as records lie in their topics, as they would be written, or dead letters."),
    ] = Point.SOURCE,
    condition: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="BLOBLANG",
            help="Only where this is true, for example 'this.amount > 100'.",
            show_default=False,
        ),
    ] = None,
    rate: Annotated[
        int, typer.Option(min=1, max=MOST_RATE, help="So many records a second at most; others are left out.")
    ] = DEFAULT_RATE,
    count: Annotated[int | None, typer.Option("-n", min=1, help="End after so many.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a record.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show records of a pipeline as they come, until Ctrl-C; the pipeline is not touched."""
    loaded = load_with_servers(config)
    owner = named(loaded, name)
    notices = Terminal(stderr=True)
    shown = 0
    try:
        with signal_handler(), tapped(loaded, owner, Wanted(at, condition, rate), progress()) as records:
            begin = f"-- {plain(owner.name)}, {at.value}: waiting for records, Ctrl-C ends"
            notices.print(Text(begin, style="bright_black"))
            for each in records:
                if isinstance(each, LeftOut):
                    notices.print(Text(f"-- {number(each.count)} left out (--rate {rate})", style="bright_black"))
                    continue
                _print(each, as_json=as_json)
                shown += 1
                if shown == count:
                    break
    except Interrupted as interrupted:
        if interrupted.exit_code != _CTRL_C:
            raise


def _print(seen: Seen, *, as_json: bool) -> None:
    if not as_json:
        Terminal().print(_line(seen), soft_wrap=True)
    elif seen.letter is not None:
        write_line(harmless_json(json.dumps({"id": str(seen.letter.id), **fields(seen.letter)}, ensure_ascii=False)))
    else:
        write_line(record_as_json(seen.record, seen.answer))


def _line(seen: Seen) -> Text:
    """A record on one line, or on one for each row that it has become."""
    record = seen.record
    if (letter := seen.letter) is not None:
        where = str(letter.origin) if letter.origin else "unknown origin"
        reason = f"{letter.stage}/{letter.code}: {letter.message}".splitlines()[0]
        return _labelled(f"{letter.id}  {where}", record).append(plain(reason), style="red")
    label = _labelled(f"{record.topic}:{record.partition}:{record.offset}", record)
    if not seen.written:
        return label.append(plain(_value(record)))
    return Text("\n").join(label.copy().append(_row(each)) for each in seen.written)


def _labelled(label: str, record: RawRecord) -> Text:
    text = Text(plain(label), style="").append("  ")
    text.stylize("cyan")
    if record.timestamp >= 0:
        text.append(f"{moment(record.timestamp)}  ", style="bright_black")
    if record.key:
        text.append(f"{plain(record.key.decode(errors='backslashreplace'))}  ", style="bold")
    return text


def _row(result: Result) -> Text:
    if not result.columns:
        return Text(plain(compact(result.document)) if not isinstance(result.document, bytes) else "(bytes)")
    cells = (f"{plain(cell.column)}={'NULL' if cell.value is None else plain(cell.value)}" for cell in result.columns)
    return Text("  ".join(cells))


def _value(record: RawRecord) -> str:
    if record.value is None:
        return "null"
    try:
        text = record.value.decode()
    except UnicodeDecodeError:
        begin = record.value[:_HEX_BYTES].hex(" ")
        return f"({len(record.value)} bytes) {begin}{' …' if len(record.value) > _HEX_BYTES else ''}"
    try:
        return compact(loads(text))
    except (ValueError, RecursionError):
        return text
