"""The version of the data folder `.ddpm` as a whole: what lies where in it, embedded data and state of pipelines.

It stands in the file `version.json`; a folder without it has version 1. Files in it have versions of their own.
"""

import json
from pathlib import Path
from typing import Any

from ddpm import __version__
from ddpm.errors import MissingToolError, NewerStateError
from ddpm.files import write_atomically

FILE = "version.json"
VERSION = 1


def check_folder(folder: Path) -> None:
    """Return if this ddpm knows the layout of `folder`, or if it is not there; changes nothing.

    Raises:
        NewerStateError: A newer ddpm has changed it.
        MissingToolError: Its version cannot be read.

    """
    path = folder / FILE
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        version, writer = int(body["version"]), body.get("ddpm")
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"the version of the data folder cannot be read from {path}: {error}"
        raise MissingToolError(msg, hint=f"correct it; what this ddpm writes there is {_body()}") from error
    if version > VERSION:
        raise NewerStateError(f"the data folder {folder}", version, VERSION, str(writer) if writer else None)


def claim_folder(folder: Path) -> None:
    """Note the version in a folder that has none yet; raises as `check_folder` does, or when it cannot be written."""
    check_folder(folder)
    if (folder / FILE).exists():
        return
    try:
        write_atomically(folder / FILE, json.dumps(_body()))
    except OSError as error:
        msg = f"the data folder {folder} cannot be written: {error.strerror}"
        raise MissingToolError(msg, hint="start ddpm in a folder that it may write to") from error


def _body() -> dict[str, Any]:
    return {"version": VERSION, "ddpm": __version__}
