"""What happened to the pipelines, in order: the newest events, for the API, the console and clients that follow them.

They are kept over restarts of ddpm, in a file of JSON lines that is appended to and, when it has twice as many as are
kept, written again. A file that cannot be read or written costs the memory, never the run; only one of a newer ddpm is
refused.
"""

import itertools
import json
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import structlog

from ddpm import __version__
from ddpm.errors import NewerStateError
from ddpm.files import write_atomically
from ddpm.names import means

KEPT = 1_000
VERSION = 1

Kind = Literal["state", "exit", "scale", "control", "stall", "alarm", "partition"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `id` grows from event to event, over restarts too; `at` is seconds since 1970."""

    id: int
    at: float
    pipeline: str
    kind: Kind
    message: str
    state: str | None = None


class EventFile:
    """Where events are kept; for one thread at a time."""

    def __init__(self, path: Path, kept: int = KEPT) -> None:
        self._path = path
        self._kept = kept
        self._lines = 0
        self._complained = False

    def load(self) -> list[Event]:
        """The newest events, oldest first; a line that a crash cut off is left out.

        Raises:
            NewerStateError: A newer ddpm wrote the file.

        """
        try:
            first, *lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
        except FileNotFoundError:
            return []
        except OSError as error:
            self._complain("cannot be read", error)
            return []
        head = _decoded(first) or {}
        version, writer = head.get("version"), head.get("ddpm")
        if isinstance(version, int) and version > VERSION:
            raise NewerStateError(f"the state in {self._path}", version, VERSION, str(writer) if writer else None)
        # A file without its first line is not appended to.
        self._lines = len(lines) if version == VERSION else 2 * self._kept
        return [event for line in lines if (event := _event(line)) is not None][-self._kept :]

    def add(self, event: Event, all_kept: Iterable[Event]) -> None:
        """Keep one more event; `all_kept` are the newest ones, this one among them."""
        try:
            if self._lines == 0 or self._lines >= 2 * self._kept or not self._path.exists():
                self._write(list(all_kept))
            else:
                self._append(event)
        except OSError as error:
            self._complain("cannot be kept for the next start of ddpm", error)

    def _append(self, event: Event) -> None:
        # Begins with a newline, so that what a crash cut off spoils no other line.
        line = "\n" + json.dumps(asdict(event))
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
        self._lines += 1

    def _write(self, events: list[Event]) -> None:
        head = {"version": VERSION, "ddpm": __version__}
        write_atomically(self._path, "\n".join(json.dumps(each) for each in (head, *map(asdict, events))))
        self._lines = len(events)

    def _complain(self, what: str, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            structlog.get_logger().warning(f"the events {what}", file=str(self._path), error=error.strerror)


class EventLog:
    """The newest events of all pipelines; safe to use from any thread.

    Args:
        kept: How many.
        file: Where they are kept over restarts; None keeps them in memory alone.

    Raises:
        NewerStateError: A newer ddpm wrote the file.

    """

    def __init__(self, kept: int = KEPT, file: EventFile | None = None) -> None:
        self._file = file
        self._events: deque[Event] = deque(file.load() if file else (), maxlen=kept)
        # From the clock, so that clients that resume from a previous run's last id miss no events.
        last = self._events[-1].id if self._events else 0
        self._ids = itertools.count(max(time.time_ns() // 1_000_000, last + 1))
        self._lock = threading.Lock()

    def add(self, pipeline: str, kind: Kind, message: str, state: str | None = None) -> Event:
        """Append an event and return it."""
        with self._lock:
            event = Event(next(self._ids), time.time(), pipeline, kind, message, state)
            self._events.append(event)
            if self._file is not None:
                self._file.add(event, self._events)
            return event

    def since(self, last: int = 0, pipeline: str | None = None) -> list[Event]:
        """The kept events with a greater id than `last`, oldest first; of a pipeline and its parts when it is named."""
        with self._lock:
            found = list(self._events)
        return [event for event in found if event.id > last and (pipeline is None or means(pipeline, event.pipeline))]


def _decoded(line: str) -> dict[str, object] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _event(line: str) -> Event | None:
    fields = _decoded(line) or {}
    state = fields.get("state")
    match fields:
        case {"id": int(number), "at": int() | float() as at, "pipeline": str(pipeline), "message": str(message)}:
            kind = next((each for each in get_args(Kind) if each == fields.get("kind")), None)
            if kind is not None and (state is None or isinstance(state, str)):
                return Event(number, float(at), pipeline, kind, message, state)
    return None
