"""Carries out the policy: launches, watches and ends the engines of all pipelines, in the thread that calls `run`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from ddpm.errors import DdpmError
from ddpm.supervisor.policy import Action, Decision, Snapshot, decide, random_jitter
from ddpm.supervisor.states import FINAL_STATES, State

TICK_SECONDS = 0.2
PROBE_EVERY_SECONDS = 1.0

_SEVERITY = {State.RECOVERING: "warning", State.FAILED: "error"}


class Engine(Protocol):
    """A running engine, as a launcher returns it."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def port(self) -> int:
        """The loopback port of its own HTTP server."""

    def exit_code(self) -> int | None:
        """None while it runs."""

    def terminate(self) -> None:
        """Ask it to drain and end."""

    def kill(self) -> None:
        """End it at once."""


@dataclass(frozen=True, slots=True)
class Managed:
    """One pipeline to keep running.

    `launch` starts an engine (checking its configuration first), `ready` asks a running one, `drain` is in seconds.
    """

    name: str
    launch: Callable[[], Engine]
    ready: Callable[[Engine], bool]
    drain: float


@dataclass(frozen=True, slots=True)
class Status:
    """What anyone may know about a pipeline: `since` is wall-clock seconds; `engine` is None when none runs."""

    name: str
    state: State
    reason: str
    since: float
    restarts: int
    ready: bool
    pid: int | None
    port: int | None


@dataclass(slots=True)
class _Entry:
    managed: Managed
    status: Status
    entered: float
    engine: Engine | None = None
    exit_code: int | None = None
    failures: int = 0
    retry_at: float = 0.0
    probed_at: float = -PROBE_EVERY_SECONDS


class Supervisor:
    """All pipelines of this ddpm.

    `run` blocks until every pipeline has ended; `drain` and `force`, called from a signal handler or another thread,
    ask for that. `statuses` may be called from any thread.
    """

    def __init__(self, pipelines: Sequence[Managed], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries = [
            _Entry(
                managed, Status(managed.name, State.STARTING, "starting", time.time(), 0, False, None, None), clock()
            )
            for managed in pipelines
        ]
        # Plain flags: they are set from signal handlers, where taking the lock of an Event could deadlock.
        self._draining = False
        self._forced = False

    def statuses(self) -> tuple[Status, ...]:
        """The present status of every pipeline."""
        return tuple(entry.status for entry in self._entries)

    def drain(self) -> None:
        """Let every pipeline finish what is in flight and stop."""
        self._draining = True

    def force(self) -> None:
        """End every engine now."""
        self._forced = True
        self._draining = True

    def run(self) -> None:
        """Keep the pipelines running until all have stopped or failed; ends every engine on the way out."""
        try:
            while not all(entry.status.state in FINAL_STATES for entry in self._entries):
                self.tick()
                time.sleep(TICK_SECONDS)
        finally:
            for entry in self._entries:
                if entry.engine is not None and entry.engine.exit_code() is None:
                    entry.engine.kill()

    def tick(self) -> None:
        """Look at every pipeline once and do what the policy says."""
        for entry in self._entries:
            self._observe(entry)
            decision = decide(self._snapshot(entry), self._clock(), random_jitter())
            if decision is not None:
                self._carry_out(entry, decision)

    def _observe(self, entry: _Entry) -> None:
        engine, now = entry.engine, self._clock()
        if engine is None:
            return
        entry.exit_code = engine.exit_code()
        if entry.exit_code is not None:
            entry.engine = None
            entry.status = replace(entry.status, ready=False, pid=None, port=None)
        elif now - entry.probed_at >= PROBE_EVERY_SECONDS:
            entry.probed_at = now
            entry.status = replace(entry.status, ready=entry.managed.ready(engine))

    def _snapshot(self, entry: _Entry) -> Snapshot:
        return Snapshot(
            state=entry.status.state,
            since=entry.entered,
            alive=entry.engine is not None,
            exit_code=entry.exit_code,
            ready=entry.status.ready,
            stop_requested=self._draining,
            kill_requested=self._forced,
            failures=entry.failures,
            retry_at=entry.retry_at,
            drain=entry.managed.drain,
        )

    def _carry_out(self, entry: _Entry, decision: Decision) -> None:
        entry.failures, entry.retry_at = decision.failures, decision.retry_at
        self._enter(entry, decision.state, decision.reason)
        match decision.action:
            case Action.LAUNCH:
                self._launch(entry)
            case Action.TERMINATE if entry.engine is not None:
                entry.engine.terminate()
            case Action.KILL if entry.engine is not None:
                entry.engine.kill()

    def _launch(self, entry: _Entry) -> None:
        restarts = entry.status.restarts + (entry.exit_code is not None)
        entry.exit_code = None
        try:
            entry.engine = entry.managed.launch()
        except DdpmError as error:
            if not error.retryable:
                self._enter(entry, State.FAILED, str(error))
                return
            entry.exit_code = 1
            structlog.get_logger().warning("engine not started", pipeline=entry.managed.name, error=str(error))
            return
        entry.status = replace(entry.status, restarts=restarts, pid=entry.engine.pid, port=entry.engine.port)

    def _enter(self, entry: _Entry, state: State, reason: str) -> None:
        """The one door through which a pipeline changes its state."""
        before = entry.status
        if before.state is not state:
            entry.entered = self._clock()
            entry.status = replace(before, state=state, reason=reason, since=time.time())
        else:
            entry.status = replace(before, reason=reason)
        if (before.state, before.reason) != (state, reason):
            log = structlog.get_logger().bind(pipeline=entry.managed.name, state=state.value, reason=reason)
            getattr(log, _SEVERITY.get(state, "info"))(f"pipeline {state.value}")
