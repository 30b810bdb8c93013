"""`ddpm init` and `ddpm schema`: what one needs to write a configuration."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ddpm.cli.output import write_line
from ddpm.starter import SAMPLE, schema_text, write_starter


def init_command(
    folder: Annotated[Path, typer.Argument(help="Created if it does not exist.", file_okay=False)] = Path(),
) -> None:
    """Write a configuration to begin with, records and cases for it, its JSON Schema; existing files are left alone."""
    for path in write_starter(folder):
        write_line(f"wrote {path}")
    enter = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    write_line(f"next: {enter}ddpm run --seed {SAMPLE}")


def schema_command() -> None:
    """Print the JSON Schema of a configuration, for editors that complete and check while one types."""
    write_line(schema_text().rstrip())
