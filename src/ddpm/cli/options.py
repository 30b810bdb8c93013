"""Options and questions that several commands share."""

import os
from typing import Annotated

import typer
from typer.models import ArgumentInfo

from ddpm.cli.names import complete_name
from ddpm.errors import ConfigError


def _pipeline(metavar: str) -> ArgumentInfo:
    help_ = "The pipeline; needed where there are several."
    argument: ArgumentInfo = typer.Argument(
        metavar=metavar, help=help_, show_default=False, autocompletion=complete_name
    )
    return argument


NameArgument = Annotated[str | None, _pipeline("NAME")]
PipelineArgument = Annotated[str | None, _pipeline("PIPELINE")]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="TIME", help="Only what failed then or later: 2026-11-23T08:00:00Z, or 2h for two hours ago."
    ),
]
ToOption = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only what failed before then.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for tools.")]


def agreed(question: str, yes: bool, otherwise: str = "--dry-run") -> bool:
    """Whether the person says yes; raises ConfigError where there is no terminal to confirm on.

    `otherwise` is what only shows what would be done.
    """
    if yes:
        return True
    if not os.isatty(0):
        msg = "there is no terminal on which to confirm this"
        raise ConfigError(msg, hint=f"pass --yes, or {otherwise} to see what would be done")
    return typer.confirm(question, err=True, abort=True)
