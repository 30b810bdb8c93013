"""One ddpm at a time on a data folder; the claim ends with the process that holds it, in whatever way that ends."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from ddpm.errors import MissingToolError


class Claim:
    """The sole right to run a server on a data folder."""

    def __init__(self, folder: Path, title: str) -> None:
        """Take it.

        Raises:
            MissingToolError: Another ddpm has it, or the folder cannot be written.

        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._stream = (folder / "owner").open("a+", encoding="ascii")
        except OSError as error:
            msg = f"the data folder {folder} of {title} cannot be written: {error.strerror}"
            raise MissingToolError(msg) from error
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._stream.seek(0)
            owner = self._stream.read().strip() or "another process"
            self._stream.close()
            msg = f"the data folder {folder} of {title} is in use by pid {owner}"
            raise MissingToolError(msg, hint="stop that ddpm first, or use another data folder") from None
        self._stream.truncate(0)
        self._stream.write(str(os.getpid()))
        self._stream.flush()

    def release(self) -> None:
        """Give it up; the folder stays."""
        with suppress(OSError, ValueError):
            self._stream.truncate(0)
        self._stream.close()
