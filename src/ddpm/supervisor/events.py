"""What happened to the pipelines, in order: the newest events, for the API, the console and whoever follows them."""

import itertools
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Literal

KEPT = 1_000

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


class EventLog:
    """The newest events of all pipelines; safe to use from any thread."""

    def __init__(self, kept: int = KEPT) -> None:
        self._events: deque[Event] = deque(maxlen=kept)
        # From the clock, so that who follows with the last id of the run before misses nothing of this one.
        self._ids = itertools.count(time.time_ns() // 1_000_000)
        self._lock = threading.Lock()

    def add(self, pipeline: str, kind: Kind, message: str, state: str | None = None) -> Event:
        """Append an event and return it."""
        with self._lock:
            event = Event(next(self._ids), time.time(), pipeline, kind, message, state)
            self._events.append(event)
            return event

    def since(self, last: int = 0, pipeline: str | None = None) -> list[Event]:
        """The kept events with a greater id than `last`, oldest first."""
        with self._lock:
            found = list(self._events)
        return [event for event in found if event.id > last and pipeline in (None, event.pipeline)]
