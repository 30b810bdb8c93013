"""From the engines' ever-growing counters to totals, rates and a short history. Pure: the clock comes in.

An engine that starts again counts from zero; the totals go on.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from ddpm.supervisor.status import History, Rates, Totals

HISTORY_STEP = 5.0
HISTORY_LENGTH = 120
RATE_WINDOW = 10.0

# Lag and rate.
_WIDTH = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """What one engine has counted since it started."""

    read: float = 0.0
    written: float = 0.0
    dead: float = 0.0
    duplicates: float = 0.0

    def __add__(self, other: "Reading") -> "Reading":
        return Reading(
            self.read + other.read,
            self.written + other.written,
            self.dead + other.dead,
            self.duplicates + other.duplicates,
        )


class Meter:
    """The counters of one pipeline, over all its replicas.

    `read` takes the latest counters of one replica, `ended` closes the account of an engine that is gone, `lag`
    takes the latest lag; `tick` moves the history on.
    """

    def __init__(self) -> None:
        self._settled = Reading()
        self._running: dict[int, Reading] = {}
        self._samples: deque[tuple[float, Reading]] = deque()
        self._lag = 0.0
        self._history: deque[tuple[float, float, float]] = deque(maxlen=HISTORY_LENGTH)
        self._stepped_at: float | None = None

    def read(self, replica: int, reading: Reading) -> None:
        """Take the latest counters of a replica's engine."""
        before = self._running.get(replica)
        if before is not None and reading.read < before.read:
            self.ended(replica)
        self._running[replica] = reading

    def ended(self, replica: int) -> None:
        """Settle what a replica's engine had counted; the next one counts from zero."""
        self._settled += self._running.pop(replica, Reading())

    def lag(self, offsets: int) -> None:
        """Take the latest lag."""
        self._lag = float(offsets)

    def tick(self, now: float) -> None:
        """Take a sample at `now`, and a step of the history when one is due."""
        self._samples.append((now, self._total()))
        while len(self._samples) > 2 and self._samples[1][0] <= now - RATE_WINDOW:  # noqa: PLR2004 -- two make a rate
            self._samples.popleft()
        if self._stepped_at is None or now - self._stepped_at >= HISTORY_STEP:
            self._stepped_at = now
            rates = self.rates()
            self._history.append((self._lag, rates.written, rates.dead))

    def totals(self) -> Totals:
        """All that was counted so far."""
        total = self._total()
        return Totals(int(total.read), int(total.written), int(total.dead), int(total.duplicates))

    def rates(self) -> Rates:
        """Records per second between the oldest and the newest sample of the last seconds."""
        if not self._samples:
            return Rates(0.0, 0.0, 0.0)
        (start, first), (end, last) = self._samples[0], self._samples[-1]
        span = end - start
        if span <= 0:
            return Rates(0.0, 0.0, 0.0)
        return Rates(
            max(0.0, (last.read - first.read) / span),
            max(0.0, (last.written - first.written) / span),
            max(0.0, (last.dead - first.dead) / span),
        )

    def history(self) -> History:
        """The series for sparklines."""
        lag, written, dead = zip(*self._history, strict=True) if self._history else ((), (), ())
        return History(HISTORY_STEP, lag, written, dead)

    def steps(self) -> tuple[tuple[float, ...], ...]:
        """The history as `restore` takes it."""
        return tuple(self._history)

    def restore(self, steps: Sequence[Sequence[float]], missed: int) -> None:
        """Begin with the history of an earlier run; in steps without a count the lag stood and nothing ran."""
        known = [(lag, rate, dead) for lag, rate, dead in steps] if all(len(step) == _WIDTH for step in steps) else []
        if known:
            self._history.extend([*known, *[(known[-1][0], 0.0, 0.0)] * min(missed, HISTORY_LENGTH)])

    def _total(self) -> Reading:
        return sum(self._running.values(), self._settled)
