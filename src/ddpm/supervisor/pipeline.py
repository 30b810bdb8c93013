"""One pipeline under supervision: what is seen of it, what the policy says, and the one door to another state.

Everything here happens in the supervisor's thread.
"""

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import structlog

from ddpm.engine.books import Book
from ddpm.supervisor.audit import Auditor, Skip
from ddpm.supervisor.events import EventLog, Kind
from ddpm.supervisor.expiry import Expiry
from ddpm.supervisor.memory import HistoryFile, Memory, MemoryFile
from ddpm.supervisor.meter import HISTORY_STEP, Meter, Reading
from ddpm.supervisor.policy import (
    ProbeView,
    Snapshot,
    Verdict,
    WaitReason,
    decide,
    describe_exit,
    judge,
    random_jitter,
)
from ddpm.supervisor.replicas import Ended, Launch, Replica, ReplicaSet
from ddpm.supervisor.scale_controller import ScaleController
from ddpm.supervisor.scaling import Observation, ScaleLimits, StabilizationWindow
from ddpm.supervisor.states import FINAL_STATES, DesiredState, State
from ddpm.supervisor.status import (
    Exit,
    OpenLetters,
    PartitionStatus,
    Probe,
    Status,
    Trouble,
    UnseenPartition,
)

_SEVERITY = {State.DEGRADED: "warning", State.RECOVERING: "warning", State.FAILED: "error"}
_TROUBLED = frozenset({State.DEGRADED, State.RECOVERING, State.FAILED})


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the watchers of a pipeline need to know.

    Attributes:
        engines: Index and address of every engine that runs and has one.
        answering: Those of them that have answered just now.
        healthy: Whether engines are meant to move records: they run, broker and sinks answer, and none waits.
        changed_at: When an engine was last started, connected or ended, in seconds of the monotonic clock.
        held: Whether no engine runs and none is started, because something changes underneath.
        skips: Offsets that no engine seems to have read; whether they hold a record is to be tried.

    """

    engines: tuple[tuple[int, str], ...]
    answering: tuple[tuple[int, str], ...]
    healthy: bool
    changed_at: float
    held: bool = False
    skips: tuple[Skip, ...] = ()


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """One pipeline to keep running.

    Attributes:
        name: Its name.
        drain: Seconds that an engine may take to finish what is in flight.
        probes: The kinds of the probes besides those of the engines, by name: `kafka`, `postgres`.
        replicas: How many engines run when neither a person nor the lag says otherwise.
        limits: Between which numbers the lag decides; None when it does not.
        patience: How long the lag must say the same before it decides.
        memory: What is kept from one run of ddpm to the next.
        bounded: Whether it ends by itself, so that a person could not resume it.
        external: Whether others start and end its engine, and ddpm only watches.
        history: Where its sparklines are kept from one run to the next; None keeps them nowhere.
        settles: Whether the engines' books account for every document.

    """

    name: str
    drain: float
    probes: Mapping[str, Literal["broker", "sink"]]
    replicas: int
    limits: ScaleLimits | None
    patience: StabilizationWindow
    memory: MemoryFile
    bounded: bool = False
    external: bool = False
    history: HistoryFile | None = None
    settles: bool = False


@dataclass(slots=True)
class _Seen:
    probes: dict[str, Probe]
    probed_at: dict[str, float] = field(default_factory=dict)
    partitions: tuple[PartitionStatus, ...] | None = None
    unseen: tuple[UnseenPartition, ...] = ()
    dead_letters: OpenLetters | None = None


class SupervisedPipeline:
    """One pipeline: `tick` looks at it once; the other methods take in what others saw or ask for."""

    def __init__(self, managed: PipelineSpec, events: EventLog, clock: Callable[[], float]) -> None:
        # What is asked of an engine that others run cannot be carried out, now as little as later.
        remembered = Memory() if managed.external else managed.memory.load()
        self.managed = managed
        self._events = events
        self._clock = clock
        self._launch: Launch | None = None
        self._config_hash = ""
        self._config_since: float | None = None
        self._wish = remembered.wish
        self._paused = remembered.wish is DesiredState.PAUSE
        self._paused_because = remembered.paused_because if self._paused else None
        self._trips = 0
        self._gave_up: str | None = None
        self._held: str | None = None
        self._unprepared: Verdict | None = None
        self._last_exit = remembered.last_exit
        self._finished: str | None = None
        self._last_error: Trouble | None = None
        self._replicas = ReplicaSet(clock)
        self._scale = ScaleController(managed.replicas, managed.limits, managed.patience, remembered.replicas)
        self._seen = _Seen({name: Probe(name, kind, False, "", None) for name, kind in managed.probes.items()})
        self._meter = Meter()
        self._kept_at = clock()
        if managed.history is not None:
            at, steps = managed.history.load()
            self._meter.restore(steps, int(max(0.0, time.time() - at) // HISTORY_STEP))
        self._expiry = Expiry()
        self._auditor = Auditor(settles=managed.settles)
        self._state = State.STARTING
        self._reason = "ddpm is starting"
        self._since = time.time()
        self._log = structlog.get_logger().bind(pipeline=managed.name)

    @property
    def settled(self) -> bool:
        """Whether it has ended and nothing will start it again by itself."""
        return self._state in FINAL_STATES and not self._replicas.running()

    @property
    def finished(self) -> bool:
        """Whether it has ended because its work is done."""
        return self._state is State.STOPPED and self._finished is not None

    @property
    def failed(self) -> bool:
        """Whether it ended by an error that trying again cannot fix."""
        return self._state is State.FAILED and self.settled

    def announce(self, reason: str) -> None:
        """Say what keeps it from being launched."""
        self._enter(State.STARTING, reason)

    def launch_with(self, launch: Launch, config_hash: str, partitions: int) -> None:
        """From now on it may be launched; `partitions` is how many engines can have work."""
        if config_hash != self._config_hash:
            self._config_since = time.time()
        self._launch, self._config_hash, self._held = launch, config_hash, None
        self._unprepared = None
        self._scale.partitions = partitions
        if self._scale.clipped:
            self._log.warning(self._scale.clipped)

    def reconfigure(self, managed: PipelineSpec, reason: str) -> None:
        """From now on do as another configuration says; engines that run are left alone."""
        self.managed = managed
        self._scale = ScaleController(managed.replicas, managed.limits, managed.patience, self._scale.manual)
        before = self._seen.probes
        self._seen.probes = {
            name: before.get(name, Probe(name, kind, False, "", None)) for name, kind in managed.probes.items()
        }
        self._events.add(self.managed.name, "control", reason)
        self._log.info(reason)

    def start_again(self, reason: str) -> None:
        """Drain its engines, and start them as `launch_with` says by then."""
        if self._wish is DesiredState.RUN:
            self._replicas.restart(reason)

    def unprepared(self, state: State, reason: str) -> None:
        """It cannot be launched yet, because its topics or its table cannot be made; `launch_with` ends this."""
        if self._launch is None:
            self._unprepared = Verdict(state, reason)

    def alarm(self, message: str) -> None:
        """Report what somebody should look at."""
        self._events.add(self.managed.name, "alarm", message)
        self._log.warning(message)

    def mention(self, message: str, kind: Kind) -> None:
        """Report what happened of itself, and needs no action."""
        self._events.add(self.managed.name, kind, message)
        self._log.info(message)

    def hold(self, reason: str) -> None:
        """End all engines at once and start none until `launch_with` brings how they are started from now on."""
        if self._held is None:
            self.alarm(reason)
        self._held = reason

    def discount_pause(self, gap: float) -> None:
        """Leave out of account a time in which the engines were not asked."""
        self._replicas.discount_pause(gap)

    def engine_answered(
        self,
        index: int,
        url: str,
        *,
        ready: bool,
        reading: Reading | None,
        waiting: WaitReason | None,
        books: Mapping[tuple[str, int], Book] | None = None,
    ) -> None:
        """Take what the engine at an address said; an answer of one that is gone by now is left aside."""
        replica = self._replicas.at(index, url)
        if replica is None:
            return
        now = self._clock()
        replica.answered_at, replica.ready = now, ready
        if ready:
            replica.ready_at = now
        if reading is not None:
            is_note = waiting is not None and waiting.kind == "note"
            replica.waiting = None if is_note else waiting
            replica.note = waiting.reason if waiting is not None and is_note else None
            self._meter.read(index, reading)
            self._audit(index, books or {}, waiting)
            if waiting is not None and waiting.kind == "breaker" and not self.managed.external:
                self._trip(waiting.reason)

    def skip_tried(self, skip: Skip, readable: int | None) -> None:
        """Take the first offset from `skip.begin` on that has a record."""
        self._raise_alarms(self._auditor.probed(skip, readable))

    def _skips(self) -> tuple[Skip, ...]:
        # Until every engine has said what it has read since the last change, another one may have read it.
        return self._auditor.skips() if self._clock() - self._replicas.changed_at >= SKIP_PATIENCE else ()

    def _audit(self, index: int, books: Mapping[tuple[str, int], Book], waiting: WaitReason | None) -> None:
        found = self._auditor.engine_said(
            self._clock(), index, books, waiting=waiting is not None, changed_at=self._replicas.changed_at
        )
        self._raise_alarms(found)

    def _raise_alarms(self, found: Sequence[str]) -> None:
        for each in found:
            self._last_error = Trouble(time.time(), each)
            self._events.add(self.managed.name, "alarm", each)
            self._log.error(each)

    def probed(self, name: str, problem: str | None, *, broken: bool = False) -> None:
        """Take the answer of the broker or a sink; `problem` is None when all is well."""
        before = self._seen.probes[name]
        self._seen.probes[name] = replace(
            before, ok=problem is None, message=problem or "", at=time.time(), broken=broken
        )
        self._seen.probed_at[name] = self._clock()

    def partitions_seen(
        self, partitions: tuple[PartitionStatus, ...] | None, unseen: tuple[UnseenPartition, ...] = ()
    ) -> None:
        """Take how far the pipeline has come (None: not known), and let the lag decide on replicas where it may."""
        self._seen.partitions = partitions
        self._seen.unseen = unseen
        self._auditor.committed(partitions or ())
        if partitions:
            self._meter.lag(sum(partition.lag for partition in partitions))
            topics = Counter([*(each.topic for each in partitions), *(each.topic for each in unseen)])
            self._scale.partitions = max(topics.values())
        for loss in self._expiry.seen(partitions or ()):
            self._log.error(
                "records lost to retention", topic=loss.topic, partition=loss.partition, offsets=loss.offsets
            )
            self._events.add(self.managed.name, "alarm", str(loss))
        self._scale_by_lag()

    def dead_letters_seen(self, letters: OpenLetters | None) -> None:
        """Take how many dead letters are open; None: not known."""
        self._seen.dead_letters = letters

    def pause(self) -> None:
        """Drain, and stay so until it is resumed, over restarts of ddpm too."""
        self._paused, self._paused_because = True, None
        self._wish_for(DesiredState.PAUSE, "pause requested")

    def _trip(self, reason: str) -> None:
        """Stop moving records, because too many of them are dead: no records are lost by it."""
        if self._wish is not DesiredState.RUN:
            return
        self._trips += 1
        self._last_error = Trouble(time.time(), reason)
        self._events.add(self.managed.name, "alarm", reason)
        self._log.error(reason)
        if self.managed.bounded:
            self._gave_up = reason
            self._set_wish(DesiredState.STOP)
        else:
            self._paused, self._paused_because = True, reason
            self._set_wish(DesiredState.PAUSE)

    def resume(self) -> None:
        """Run (again)."""
        if self._finished is not None:
            return
        self._auditor.acknowledged()
        self._paused, self._paused_because, self._gave_up = False, None, None
        self._wish_for(DesiredState.RUN, "resume requested")
        self._replicas.retry_failed()

    def drain(self, reason: str = "drain requested") -> None:
        """Finish what is in flight and stop; a new start of ddpm starts it again."""
        self._wish_for(DesiredState.STOP, reason)

    def finish(self, reason: str) -> None:
        """Stop because all that was to be done is done; what is paused or drained goes on when it is resumed."""
        if self._wish is not DesiredState.RUN:
            return
        self._finished = reason
        self._wish_for(DesiredState.STOP, reason)

    def restart(self, reason: str, kind: Kind = "control") -> None:
        """Drain every engine and start it again; a paused or stopped pipeline is started by a request alone."""
        if self._finished is not None or (kind != "control" and self._wish is not DesiredState.RUN):
            return
        if self.managed.external:
            self.alarm(f"{reason}; the engine is not ddpm's to restart")
            return
        self._paused, self._paused_because, self._gave_up = False, None, None
        if kind == "control":
            self._auditor.acknowledged()
        self._events.add(self.managed.name, kind, reason)
        self._log.info("restart", reason=reason)
        if self._wish is not DesiredState.RUN:
            self._set_wish(DesiredState.RUN)
        self._replicas.restart(reason, stalled=kind == "stall")

    def scale(self, replicas: int | None) -> None:
        """Run so many replicas until another request; None gives the decision back to the configuration."""
        self._scaled(*self._scale.request(replicas))
        self._save()

    def vitals(self) -> Vitals:
        """What the watchers need to know now."""
        running = self._replicas.running()
        healthy = (
            self._wish is DesiredState.RUN
            and any(each.state is State.RUNNING for each in running)
            and all(probe.ok for probe in self._seen.probes.values())
            and not self._replicas.waiting()
        )
        held = self._held is not None and not running
        engines, answering = _addresses(running), _addresses(self._replicas.answering())
        return Vitals(engines, answering, healthy, self._replicas.changed_at, held, self._skips())

    def tick(self, *, stopping: bool, forced: bool) -> bool:
        """Look once, do what the policy says, and name the state that follows; reports whether anything changed."""
        now = self._clock()
        for each in self._replicas.ended(external=self.managed.external):
            self._notice_exit(each)
        if self._launch is None and not stopping:
            return self._await_preparation(now, forced)
        wish = DesiredState.STOP if stopping else self._wish
        steps = decide(self._snapshot(wish, forced), now, random_jitter())
        for step in steps:
            if why := self._replicas.carry_out(step, self._launch):
                self._last_error = Trouble(time.time(), why)
        if wish is DesiredState.RUN:
            self._replicas.forget_surplus(self._scale.desired)
        verdict = judge(self._snapshot(wish, forced), now)
        state, reason = verdict.state, verdict.reason
        if state is State.STOPPED and self._gave_up:
            state, reason = State.FAILED, self._gave_up
        elif state is State.STOPPED and self._unprepared and self._unprepared.state is State.FAILED:
            state, reason = State.FAILED, self._unprepared.reason
        elif state is State.STOPPED and self._finished:
            reason = self._finished
        changed = self._enter(state, reason)
        self._meter.tick(now)
        if now - self._kept_at >= KEEP_HISTORY_SECONDS:
            self._keep_history(now)
        return changed or bool(steps)

    def _await_preparation(self, now: float, forced: bool) -> bool:
        verdict = self._unprepared
        if verdict is None:
            return False
        if self._wish is not DesiredState.RUN:
            verdict = judge(self._snapshot(self._wish, forced), now)
        return self._enter(verdict.state, verdict.reason)

    def _keep_history(self, now: float) -> None:
        self._kept_at = now
        if self.managed.history is not None:
            self.managed.history.save(time.time(), self._meter.steps())

    def end(self) -> None:
        """End every engine at once."""
        self._keep_history(self._clock())
        self._replicas.kill()

    def status(self) -> Status:
        """Everything there is to know now."""
        monotonic, wall = self._clock(), time.time()
        replicas = tuple(each.status(wall - monotonic) for each in self._replicas.in_order())
        retries = [each.next_retry for each in replicas if each.next_retry is not None]
        return Status(
            name=self.managed.name,
            state=self._state,
            reason=self._reason,
            since=self._since,
            wish=self._wish,
            restarts=self._replicas.restarts,
            next_retry=min(retries, default=None),
            last_error=self._last_error,
            last_exit=self._last_exit,
            config_hash=self._config_hash,
            scaling=self._scale.status(),
            replicas=replicas,
            probes=(*self._replicas.probes(wall - monotonic), *self._seen.probes.values()),
            partitions=self._seen.partitions,
            rates=self._meter.rates(),
            totals=self._meter.totals(),
            history=self._meter.history(),
            finished=self.finished,
            expired=self._expiry.lost,
            dead_letters=self._seen.dead_letters,
            external=self.managed.external,
            tripped=self._wish is DesiredState.PAUSE and self._paused_because is not None,
            trips=self._trips,
            audit=self._auditor.totals(),
            config_since=self._config_since,
            unseen=self._seen.unseen,
        )

    def _snapshot(self, wish: DesiredState, forced: bool) -> Snapshot:
        return Snapshot(
            wish=wish,
            kill_requested=forced,
            desired=self._scale.desired,
            drain=self.managed.drain,
            replicas=tuple(each.view() for each in self._replicas.in_order()),
            probes=tuple(
                ProbeView(probe.name, probe.ok, probe.message, self._seen.probed_at.get(name), probe.broken)
                for name, probe in self._seen.probes.items()
            ),
            waiting=self._waiting(),
            note=self._replicas.note(),
            paused_because=self._paused_because,
            held=self._held,
            external=self.managed.external,
        )

    def _waiting(self) -> WaitReason | None:
        found = self._replicas.waiting()
        lost = self._expiry.present or self._auditor.present
        first = found[0] if found else WaitReason(lost) if lost else None
        return next((each for each in found if each.kind == "broken"), first)

    def _notice_exit(self, ended: Ended) -> None:
        index, code = ended.replica.index, ended.code
        self._meter.ended(index)
        self._auditor.ended(index)
        if self.managed.external:
            return
        reason = ended.why or f"engine {describe_exit(code)}"
        self._last_exit = Exit(
            replica=index,
            at=time.time(),
            code=code if code >= 0 else None,
            signal=_signal_name(-code) if code < 0 else None,
            reason=reason,
            log=ended.engine.last_lines(),
            config_hash=self._config_hash,
        )
        if not ended.asked:
            self._last_error = Trouble(time.time(), reason)
        why = f": {ended.why}" if ended.why else ""
        self._events.add(self.managed.name, "exit", f"engine {index} {describe_exit(code)}{why}")
        self._save()

    def _scale_by_lag(self) -> None:
        if not self._scale.automatic or self._wish is not DesiredState.RUN:
            return
        probes = self._seen.probes.values()
        seen = Observation(
            at=self._clock(),
            replicas=self._scale.desired,
            ready=self._replicas.ready(),
            partitions=self._seen.partitions,
            sink_ok=not self._replicas.waiting() and all(probe.ok for probe in probes if probe.kind == "sink"),
            broker_ok=all(probe.ok for probe in probes if probe.kind == "broker"),
            busy=self._state not in (State.RUNNING, State.DEGRADED),
        )
        if decided := self._scale.observe(seen):
            self._scaled(*decided)

    def _scaled(self, before: int, reason: str) -> None:
        after = self._scale.desired
        message = f"{reason} ({before} -> {after})" if f"-> {after}" not in reason else reason
        self._events.add(self.managed.name, "scale", message)
        self._log.info("scale", reason=reason, before=before, after=after)

    def _wish_for(self, wish: DesiredState, said: str) -> None:
        self._events.add(self.managed.name, "control", said)
        self._log.info(said)
        self._set_wish(wish)

    def _set_wish(self, wish: DesiredState) -> None:
        self._wish = wish
        if wish is not DesiredState.RUN:
            self._replicas.forget_restarts()
        self._save()

    def _save(self) -> None:
        # A drained pipeline runs again after a new start; a paused one stays paused.
        kept = DesiredState.PAUSE if self._paused else DesiredState.RUN
        self.managed.memory.save(Memory(kept, self._scale.manual, self._last_exit, self._paused_because))

    def _enter(self, state: State, reason: str) -> bool:
        """The one door through which the pipeline changes its state; reports whether it was another one."""
        before, before_reason = self._state, self._reason
        if (before, before_reason) == (state, reason):
            return False
        self._state, self._reason = state, reason
        if before is not state:
            self._since = time.time()
        if state in _TROUBLED:
            self._last_error = Trouble(time.time(), reason)
        self._events.add(self.managed.name, "state", reason, state.value)
        log = self._log.bind(state=state.value, reason=reason)
        getattr(log, _SEVERITY.get(state, "info"))(f"pipeline {state.value}")
        return True


KEEP_HISTORY_SECONDS = 30.0
SKIP_PATIENCE = 10.0


def _addresses(replicas: Sequence[Replica]) -> tuple[tuple[int, str], ...]:
    return tuple((each.index, each.engine.url) for each in replicas if each.engine and each.engine.url)


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
