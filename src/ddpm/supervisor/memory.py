"""What ddpm remembers of a pipeline from one run to the next: what was asked of it, and how its last engine ended.

One small JSON file a pipeline, written atomically. A file that cannot be read or written costs the memory, never the
run: ddpm says so once and goes on. Only what a newer ddpm wrote is not lost like this: ddpm does not run with it.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ddpm import __version__
from ddpm.files import write_atomically
from ddpm.supervisor.statefile import Kind, StateFile
from ddpm.supervisor.states import DesiredState
from ddpm.supervisor.status import Exit

VERSION = 1
_KIND = Kind(
    VERSION,
    "the state",
    "what was remembered of this pipeline cannot be read and is left aside",
    "the state of this pipeline cannot be kept for the next start of ddpm",
)


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered: the wish (a stop is not), the number of replicas that a person set, and the last exit.

    `paused_because` is why it is paused; None when somebody asked for it.
    """

    wish: DesiredState = DesiredState.RUN
    replicas: int | None = None
    last_exit: Exit | None = None
    paused_because: str | None = None


class MemoryFile:
    """Where the memory of one pipeline is kept."""

    def __init__(self, path: Path) -> None:
        self._file = StateFile(path, _KIND)

    def load(self) -> Memory:
        """What was remembered; nothing when there is no file, or none that can be read.

        Raises:
            NewerStateError: A newer ddpm wrote it.

        """
        return self._file.load(_read) or Memory()

    def save(self, memory: Memory) -> None:
        """Keep it; a failure is logged once."""
        self._file.save(
            {
                "wish": memory.wish.value,
                "replicas": memory.replicas,
                "paused_because": memory.paused_because,
                "last_exit": asdict(memory.last_exit) if memory.last_exit else None,
            }
        )


class HistoryFile:
    """Where the series of one pipeline's sparklines are kept; what cannot be read is forgotten, and drawn again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[float, list[tuple[float, ...]]]:
        """When it was kept, in seconds since 1970, and the steps, oldest first; none when there is nothing to read."""
        try:
            body = json.loads(self._path.read_text(encoding="utf-8"))
            if body["version"] == VERSION:
                return float(body["at"]), [tuple(map(float, step)) for step in body["steps"]]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return 0.0, []

    def save(self, at: float, steps: Sequence[Sequence[float]]) -> None:
        """Keep them; the memory of pictures is not worth a word when that fails."""
        body = {"version": VERSION, "ddpm": __version__, "at": at, "steps": [list(step) for step in steps]}
        with suppress(OSError):
            write_atomically(self._path, json.dumps(body))


def _read(body: dict[str, Any]) -> Memory:
    last, replicas = body["last_exit"], body["replicas"]
    if replicas is not None and not (isinstance(replicas, int) and replicas > 0):
        msg = f"{replicas!r} is not a number of replicas"
        raise ValueError(msg)
    last_exit = Exit(**{**last, "log": tuple(last["log"])}) if isinstance(last, dict) else None
    because = body.get("paused_because")
    return Memory(DesiredState(body["wish"]), replicas, last_exit, because if isinstance(because, str) else None)
