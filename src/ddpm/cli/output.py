"""Where the control commands print: standard output for answers, standard error for what happens on the way."""

import sys
from typing import TextIO

from rich.console import Console


class Terminal(Console):
    """A console that passes on that its reader has gone, and writes what it can where an encoding lacks a character."""

    def __init__(self, *, stderr: bool = False) -> None:
        _forgive(sys.stderr if stderr else sys.stdout)
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """End as every command does whose reader has gone, not with rich's own exit code."""
        raise BrokenPipeError


def write_line(text: str) -> None:
    """Write a line to standard output, at once: whoever reads a pipe waits for it."""
    _forgive(sys.stdout)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _forgive(stream: TextIO) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
