"""A small JSON file of ddpm's own with a version, written atomically.

One that cannot be read or written costs what it remembers, never the run; only what a newer ddpm wrote is refused.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from ddpm import __version__
from ddpm.errors import NewerStateError
from ddpm.files import write_atomically

Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True)
class Kind:
    """What such files hold.

    Attributes:
        version: The version that this ddpm writes and understands.
        title: What a refusal calls it, before the file's name.
        unreadable: Logged when the file cannot be read.
        unwritable: Logged when the file cannot be written.

    """

    version: int
    title: str
    unreadable: str
    unwritable: str


class StateFile:
    """One such file."""

    def __init__(self, path: Path, kind: Kind) -> None:
        self._path = path
        self._kind = kind
        self._complained = False

    def load(self, read: Callable[[dict[str, Any]], Kept]) -> Kept | None:
        """What `read` makes of the file's content; None when there is no file, or none that can be read.

        Args:
            read: May raise ValueError, KeyError, TypeError or AttributeError for content that makes no sense.

        Raises:
            NewerStateError: A newer ddpm wrote it.

        """
        try:
            body = json.loads(self._path.read_text(encoding="utf-8"))
            self._check(body["version"], body.get("ddpm"))
            return read(body)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            structlog.get_logger().warning(self._kind.unreadable, file=str(self._path), error=str(error))
            return None

    def _check(self, found: Any, writer: Any) -> None:  # noqa: ANN401 -- JSON
        version = self._kind.version
        if isinstance(found, int) and found > version:
            title = f"{self._kind.title} in {self._path}"
            raise NewerStateError(title, found, version, str(writer) if writer else None)
        if found != version:
            msg = f"it has version {found}, this ddpm understands {version}"
            raise ValueError(msg)

    def forget(self) -> None:
        """Remove it, if it is there."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def save(self, content: Mapping[str, Any]) -> bool:
        """Keep it; a failure is logged once. Returns whether it is kept."""
        body = {"version": self._kind.version, "ddpm": __version__, **content}
        try:
            write_atomically(self._path, json.dumps(body, indent=1))
        except OSError as error:
            if not self._complained:
                self._complained = True
                structlog.get_logger().warning(self._kind.unwritable, file=str(self._path), error=error.strerror)
            return False
        return True
