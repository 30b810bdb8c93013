"""The supervisor's decisions. Pure: what is seen and the time go in, what to do and what to call it comes out.

Times are seconds of a monotonic clock. Each replica is decided on by itself, so that one that crash-loops leaves the
others alone; the state of the pipeline follows from its replicas and its probes.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from ddpm.supervisor.states import DesiredState, State

# One that was healthy comes back at once; only who fails again is made to wait.
BACKOFF_ONCE = 0.2
BACKOFF_FIRST = 1.0
BACKOFF_LONGEST = 300.0
HEALTHY_AFTER = 300.0
# What the engine may take beyond its own drain budget before it is ended by force.
KILL_MARGIN = 5.0
# What the breaker holds back is never finished; what else is in flight gets so long.
HELD_BACK_SECONDS = 1.0
# Neither is, as a rule, what waits for a sink.
FRUITLESS_SECONDS = 0.3
# A frozen engine is worth more alive than dead for a while: a paused machine or a debugger lets go of it again.
UNRESPONSIVE_AFTER = 60.0
# A probe that is older than this proves nothing any more.
STALE_AFTER = 10.0
# One answer that is late or says "not connected" is a hiccup, not a state.
ENGINE_PATIENCE = 6.0
# How long a further replica may take to come up before the pipeline counts as degraded.
JOINING_PATIENCE = 60.0
CRASH_LOOP = 3
# One that comes back from a crash loop has to hold out for so long before it counts as well.
PROBATION = 30.0


class Action(Enum):
    """What the runner does to an engine."""

    NOTHING = auto()
    LAUNCH = auto()
    TERMINATE = auto()
    KILL = auto()


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """What is known about one replica.

    Attributes:
        index: Its number, from 0.
        state: Its state, and `since` when.
        alive: Whether an engine process exists.
        exit_code: How the last engine ended; None while one runs, or when there was none since the last launch.
        ready: Whether its last answer said that input and outputs are connected.
        ready_at: When it last said so; the launch, before it ever did.
        answered_at: When it last answered anything; the launch, before it ever did.
        failures: Its unasked exits since it was last healthy for a while.
        retry_at: When a recovering replica starts again.
        restart: Why it is to be restarted; None when it is not.
        killed: Why the last engine ended, where that says more than its exit code.
        reason: The reason of its present state.
        trouble: What keeps its engine from being started or looked after at the moment.
        held_back: Whether its engine holds records back because the breaker is open.
        waits: Whether its engine waits for something, so that what is in flight may never be done.

    """

    index: int
    state: State
    since: float
    alive: bool
    exit_code: int | None
    ready: bool
    ready_at: float
    answered_at: float
    failures: int
    retry_at: float
    restart: str | None = None
    killed: str | None = None
    reason: str = ""
    trouble: str | None = None
    held_back: bool = False
    waits: bool = False


@dataclass(frozen=True, slots=True)
class ProbeView:
    """The last answer of the broker or a sink; `at` is None while there was none, `broken` if it takes a person."""

    name: str
    ok: bool
    message: str
    at: float | None
    broken: bool = False


@dataclass(frozen=True, slots=True)
class WaitReason:
    """What an engine says it waits for.

    `kind` separates an outage, which passes, from what a person must correct (`broken`) and from the breaker's verdict
    that too many records are dead. With a `note` it does not wait: a person should know something while all goes on.
    """

    reason: str
    kind: Literal["outage", "broken", "breaker", "note"] = "outage"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known about one pipeline at one moment.

    Attributes:
        wish: What is wanted of it.
        kill_requested: Whether its engines are to end at once.
        desired: How many replicas are wanted.
        drain: Seconds that an engine may take to finish what is in flight.
        replicas: Those that are known.
        probes: The answers of broker and sinks.
        waiting: What an engine says it waits for.
        note: What an engine says that a person should know.
        paused_because: Why it is paused; None when somebody asked for it.
        held: Why no engine may run at the moment, whatever is wanted; None when they may.
        external: Whether others start and end its engine, and ddpm only watches.

    """

    wish: DesiredState
    kill_requested: bool
    desired: int
    drain: float
    replicas: tuple[ReplicaView, ...]
    probes: tuple[ProbeView, ...] = ()
    waiting: WaitReason | None = None
    note: str | None = None
    paused_because: str | None = None
    held: str | None = None
    external: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What to do about one replica, and the state, reason and counters that follow."""

    index: int
    action: Action
    state: State
    reason: str
    failures: int
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a pipeline and why."""

    state: State
    reason: str


