"""`ddpm version`."""

import typer

import ddpm


def version_command() -> None:
    """Print the version of ddpm."""
    typer.echo(ddpm.__version__)
