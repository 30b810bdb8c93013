"""What `ddpm init` writes: a configuration for the embedded servers, with records and cases. Knows no command."""

import json
import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from ddpm.components.registry import pipeline_type
from ddpm.config import json_schema
from ddpm.errors import ConfigError, MissingToolError

CONFIG = "app-config.yaml"
SAMPLE = "orders.ndjson"
CASES = "orders.cases.yaml"
SCHEMA = "app-config.schema.json"
IGNORED = ".gitignore"
# A package with a real .gitignore in it would lose files when it is built.
_KEPT_AS = {CONFIG: CONFIG, SAMPLE: SAMPLE, CASES: CASES, IGNORED: "gitignore"}


def write_starter(folder: Path) -> tuple[Path, ...]:
    """Write the starter into `folder`, which is made if need be; return the files. A .gitignore of its own stays.

    Raises:
        ConfigError: Another of the files is there already; nothing was written.
        MissingToolError: The folder cannot be written.

    """
    wanted = dict(_contents())
    there = [name for name in wanted if os.path.lexists(folder / name)]
    if IGNORED in there:
        there.remove(IGNORED)
        del wanted[IGNORED]
    if there:
        msg = f"{folder} already has {', '.join(there)}; nothing was written"
        raise ConfigError(msg, hint="name another folder: ddpm init FOLDER")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tuple(_written(folder / name, text) for name, text in wanted.items())
    except OSError as error:
        msg = f"{folder} cannot be written: {error.strerror}"
        raise MissingToolError(msg, hint="name another folder: ddpm init FOLDER") from error


def schema_text() -> str:
    """The JSON Schema of a configuration as a file has it."""
    return f"{json.dumps(json_schema(pipeline_type()), indent=2, ensure_ascii=False)}\n"


def _contents() -> Iterator[tuple[str, str]]:
    for name, kept_as in _KEPT_AS.items():
        yield name, (files(__name__) / kept_as).read_text(encoding="utf-8")
    yield SCHEMA, schema_text()


def _written(path: Path, text: str) -> Path:
    # Exclusively: anyone who made the file since the look keeps it.
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path