def decide(seen: Snapshot, now: float, jitter: float = 0.0) -> tuple[Step, ...]:
    """What to do about the replicas of one pipeline; empty when all is as it should be.

    Args:
        seen: The pipeline's snapshot; replicas that are wanted and not in it yet are launched.
        now: The monotonic clock.
        jitter: A random share between 0 and 1 that spreads restarts.

    """
    known = {replica.index: replica for replica in seen.replicas}
    wanted = range(seen.desired) if seen.wish is DesiredState.RUN and seen.held is None else range(0)
    steps = [_one(seen, replica, replica.index in wanted, now, jitter) for replica in seen.replicas]
    new = [Step(index, Action.LAUNCH, State.STARTING, "engine starting", 0) for index in wanted if index not in known]
    return (*(step for step in steps if step is not None), *new)


def _one(seen: Snapshot, replica: ReplicaView, wanted: bool, now: float, jitter: float) -> Step | None:
    if not wanted:
        return _end(seen, replica, now, _why_ended(seen))
    if not replica.alive:
        return _bring_up(replica, now, jitter)
    if replica.state is State.DRAINING:
        return _overdue(seen, replica, now)
    if replica.restart is not None:
        return Step(replica.index, Action.TERMINATE, State.DRAINING, replica.restart, replica.failures)
    return _while_alive(replica, now, seen.external)


def _why_ended(seen: Snapshot) -> str:
    if seen.external:
        return "the engine is left alone"
    if seen.wish is DesiredState.RUN:
        return f"fewer replicas are wanted; draining for at most {seen.drain:.0f} s"
    return f"draining for at most {seen.drain:.0f} s"


def _end(seen: Snapshot, replica: ReplicaView, now: float, reason: str) -> Step | None:
    if seen.held is not None and replica.alive:
        ended = replica.state is State.DRAINING and replica.reason == seen.held
        return None if ended else Step(replica.index, Action.KILL, State.DRAINING, seen.held, replica.failures)
    if not replica.alive:
        if replica.state in (State.STOPPED, State.FAILED):
            return None
        if replica.exit_code is None:
            said = "stopped"
        else:
            said = "drained" if replica.exit_code == 0 else f"engine {describe_exit(replica.exit_code)}"
        return Step(replica.index, Action.NOTHING, State.STOPPED, said, replica.failures)
    if replica.state is State.DRAINING:
        return _overdue(seen, replica, now)
    if seen.kill_requested:
        return Step(replica.index, Action.KILL, State.DRAINING, "ended by force on request", replica.failures)
    return Step(replica.index, Action.TERMINATE, State.DRAINING, reason, replica.failures)


def _overdue(seen: Snapshot, replica: ReplicaView, now: float) -> Step | None:
    if seen.kill_requested:
        return Step(replica.index, Action.KILL, State.DRAINING, "ended by force on request", replica.failures)
    if replica.held_back and now - replica.since >= HELD_BACK_SECONDS:
        reason = "what the breaker holds back is not waited for"
        return Step(replica.index, Action.KILL, State.DRAINING, reason, replica.failures)
    if replica.waits and replica.restart is not None and now - replica.since >= FRUITLESS_SECONDS:
        # Its successor reads them again, and may have what this one lacks: another password, say.
        reason = f"{replica.restart}; what waits is left to the next engine"
        return Step(replica.index, Action.KILL, State.DRAINING, reason, replica.failures)
    if now - replica.since >= seen.drain + KILL_MARGIN:
        return Step(replica.index, Action.KILL, State.DRAINING, "drain budget spent, ended by force", replica.failures)
    return None


