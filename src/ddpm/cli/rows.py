"""`ddpm rows`: the newest rows of a pipeline's table. Reads only."""

from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ddpm.cli.configuration import ConfigOption, named
from ddpm.cli.options import NameArgument
from ddpm.cli.output import Terminal, show, write_line
from ddpm.cli.servers import load_with_servers
from ddpm.cli.text import harmless_json, plain
from ddpm.errors import ConfigError
from ddpm.privacy import privacy_of
from ddpm.store.newest import Newest, newest_rows

DEFAULT_ROWS = 10
MOST_ROWS = 10_000
_LONGEST_VALUE = 200
# In a table that a person looks at.
_LONGEST_CELL = 32


def rows_command(
    first: NameArgument = None,
    second: Annotated[
        str | None, typer.Argument(metavar="N", help=f"How many rows; {DEFAULT_ROWS} without.", show_default=False)
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a row, with whole values.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show the newest rows of a pipeline's table."""
    name, count = _meant([word for word in (first, second) if word is not None])
    pipeline = named(load_with_servers(config, kafka=False), name)
    if pipeline.table is None:
        msg = f"the pipeline {plain(pipeline.name)} writes no table"
        raise ConfigError(msg, hint="its sinks are in the configuration, under sinks:")
    table = pipeline.table.table
    found = newest_rows(pipeline.table.url, table, count, _LONGEST_VALUE)
    privacy = privacy_of(pipeline)
    if as_json:
        for document in found.documents if found else ():
            write_line(harmless_json(privacy.row(document)))
    elif found is None:
        write_line(f"{plain(table)}: there is no such table yet; ddpm run and ddpm provision make it")
    elif not found.rows:
        write_line(f"{plain(table)}: no rows")
    else:
        console = Terminal()
        rows = tuple(tuple(map(privacy.cell, found.columns, row)) for row in found.rows)
        show(console, _drawn(replace(found, rows=rows), console.width if console.is_terminal else None))


def _meant(words: list[str]) -> tuple[str | None, int]:
    """The name, if one is given, and the number; a lone number is not a name, though a pipeline may be called so."""
    count = DEFAULT_ROWS
    if words and words[-1].isascii() and words[-1].lstrip("-").isdecimal():
        count = int(words.pop())
    if len(words) > 1 or not 0 < count <= MOST_ROWS:
        msg = f"write a pipeline's name, a number of rows from 1 to {MOST_ROWS}, or both in this order"
        raise typer.BadParameter(msg, param_hint="[NAME] [N]")
    return (words[0] if words else None), count


def _drawn(found: Newest, width: int | None) -> RenderableType:
    """A table; where a person looks at it and it has no room, each row below the other, a line for each column."""
    longest = _LONGEST_VALUE if width is None else _LONGEST_CELL
    cells = [[_cell(value, longest) for value in row] for row in found.rows]
    names = [plain(column) for column in found.columns]
    needed = sum(max(len(name), *(row[i].cell_len for row in cells)) + 2 for i, name in enumerate(names))
    if width is not None and needed > width:
        return Group(*(_block(names, row) for row in found.rows))
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(Text(name), no_wrap=True)
    for row in cells:
        table.add_row(*row)
    return table


def _block(names: list[str], row: tuple[str | None, ...]) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True, min_width=min(max(map(len, names)), _LONGEST_CELL))
    table.add_column(overflow="ellipsis", no_wrap=True)
    for name, value in zip(names, row, strict=True):
        table.add_row(Text(name), _cell(value, _LONGEST_VALUE))
    return Group(table, Text())


def _cell(value: str | None, longest: int) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    shown = plain(value)
    return Text(shown if len(shown) <= longest else f"{shown[: longest - 1]}…")
