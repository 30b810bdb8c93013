"""What the engine says of mappings in Bloblang, asked for many at a time; runs no pipeline."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from ddpm.contract import Env
from ddpm.errors import ConfigError

_ANSWER_SECONDS = 60


class Said(BaseModel):
    """What is wrong with a mapping.

    Attributes:
        index: The place of a character, counted from 0.
        message: What it is.
        file: The file that it imports and that has the mistake, with `line` and `column`, of which the engine takes
            the lengths of lines in bytes and places in characters.
        functions: The names that there are, when one is not; `methods` likewise.

    """

    index: int
    message: str
    file: str = ""
    line: int = 1
    column: int = 1
    functions: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()


_ANSWER = TypeAdapter(list[Said | None])


def look_at(binary: Path, texts: Sequence[str], folder: Path) -> list[Said | None]:
    """Let the engine read mappings as a stream would: the files and imports that they name, too.

    Args:
        binary: The engine.
        texts: The mappings.
        folder: Where relative paths begin.

    Returns:
        What is wrong with each, or None; nothing at all for an engine that cannot be asked this.

    Raises:
        ConfigError: The engine cannot be executed, or does not answer.

    """
    if not texts:
        return []
    try:
        # An engine that does not know the variable prints its version instead.
        ran = subprocess.run(
            [binary.absolute() if binary.is_file() else binary, "--version"],
            input=json.dumps(list(texts)),
            env=os.environ | {Env.CHECK_MAPPINGS: "1"},
            cwd=folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except OSError as error:
        msg = f"the engine {binary} cannot be executed: {error.strerror}"
        raise ConfigError(msg, hint="correct app.engine.binary; it must be built for this machine") from error
    except subprocess.TimeoutExpired as error:
        msg = f"the engine {binary} did not read the mappings within {_ANSWER_SECONDS} s"
        raise ConfigError(msg, hint="a file that a mapping names may be one that never ends") from error
    try:
        said = _ANSWER.validate_json(ran.stdout)
    except ValidationError:
        return [None] * len(texts)
    return said if len(said) == len(texts) else [None] * len(texts)
