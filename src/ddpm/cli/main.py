"""The command `ddpm` itself, and the one place where an error becomes a message and an exit code."""

import os
import sys
from typing import Annotated

import typer

import ddpm
from ddpm.cli.commands import Commands
from ddpm.cli.examples import WELCOME
from ddpm.errors import DdpmError, ExitCode, Interrupted

app = typer.Typer(
    name="ddpm",
    cls=Commands,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"ddpm {ddpm.__version__}")
        raise typer.Exit


@app.callback()
def welcome(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version of ddpm and exit.")
    ] = False,
) -> None:
    """Distributed Data Pipeline Manager: one YAML file becomes a supervised Kafka to Postgres pipeline."""
    if context.invoked_subcommand is None:
        typer.echo(WELCOME, nl=False)


def main() -> None:
    """Run the command line and end the process with the exit code that the README lists."""
    try:
        app()
    except DdpmError as error:
        _print(error)
        sys.exit(error.exit_code)
    except Interrupted as interrupted:
        sys.exit(interrupted.exit_code)
    except BrokenPipeError:
        # The reader has gone (`ddpm render | head`); Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.OK)


def _print(error: DdpmError) -> None:
    from ddpm.cli.messages import print_error, print_problems
    from ddpm.config.problems import ConfigProblems

    if isinstance(error, ConfigProblems):
        print_problems(error)
    else:
        print_error(str(error))
