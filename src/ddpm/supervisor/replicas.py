"""The replicas of a pipeline: an engine each, its state, and what is known of it.

Which step from one state to another there is, `TRANSITIONS` says; which is taken, the policy decides.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ddpm.engine.launching import Engine
from ddpm.errors import ConfigError, DdpmError
from ddpm.supervisor.policy import Action, ReplicaView, Step, WaitReason
from ddpm.supervisor.states import FINAL_STATES, State
from ddpm.supervisor.status import Probe, ReplicaStatus

ENGINE_PROBE_SECONDS = 1.0
ANSWERING_SECONDS = 3.0

Launch = Callable[[int], Engine]

# From which state a replica comes into which other. A new one is starting.
TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.STARTING: frozenset({State.RUNNING, State.RECOVERING, State.DRAINING, State.STOPPED, State.FAILED}),
    State.RUNNING: frozenset({State.RECOVERING, State.DRAINING, State.STOPPED}),
    State.RECOVERING: frozenset({State.STARTING, State.STOPPED}),
    State.DRAINING: frozenset({State.STARTING, State.STOPPED}),
    State.STOPPED: frozenset({State.STARTING}),
    State.FAILED: frozenset({State.STARTING}),
}


@dataclass(slots=True)
class Replica:
    """One of them; times in seconds of the monotonic clock but for `since`, which is seconds since 1970."""

    index: int
    state: State
    reason: str
    since: float
    entered: float
    engine: Engine | None = None
    exit_code: int | None = None
    ready: bool = False
    ready_at: float = 0.0
    answered_at: float = 0.0
    failures: int = 0
    restarts: int = 0
    retry_at: float = 0.0
    restart: str | None = None
    stalled: bool = False
    killed: str | None = None
    waiting: WaitReason | None = None
    note: str | None = None

    def view(self) -> ReplicaView:
        """What the policy looks at."""
        return ReplicaView(
            index=self.index,
            state=self.state,
            since=self.entered,
            alive=self.engine is not None,
            exit_code=self.exit_code,
            ready=self.ready,
            ready_at=self.ready_at,
            answered_at=self.answered_at,
            failures=self.failures,
            retry_at=self.retry_at,
            restart=self.restart,
            killed=self.killed,
            reason=self.reason,
            trouble=self.engine.trouble() if self.engine else None,
            held_back=self.waiting is not None and self.waiting.kind == "breaker",
            waits=self.waiting is not None,
        )

    def status(self, to_wall: float) -> ReplicaStatus:
        """What people are shown; `to_wall` is added to the monotonic clock to get seconds since 1970."""
        return ReplicaStatus(
            index=self.index,
            state=self.state,
            reason=self.reason,
            since=self.since,
            restarts=self.restarts,
            ready=self.ready,
            pid=self.engine.pid if self.engine else None,
            container=self.engine.container if self.engine else None,
            url=self.engine.url if self.engine else None,
            next_retry=self.retry_at + to_wall if self.state is State.RECOVERING else None,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """An engine that has ended: its exit code as `subprocess` gives it, whether it was asked to end, and why it did."""

    replica: Replica
    engine: Engine
    code: int
    asked: bool
    why: str | None


class ReplicaSet:
    """The replicas of one pipeline.

    Attributes:
        changed_at: When one of them last came into another state, or its engine ended.
        restarts: How often an engine was started again after it had ended unasked or stalled.

    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._all: dict[int, Replica] = {}
        self.changed_at = clock()
        self.restarts = 0

    def in_order(self) -> list[Replica]:
        """All of them."""
        return [self._all[index] for index in sorted(self._all)]

    def running(self) -> list[Replica]:
        """Those that have an engine."""
        return [each for each in self.in_order() if each.engine is not None]

    def at(self, index: int, url: str) -> Replica | None:
        """The one whose engine has this address; None if that is gone by now."""
        found = self._all.get(index)
        return found if found and found.engine is not None and found.engine.url == url else None

    def waiting(self) -> list[WaitReason]:
        """What their engines wait for."""
        return [each.waiting for each in self.running() if each.waiting]

    def note(self) -> str | None:
        """What one of their engines says that a person should know."""
        return next((each.note for each in self.running() if each.note), None)

    def answering(self) -> list[Replica]:
        """Those whose engines have answered just now."""
        recent = self._clock() - ANSWERING_SECONDS
        return [each for each in self.running() if each.answered_at >= recent]

    def ready(self) -> int:
        """How many move records."""
        return sum(each.state is State.RUNNING and each.ready for each in self._all.values())

    def discount_pause(self, gap: float) -> None:
        """Leave out of account a time in which the engines were not asked."""
        for replica in self._all.values():
            replica.answered_at += gap
            replica.ready_at += gap

    def restart(self, reason: str, *, stalled: bool = False) -> None:
        """Have every engine drained and started again."""
        for replica in self._all.values():
            replica.restart, replica.stalled = reason, stalled

    def retry_failed(self) -> None:
        """Have those started that had failed for good."""
        for replica in self._all.values():
            if replica.state is State.FAILED:
                replica.restart, replica.stalled = "on request", False

    def forget_restarts(self) -> None:
        """They are not to be started again."""
        for replica in self._all.values():
            replica.restart = None

    def forget_surplus(self, desired: int) -> None:
        """Replicas that are not wanted any more and have ended leave no trace but in the totals."""
        for index in [index for index in self._all if index >= desired]:
            if self._all[index].engine is None and self._all[index].state in FINAL_STATES:
                del self._all[index]

    def carry_out(self, step: Step, launch: Launch | None) -> str | None:
        """Do what the policy says; says why an engine was not started, if it was to be."""
        replica = self._all.get(step.index)
        if replica is None:
            now = self._clock()
            replica = self._all[step.index] = Replica(step.index, step.state, step.reason, time.time(), now)
        replica.failures, replica.retry_at = step.failures, step.retry_at
        again = replica.state is State.RECOVERING or (replica.restart is not None and replica.stalled)
        self._enter(replica, step.state, step.reason)
        engine = replica.engine
        if step.action is Action.LAUNCH:
            replica.restarts += again
            self.restarts += again
            return None if launch is None else self._start(replica, launch)
        if step.action is Action.TERMINATE and engine is not None:
            engine.terminate()
        elif step.action is Action.KILL and engine is not None:
            replica.killed = None if step.state is State.DRAINING else step.reason
            engine.kill()
        return None

    def _start(self, replica: Replica, launch: Launch) -> str | None:
        replica.exit_code = replica.restart = replica.killed = replica.waiting = replica.note = None
        replica.ready = False
        try:
            replica.engine = launch(replica.index)
        except ConfigError as error:
            self._enter(replica, State.FAILED, str(error))
            return str(error)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the other engines go on
            # A full disk, no memory, a binary that is being replaced: all of that may be over the next time.
            said = error.message if isinstance(error, DdpmError) else str(error)
            replica.exit_code, replica.killed = 1, f"engine not started: {said}"
            return said
        replica.answered_at = replica.ready_at = self._clock()
        return None

    def ended(self, *, external: bool) -> list[Ended]:
        """Take notice of engines that have ended since; of those that others start it is not known how."""
        found = []
        for replica in self.running():
            engine = replica.engine
            code = engine.exit_code() if engine is not None else None
            if engine is None or code is None:
                continue
            replica.engine, replica.ready = None, False
            replica.exit_code = None if external else code
            asked = replica.state is State.DRAINING
            if not asked and not external and replica.killed is None:
                replica.killed = engine.ending()
            found.append(Ended(replica, engine, code, asked, replica.reason if asked else replica.killed))
        return found

    def kill(self) -> None:
        """End every engine at once."""
        for each in self.running():
            if each.engine is not None and each.engine.exit_code() is None:
                each.engine.kill()

    def probes(self, to_wall: float) -> list[Probe]:
        """How the engines answer; `to_wall` as for `Replica.status`."""
        probes: list[Probe] = []
        now = self._clock()
        for each in self.running():
            late = now - each.answered_at
            message = "" if each.ready else "input or outputs are not connected"
            if late > 3 * ENGINE_PROBE_SECONDS:
                message = f"no answer for {late:.0f} s"
            message = (each.engine.trouble() if each.engine else None) or message
            probes.append(Probe(f"engine {each.index}", "engine", not message, message, each.answered_at + to_wall))
        return probes

    def _enter(self, replica: Replica, state: State, reason: str) -> None:
        """The one door through which a replica changes its state."""
        if replica.state is not state:
            replica.since, replica.entered = time.time(), self._clock()
            self.changed_at = replica.entered
        replica.state, replica.reason = state, reason
