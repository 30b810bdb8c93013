"""What several commands share: the configuration option, and how problems and errors look."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from ddpm.catalogue.parsers import OPTIONS
from ddpm.config import Config, ConfigProblems, find_config_path, format_problems, load
from ddpm.engine.progress import Progress, Terminal
from ddpm.observability import logging
from ddpm.plugins.inspecting import inspect_plugin
from ddpm.plugins.loading import entry_point_names

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The configuration; otherwise CONFIG_PATH names it, or it is ./app-config.yaml.",
        show_default=False,
    ),
]


def load_config(option: Path | None) -> Config:
    """Load the configuration that the option or CONFIG_PATH names, print its warnings, and set logging up."""
    path = find_config_path(option, os.environ)
    result = load(path, os.environ, parsers=OPTIONS, installed=entry_point_names(), inspect=inspect_plugin)
    if result.warnings:
        _print(format_problems(result.warnings), style="yellow")
    logging.configure(result.config.logger.level, style=result.config.logger.format, secrets=result.config.secrets)
    return result.config


def print_problems(problems: ConfigProblems) -> None:
    """Print every problem of a configuration, as a compiler would."""
    _print(str(problems))


def print_error(message: str) -> None:
    """Print one error."""
    Console(stderr=True).print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)


def print_note(message: str) -> None:
    """Print something that is no error and should be known."""
    _print(message, "yellow")


def progress() -> Progress:
    """Shows on standard error what takes long."""
    return Terminal(Console(stderr=True))


def _print(text: str, style: str | None = None) -> None:
    Console(stderr=True).print(text, style=style, markup=False, highlight=False, soft_wrap=True)
