"""Folds floods of alike log lines into counts: the first of a kind is shown at once, the others are counted, and when
the window ends one line says how many there were.

Lines are alike when they differ in numbers only, or in words that contain digits: offsets, durations, addresses, ids.
"""

import re
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

WINDOW_SECONDS = 10.0
MOST_KINDS = 500
# Enough to distinguish kinds; a message may be a whole document.
_COMPARED = 300

_DIGITS = b"0123456789"
_WORD_WITH_DIGITS = re.compile(r"(?<![\w.:-])[A-Za-z_.:-]*+\d[\w.:-]*")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often lines like one were left out, and in how many seconds; `mixed` when they were of many kinds."""

    count: int
    seconds: float
    mixed: bool = False

    def appended(self, message: str) -> str:
        """The message of the line that stands for them."""
        if self.count == 1 and not self.mixed:
            return message
        what = f"and {self.count:,} more lines of many kinds" if self.mixed else f"repeated {self.count:,} times"
        return f"{message} … ({what} in {max(1.0, self.seconds):.0f} s)"

    def fields(self) -> dict[str, Any]:
        """The same as fields of an event."""
        return {"repeated": self.count, "repeated_seconds": round(self.seconds, 1)} | (
            {"repeated_mixed": True} if self.mixed else {}
        )

    @staticmethod
    def of(event: Mapping[str, Any]) -> "Repeats | None":
        """What the fields of an event say; None for a line that stands for itself."""
        count, seconds = event.get("repeated"), event.get("repeated_seconds")
        if not isinstance(count, int) or not isinstance(seconds, float):
            return None
        return Repeats(count, seconds, event.get("repeated_mixed") is True)


@dataclass(slots=True)
class _Kind(Generic[T]):
    since: float
    last: T
    count: int = 0
    mixed: bool = False


class Folder(Generic[T]):
    """Decides which lines are shown; safe to use from any thread.

    A window starts with the first line and ends `window` seconds later, by the next line or by a timer thread, which
    lives only while something is folded. At most `most` kinds are distinguished in a window; what comes beyond is
    counted by origin alone.

    Args:
        show: Shows the last line of a kind with what was left out of it; called without a lock, from any thread.
        window: In seconds; 0 shows every line.
        most: How many kinds are known at once.
        clock: Monotonic seconds.

    """

    def __init__(
        self,
        show: Callable[[T, Repeats], None],
        *,
        window: float = WINDOW_SECONDS,
        most: int = MOST_KINDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._show = show
        self._window = window
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[Hashable, _Kind[T]] = {}
        self._aliases: dict[Hashable, _Kind[T]] = {}
        self._ends = 0.0
        self._timer: threading.Timer | None = None

    def admit(self, origin: Hashable, message: str, line: T) -> bool:
        """Whether a line is to be shown; otherwise it is counted.

        Args:
            origin: What is never folded together: pipeline, replica, level.
            message: Its text, by which lines are alike.
            line: Given to `show` if it is the last of its kind in the window.

        """
        if not self._window:
            return True
        quick = (origin, template(message))
        now = self._clock()
        with self._lock:
            over = self._take() if now >= self._ends else []
            if not self._kinds:
                self._ends = now + self._window
            kind = self._aliases.get(quick)
            if kind is None:
                kind = self._find_or_add(origin, quick, message, line, now)
                shown = kind is None
            else:
                shown = False
            if kind is not None:
                kind.count += 1
                kind.last = line
                if self._timer is None:
                    self._start_timer(self._ends - now)
        self._show_all(over, now)
        return shown

    def flush(self) -> None:
        """Show what was folded until now; the next line of each kind is shown again."""
        with self._lock:
            over = self._take()
        self._show_all(over, self._clock())

    def _find_or_add(self, origin: Hashable, quick: Hashable, message: str, line: T, now: float) -> _Kind[T] | None:
        """The kind of a line that was folded before in other words; None when the line is the first of its kind."""
        thorough = (origin, _WORD_WITH_DIGITS.sub("#", message[:_COMPARED]))
        mixed = len(self._kinds) >= self._most
        name: Hashable = thorough if thorough in self._kinds or not mixed else (origin,)
        kind = self._kinds.get(name)
        if kind is None:
            added = self._kinds[name] = _Kind(now, line, mixed=mixed)
            if not mixed:
                self._aliases[quick] = added
            return None
        if not kind.mixed and len(self._aliases) < 2 * self._most:
            self._aliases[quick] = kind
        return kind

    def _take(self) -> list[_Kind[T]]:
        """End the window."""
        over = [kind for kind in self._kinds.values() if kind.count]
        self._kinds, self._aliases = {}, {}
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return over

    def _start_timer(self, seconds: float) -> None:
        self._timer = threading.Timer(max(0.0, seconds), self.flush)
        self._timer.daemon = True
        self._timer.name = "log-folding"
        self._timer.start()

    def _show_all(self, over: list[_Kind[T]], now: float) -> None:
        for kind in over:
            self._show(kind.last, Repeats(kind.count, max(0.0, now - kind.since), kind.mixed))


def template(message: str) -> bytes:
    """What is left of a message without its digits: cheap, and the same for most lines of a flood."""
    return message[:_COMPARED].encode("utf-8", "surrogatepass").translate(None, _DIGITS)
