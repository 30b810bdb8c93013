"""`ddpm engine`: build the engine, and say which one is used."""

from pathlib import Path
from typing import Annotated

import typer

from ddpm.cli.messages import progress
from ddpm.engine import binary

app = typer.Typer(help="The engine that moves the records.", no_args_is_help=True)


@app.command()
def install() -> None:
    """Build the pinned engine into the cache folder, once; later calls answer at once."""
    typer.echo(binary.install(progress()))


@app.command()
def version(
    engine: Annotated[Path | None, typer.Option("--binary", help="Ask this binary instead of the built one.")] = None,
) -> None:
    """Print the version of the engine."""
    typer.echo(binary.version(binary.locate(engine, progress())))
