"""The supervisor's decisions. Pure: what is seen and the time go in, what to do comes out.

Times are seconds of a monotonic clock.
"""

import random
from dataclasses import dataclass
from enum import Enum, auto

from ddpm.supervisor.states import FINAL_STATES, State

BACKOFF_FIRST = 1.0
BACKOFF_LONGEST = 300.0
HEALTHY_AFTER = 300.0
# What the engine may take beyond its own drain budget before it is ended by force.
KILL_MARGIN = 5.0


class Action(Enum):
    """What the runner does to the engine."""

    NOTHING = auto()
    LAUNCH = auto()
    TERMINATE = auto()
    KILL = auto()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known about one pipeline at one moment.

    `exit_code` is None while the engine runs or when there is none (`alive` tells which); `failures` counts the
    exits since the engine was last healthy for a while; `retry_at` is when a recovering pipeline starts again.
    """

    state: State
    since: float
    alive: bool
    exit_code: int | None
    ready: bool
    stop_requested: bool
    kill_requested: bool
    failures: int
    retry_at: float
    drain: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and the state, reason and counters that follow from it."""

    action: Action
    state: State
    reason: str
    failures: int
    retry_at: float = 0.0


def decide(seen: Snapshot, now: float, jitter: float = 0.0) -> Decision | None:
    """What to do about one pipeline; None when all is as it should be.

    Args:
        seen: The pipeline's snapshot.
        now: The monotonic clock.
        jitter: A random share between 0 and 1 that spreads restarts.

    """
    if seen.state in FINAL_STATES:
        return None
    if seen.stop_requested:
        return _stop(seen, now)
    if seen.state is State.RECOVERING:
        return (
            Decision(Action.LAUNCH, State.STARTING, "starting again", seen.failures) if now >= seen.retry_at else None
        )
    if seen.alive:
        return _while_alive(seen, now)
    if seen.exit_code is None:
        return Decision(Action.LAUNCH, State.STARTING, "engine starting", seen.failures)
    wait = backoff(seen.failures, jitter)
    reason = f"engine {describe_exit(seen.exit_code)}; starting again in {wait:.0f} s"
    return Decision(Action.NOTHING, State.RECOVERING, reason, seen.failures + 1, retry_at=now + wait)


def _while_alive(seen: Snapshot, now: float) -> Decision | None:
    if seen.state is State.STARTING and seen.ready:
        return Decision(Action.NOTHING, State.RUNNING, "input and outputs are connected", seen.failures)
    if seen.state is State.RUNNING and seen.failures and now - seen.since >= HEALTHY_AFTER:
        return Decision(Action.NOTHING, State.RUNNING, "healthy again", 0)
    return None


def _stop(seen: Snapshot, now: float) -> Decision | None:
    if not seen.alive:
        reason = "drained" if seen.exit_code == 0 else f"engine {describe_exit(seen.exit_code)}"
        return Decision(
            Action.NOTHING, State.STOPPED, reason if seen.exit_code is not None else "stopped", seen.failures
        )
    if seen.kill_requested:
        return Decision(Action.KILL, State.DRAINING, "ended by force on request", seen.failures)
    if seen.state is not State.DRAINING:
        return Decision(Action.TERMINATE, State.DRAINING, f"draining for at most {seen.drain:.0f} s", seen.failures)
    if now - seen.since >= seen.drain + KILL_MARGIN:
        return Decision(Action.KILL, State.DRAINING, "drain budget spent, ended by force", seen.failures)
    return None


def backoff(failures: int, jitter: float) -> float:
    """Seconds until the next start: 1 s, doubled with each failure, at most 5 minutes; jitter adds up to a quarter."""
    delay = min(BACKOFF_FIRST * 2.0 ** min(failures, 16), BACKOFF_LONGEST)
    return min(delay * (1 + jitter / 4), BACKOFF_LONGEST)


def describe_exit(exit_code: int | None) -> str:
    """How an engine ended, for people: negative codes are signals, as `subprocess` gives them."""
    if exit_code is None:
        return "runs"
    return f"was ended by signal {-exit_code}" if exit_code < 0 else f"exited with code {exit_code}"


def random_jitter() -> float:
    """A random share for `decide`."""
    return random.random()  # noqa: S311 -- spreads load, protects nothing
