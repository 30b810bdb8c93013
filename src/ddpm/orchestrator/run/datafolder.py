"""The version of the data folder `.ddpm` as a whole: what lies where in it, embedded data and state of pipelines.

It stands in the file `version.json`; a folder without it has version 1. Files in it have versions of their own. While
a ddpm runs in the folder it holds a lock on the file `lock`, in which it says who it is.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from ddpm import __version__
from ddpm.errors import MissingToolError, NewerStateError
from ddpm.files import write_atomically

FILE = "version.json"
LOCK = "lock"
VERSION = 1
_OTHER_FOLDER = "end that one, or start this one in a folder of its own: both would keep their state in the same files"


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


@contextmanager
def held(folder: Path, address: str) -> Iterator[None]:
    """Let nobody else run in `folder` while the block runs; the system releases it however this process ends.

    Args:
        folder: One that `claim_folder` took.
        address: Where this ddpm answers, for anyone who finds the folder taken.

    Raises:
        MissingToolError: Another ddpm runs in it, or the file cannot be written.

    """
    try:
        # Not inherited by engines, which may outlive a ddpm for as long as they drain.
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        msg = f"the data folder {folder} cannot be locked: {error.strerror}"
        raise MissingToolError(msg, hint="start ddpm in a folder that it may write to") from error
    try:
        _take(descriptor, folder, fcntl.LOCK_EX, _OTHER_FOLDER)
        _sign(descriptor, address)
        yield
    finally:
        os.close(descriptor)


def check_unheld(folder: Path, hint: str = _OTHER_FOLDER) -> None:
    """Return if no ddpm runs in `folder`; raises MissingToolError that says which one does, with the way out."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return
    try:
        # Shared: two that look at the same time do not refuse each other.
        _take(descriptor, folder, fcntl.LOCK_SH, hint)
    finally:
        os.close(descriptor)


def check_free(folder: Path, hint: str = _OTHER_FOLDER) -> None:
    """Return if this ddpm may run in `folder`; raises as `check_folder` and `check_unheld` do, and changes nothing."""
    check_folder(folder)
    check_unheld(folder, hint)


def _take(descriptor: int, folder: Path, kind: int, hint: str) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        msg = f"another ddpm runs in the data folder {folder.absolute()}{_holder(descriptor)}"
        raise MissingToolError(msg, hint=hint) from None
    except OSError as error:
        # A file system without locks is no reason not to run.
        structlog.get_logger().warning("the data folder cannot be locked", folder=str(folder), error=error.strerror)


def _sign(descriptor: int, address: str) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    body = {"pid": os.getpid(), "host": socket.gethostname(), "address": address, "since": since}
    # Who holds it is a help for others; a full disk is no reason not to run.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(body).encode(), 0)


def _holder(descriptor: int) -> str:
    try:
        body = json.loads(os.pread(descriptor, 4096, 0))
        place = "" if body["host"] == socket.gethostname() else f" on {body['host']}"
        return f": process {body['pid']}{place}, {body['address']}, since {body['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _body() -> dict[str, Any]:
    return {"version": VERSION, "ddpm": __version__}
