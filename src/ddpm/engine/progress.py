"""Showing what takes long: downloads and builds.

The code that works reports to a `Progress`; whether that is a live display, plain lines or nothing is decided by
anyone who creates it. Nothing here knows what is being done.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

_SECONDS_BETWEEN_LINES = 10.0


class Step(Protocol):
    """One thing under way."""

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far it is: `done` of `total` (None while unknown), and a word on what happens now."""


class Progress(Protocol):
    """Receives what is under way; may be called from several threads at once."""

    def step(self, title: str, unit: str = "") -> AbstractContextManager[Step]:
        """Begin a step that lasts as long as the context; `unit` names what is counted (`MB`), if anything is."""


class Silent:
    """Shows nothing."""

    @contextmanager
    def step(self, title: str, unit: str = "") -> Iterator[Step]:
        """See `Progress`."""
        yield self

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        """See `Step`."""


class Terminal:
    """A live display where the console is a terminal, a plain line now and then where it is not."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._lock = threading.Lock()
        self._display: RichProgress | None = None
        self._steps = 0

    @contextmanager
    def step(self, title: str, unit: str = "") -> Iterator[Step]:
        """See `Progress`."""
        if not self._console.is_terminal:
            line = _Line(self._console, title, unit, self._clock)
            line.begin()
            yield line
            line.end()
            return
        display = self._enter()
        try:
            yield _Bar(display, title, unit)
        finally:
            self._leave()

    def _enter(self) -> RichProgress:
        with self._lock:
            if self._display is None:
                self._display = RichProgress(
                    SpinnerColumn(),
                    TextColumn("{task.description}"),
                    BarColumn(bar_width=30),
                    TextColumn("{task.fields[count]}"),
                    TimeElapsedColumn(),
                    TextColumn("{task.fields[note]}", style="dim"),
                    console=self._console,
                )
                self._display.start()
            self._steps += 1
            return self._display

    def _leave(self) -> None:
        with self._lock:
            self._steps -= 1
            if self._steps == 0 and self._display is not None:
                self._display.stop()
                self._display = None


class _Bar:
    def __init__(self, display: RichProgress, title: str, unit: str) -> None:
        self._display = display
        self._unit = unit
        self._task = display.add_task(title, total=None, count="", note="")

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        self._display.update(
            self._task, completed=done, total=total, count=_count(done, total, self._unit), note=note[-40:]
        )


class _Line:
    def __init__(self, console: Console, title: str, unit: str, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._title = title
        self._unit = unit
        self._began = self._said = clock()
        self._lock = threading.Lock()

    def begin(self) -> None:
        self._console.print(f"{self._title} …", highlight=False, markup=False)

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        now = self._clock()
        with self._lock:
            if now - self._said < _SECONDS_BETWEEN_LINES:
                return
            self._said = now
        parts = [self._title, "…", _count(done, total, self._unit), f"{now - self._began:.0f} s"]
        self._console.print(" ".join(part for part in parts if part), highlight=False, markup=False)

    def end(self) -> None:
        elapsed = self._clock() - self._began
        self._console.print(f"{self._title}: done in {elapsed:.1f} s", highlight=False, markup=False)


def _count(done: float, total: float | None, unit: str) -> str:
    if not unit:
        return ""
    return f"{done:.0f} {unit}" if total is None else f"{done:.0f}/{total:.0f} {unit}"
