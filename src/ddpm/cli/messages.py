"""How problems, errors and notes look, and what takes long: all on standard error."""

from rich.console import Console
from rich.markup import escape

from ddpm.config import ConfigProblems, Problem, format_problems
from ddpm.engine.progress import Progress, Terminal


def print_problems(problems: ConfigProblems) -> None:
    """Print every problem of a configuration, as a compiler would."""
    _print(str(problems))


def print_warnings(warnings: tuple[Problem, ...]) -> None:
    """Print what is odd about a configuration; nothing when nothing is."""
    if warnings:
        _print(format_problems(warnings), style="yellow")


def print_error(message: str) -> None:
    """Print one error."""
    Console(stderr=True).print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)


def print_note(message: str) -> None:
    """Print something that is not an error and should be known."""
    _print(message, "yellow")


def progress() -> Progress:
    """Shows on standard error what takes long."""
    return Terminal(Console(stderr=True))


def _print(text: str, style: str | None = None) -> None:
    Console(stderr=True).print(text, style=style, markup=False, highlight=False, soft_wrap=True)
