"""Where the control commands print: standard output for answers, standard error for what happens on the way."""

import io
import sys
from typing import TextIO

from rich.console import Console, RenderableType

# Wide enough for every reason: what other tools read has one line for each thing.
_UNBROKEN = 100_000


class Terminal(Console):
    """A console that passes on that its reader has gone, and writes what it can where an encoding lacks a character."""

    def __init__(self, *, stderr: bool = False) -> None:
        _forgive(sys.stderr if stderr else sys.stdout)
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """End as every command does whose reader has gone, not with rich's own exit code."""
        raise BrokenPipeError


def show(console: Console, picture: RenderableType) -> None:
    """Print a picture on a terminal as it fits there, and elsewhere line by line, unbroken."""
    if console.is_terminal:
        console.print(picture)
        return
    drawn = io.StringIO()
    Console(file=drawn, width=_UNBROKEN, color_system=None).print(picture)
    for line in drawn.getvalue().splitlines():
        # Columns are padded to their width; a tool or a file has no use for blanks at the end of a line.
        write_line(line.rstrip())


def write_line(text: str) -> None:
    """Write a line to standard output, at once: anyone who reads a pipe waits for it."""
    _forgive(sys.stdout)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _forgive(stream: TextIO) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
