"""Who this ddpm is, over its restarts: by that it knows what an earlier run of it has left in Docker."""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddpm.errors import MissingToolError


@contextmanager
def owner(path: Path) -> Iterator[str]:
    """The name that is kept in a file, while the block runs.

    A second ddpm with the same file, while the first one runs, has a name for this run only: what the first one
    started is not left behind.

    Raises:
        MissingToolError: The file cannot be made.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise MissingToolError(msg, hint="make the folder writable") from error
    try:
        yield _name(handle)
    finally:
        os.close(handle)


def _name(handle: int) -> str:
    new = uuid.uuid4().hex
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return new
    known = os.read(handle, len(new)).decode("ascii", "replace")
    if len(known) == len(new) and known.isalnum():
        return known
    os.ftruncate(handle, 0)
    os.pwrite(handle, new.encode(), 0)
    return new