def _bring_up(replica: ReplicaView, now: float, jitter: float) -> Step | None:
    asked = replica.restart is not None
    if replica.state is State.FAILED:
        return _launch(replica, replica.restart or "", failures=0) if asked else None
    if replica.state is State.RECOVERING:
        return _launch(replica, "starting again") if asked or now >= replica.retry_at else None
    if replica.state in (State.DRAINING, State.STOPPED) or replica.exit_code is None:
        return _launch(replica, f"starting again, {replica.restart}" if asked else "engine starting")
    wait = backoff(replica.failures, jitter)
    failures = replica.failures + 1
    ended = replica.killed or f"engine {describe_exit(replica.exit_code)}"
    again = f", the {_ordinal(failures)} time in a row" if failures >= CRASH_LOOP else ""
    soon = "at once" if wait < BACKOFF_FIRST else f"in {wait:.0f} s"
    reason = f"{ended}{again}; starting again {soon}"
    return Step(replica.index, Action.NOTHING, State.RECOVERING, reason, failures, retry_at=now + wait)


def _launch(replica: ReplicaView, reason: str, failures: int | None = None) -> Step:
    kept = replica.failures if failures is None else failures
    return Step(replica.index, Action.LAUNCH, State.STARTING, reason, kept)


def _while_alive(replica: ReplicaView, now: float, external: bool) -> Step | None:
    silent = now - replica.answered_at
    if silent >= UNRESPONSIVE_AFTER and replica.trouble is None and not external:
        reason = f"engine did not answer for {silent:.0f} s and was ended by force"
        return Step(replica.index, Action.KILL, replica.state, reason, replica.failures)
    if replica.state is State.STARTING and replica.ready:
        return Step(replica.index, Action.NOTHING, State.RUNNING, "input and outputs are connected", replica.failures)
    if replica.state is State.RUNNING and replica.failures and now - replica.since >= HEALTHY_AFTER:
        return Step(replica.index, Action.NOTHING, State.RUNNING, "healthy again", 0)
    return None


def judge(seen: Snapshot, now: float) -> Verdict:
    """The state of a pipeline as its replicas and its probes make it.

    A reason stays the same while its cause does: no durations that grow in it.
    """
    if seen.wish is not DesiredState.RUN:
        return _when_ended(seen)
    if seen.held is not None:
        return Verdict(State.RECOVERING, seen.held)
    wanted = [replica for replica in seen.replicas if replica.index < seen.desired]
    if any(replica.alive for replica in wanted):
        return _when_some_run(seen, wanted, now)
    return _when_none_runs(wanted)


def _when_some_run(seen: Snapshot, wanted: Sequence[ReplicaView], now: float) -> Verdict:
    alive = [replica for replica in wanted if replica.alive]
    if all(replica.state is State.DRAINING for replica in alive):
        return Verdict(State.DRAINING, alive[0].reason)
    culprits = _culprits(seen, now)
    broken = _broken(seen)
    if broken:
        return Verdict(State.FAILED, "; ".join(dict.fromkeys([*broken, *culprits])))
    unasked = [probe.name for probe in seen.probes if probe.at is None]
    if not any(replica.state is State.RUNNING for replica in alive):
        return _before_any_runs(seen, alive, culprits, now)
    if unasked:
        return Verdict(State.STARTING, f"waiting for the first answer of {', '.join(unasked)}")
    culprits += [f"replica {replica.index}: {replica.reason}" for replica in wanted if _is_broken(replica)]
    culprits += _silent(alive, seen.desired, now)
    culprits += [seen.waiting.reason] if seen.waiting else []
    if culprits:
        return Verdict(State.DEGRADED, "; ".join(culprits))
    running = _running(alive, seen.desired)
    return Verdict(State.RUNNING, f"{running}; {seen.note}" if seen.note else running)


def _before_any_runs(seen: Snapshot, alive: Sequence[ReplicaView], culprits: list[str], now: float) -> Verdict:
    troubles = [replica.trouble for replica in alive if replica.trouble]
    if troubles:
        return Verdict(State.RECOVERING, "; ".join(dict.fromkeys([*troubles, *culprits])))
    if seen.external and (silent := _silent(alive, seen.desired, now)):
        return Verdict(State.DEGRADED, "; ".join([*silent, *culprits]))
    return Verdict(State.STARTING, "; ".join([alive[0].reason, *culprits]))


