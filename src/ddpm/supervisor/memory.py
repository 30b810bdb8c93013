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

    def __init__(self, path: Path, before: Sequence[Path] = ()) -> None:
        """Name it; `before` is what was remembered of those that were run in its place: the whole, or its parts."""
        self._path = path
        self._file = StateFile(path, _KIND)
        self._before = [StateFile(each, _KIND) for each in before]

    def load(self) -> Memory:
        """What was remembered; nothing when there is no file, or none that can be read.

        Raises:
            NewerStateError: A newer ddpm wrote it.

        """
        if self._path.exists():
            return self._file.load(_read) or Memory()
        return _of_all([found for each in self._before if (found := each.load(_read)) is not None])

    def take_over(self) -> bool:
        """Keep as its own what was remembered of those that were run in its place; returns whether that is done."""
        if not self._before or self._path.exists():
            return True
        found = self.load()
        return found == Memory() or self.save(found)

    def forget_others(self) -> None:
        """Remove what was remembered of those: it would be found when they are run again."""
        for each in self._before:
            each.forget()

    def save(self, memory: Memory) -> bool:
        """Keep it; a failure is logged once. Returns whether it is kept."""
        return self._file.save(
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


def _of_all(memories: Sequence[Memory]) -> Memory:
    """What is remembered of several that are run as one: it is paused if one of them was, which somebody relies on."""
    paused = [each for each in memories if each.wish is not DesiredState.RUN]
    replicas = [each.replicas for each in memories if each.replicas is not None]
    if len(memories) == 1:
        return memories[0]
    wish, because = (paused[0].wish, paused[0].paused_because) if paused else (DesiredState.RUN, None)
    return Memory(wish, max(replicas, default=None), None, because)


def _read(body: dict[str, Any]) -> Memory:
    last, replicas = body["last_exit"], body["replicas"]
    if replicas is not None and not (isinstance(replicas, int) and replicas > 0):
        msg = f"{replicas!r} is not a number of replicas"
        raise ValueError(msg)
    last_exit = Exit(**{**last, "log": tuple(last["log"])}) if isinstance(last, dict) else None
    because = body.get("paused_because")
    return Memory(DesiredState(body["wish"]), replicas, last_exit, because if isinstance(because, str) else None)