def _broken(seen: Snapshot) -> list[str]:
    """What waits for a person, though engines run and go on by themselves once it is corrected."""
    found = [f"{probe.name}: {probe.message}" for probe in seen.probes if probe.broken and not probe.ok]
    if seen.waiting is not None and seen.waiting.kind == "broken" and not found:
        found.append(seen.waiting.reason)
    return found


def _is_broken(replica: ReplicaView) -> bool:
    return not replica.alive and replica.state in (State.RECOVERING, State.FAILED)


def _when_ended(seen: Snapshot) -> Verdict:
    alive = [replica for replica in seen.replicas if replica.alive]
    if alive:
        doing = f"{seen.paused_because or 'pausing'}: " if seen.wish is DesiredState.PAUSE else ""
        return Verdict(State.DRAINING, doing + alive[0].reason)
    if seen.wish is DesiredState.PAUSE:
        return Verdict(State.PAUSED, seen.paused_because or "paused on request")
    failed = [replica for replica in seen.replicas if replica.state is State.FAILED]
    if failed and len(failed) == len(seen.replicas):
        return Verdict(State.FAILED, failed[0].reason)
    return Verdict(State.STOPPED, seen.replicas[0].reason if seen.replicas else "stopped")


def _when_none_runs(wanted: Sequence[ReplicaView]) -> Verdict:
    failed = [replica for replica in wanted if replica.state is State.FAILED]
    if failed and len(failed) == len(wanted):
        return Verdict(State.FAILED, failed[0].reason)
    recovering = [replica for replica in wanted if replica.state is State.RECOVERING]
    if recovering:
        return Verdict(State.RECOVERING, min(recovering, key=lambda replica: replica.retry_at).reason)
    return Verdict(State.STARTING, wanted[0].reason if wanted else "engine starting")


def _culprits(seen: Snapshot, now: float) -> list[str]:
    found = []
    for probe in seen.probes:
        if not probe.ok and probe.at is not None:
            found.append(f"{probe.name}: {probe.message}")
        elif probe.at is not None and now - probe.at > STALE_AFTER:
            found.append(f"{probe.name}: not asked for more than {STALE_AFTER:.0f} s")
    return found


def _silent(alive: Sequence[ReplicaView], desired: int, now: float) -> list[str]:
    found = []
    for replica in alive:
        name = f"engine {replica.index}" if desired > 1 else "engine"
        if replica.trouble:
            found.append(f"{name}: {replica.trouble}")
            continue
        if now - replica.answered_at > ENGINE_PATIENCE:
            found.append(f"{name}: does not answer")
        elif replica.state is State.RUNNING and now - replica.ready_at > ENGINE_PATIENCE:
            found.append(f"{name}: input or outputs are not connected")
        elif replica.failures >= CRASH_LOOP and now - replica.since < PROBATION:
            found.append(f"{name}: runs again after ending {replica.failures} times in a row")
        elif replica.state is State.STARTING and replica.failures:
            found.append(f"{name}: starts again")
        elif replica.state is State.STARTING and now - replica.since > JOINING_PATIENCE:
            found.append(f"{name}: not connected {JOINING_PATIENCE:.0f} s after its start")
    return found


def _running(alive: Sequence[ReplicaView], desired: int) -> str:
    if desired == 1:
        return "input and outputs are connected"
    running = sum(replica.state is State.RUNNING for replica in alive)
    return f"{running} of {desired} replicas run"


def backoff(failures: int, jitter: float) -> float:
    """Seconds until the next start after so many failures before this one.

    0.2 s, then 1 s, doubled with each further failure, at most 5 minutes; jitter adds up to a quarter.
    """
    delay = BACKOFF_FIRST * 2.0 ** (min(failures, 16) - 1) if failures else BACKOFF_ONCE
    return min(delay * (1 + jitter / 4), BACKOFF_LONGEST)


def describe_exit(exit_code: int | None) -> str:
    """How an engine ended, for people: negative codes are signals, as `subprocess` gives them."""
    if exit_code is None:
        return "runs"
    return f"was ended by signal {-exit_code}" if exit_code < 0 else f"exited with code {exit_code}"


def _ordinal(number: int) -> str:
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")  # noqa: PLR2004
    return f"{number}{suffix}"


def random_jitter() -> float:
    """A random share for `decide`."""
    return random.random()  # noqa: S311 -- spreads load, protects nothing
