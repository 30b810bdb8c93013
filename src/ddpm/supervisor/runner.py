"""Runs the supervision of all pipelines in the thread that calls `run`.

Others only leave notes: what they saw (watchers), what they want (the API, signal handlers). Between two ticks the
notes are read in order, so one thread alone changes anything.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event

import structlog

from ddpm.engine.books import Book
from ddpm.supervisor.audit import Skip
from ddpm.supervisor.events import EventLog, Kind
from ddpm.supervisor.meter import Reading
from ddpm.supervisor.pipeline import PipelineSpec, SupervisedPipeline, Vitals
from ddpm.supervisor.policy import WaitReason
from ddpm.supervisor.replicas import Launch
from ddpm.supervisor.states import State
from ddpm.supervisor.status import OpenLetters, PartitionStatus, Status, UnseenPartition

TICK_SECONDS = 0.2
PUBLISH_EVERY_SECONDS = 1.0
LONGEST_GAP_SECONDS = 5.0
# The loop may be busy launching for a while; after this long it is taken for dead.
ALIVE_WITHIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Launchable:
    """How a pipeline's engines are started, the hash of the configuration they get, and how many can have work."""

    launch: Launch
    config_hash: str
    partitions: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """Which pipelines there are from now on.

    Attributes:
        order: The names of all, as their configuration has them.
        added: Those that were not there, with how their engines are started.
        changed: Those that are run otherwise, with how.
        reason: What is said of the change.
        in_place: Those of `changed` whose engines run on: only how many there are differs.

    """

    order: Sequence[str]
    added: Mapping[str, tuple[PipelineSpec, Launchable]]
    changed: Mapping[str, tuple[PipelineSpec, Launchable]]
    reason: str
    in_place: frozenset[str] = frozenset()


class Supervisor:
    """All pipelines of this ddpm.

    `run` blocks until every pipeline has ended. All other methods may be called from any thread; those that ask for
    something return at once. An unknown pipeline's name raises KeyError.
    """

    def __init__(
        self,
        pipelines: Sequence[PipelineSpec],
        clock: Callable[[], float] = time.monotonic,
        events: EventLog | None = None,
    ) -> None:
        self.events = events or EventLog()
        self._clock = clock
        self._pipelines = {each.name: SupervisedPipeline(each, self.events, clock) for each in pipelines}
        # They were taken out, and have engines that still drain.
        self._leaving: list[SupervisedPipeline] = []
        self._notes: SimpleQueue[Callable[[], None]] = SimpleQueue()
        # Plain flags: they are set from signal handlers, where taking a lock could deadlock.
        self._draining = False
        self._forced = False
        self._ended = False
        self._ticked_at: float | None = None
        self._published: dict[str, Status] = {}
        self._vitals: dict[str, Vitals] = {}
        self._published_at = 0.0
        self._publish()

    # --- what anyone may know

    def statuses(self) -> tuple[Status, ...]:
        """The status of every pipeline, in the configuration's order, at most a second old."""
        return tuple(self._published.values())

    def status(self, name: str) -> Status:
        """The status of one pipeline."""
        return self._published[name]

    def vitals(self, name: str) -> Vitals:
        """What the watchers of a pipeline need to know."""
        return self._vitals[name]

    @property
    def alive(self) -> bool:
        """Whether the loop ticks; before it begins there is nothing that could be stuck."""
        return self._ticked_at is None or self._clock() - self._ticked_at < ALIVE_WITHIN_SECONDS

    @property
    def draining(self) -> bool:
        """Whether all of ddpm was asked to stop."""
        return self._draining

    @property
    def ending(self) -> bool:
        """Whether it looks after nothing any more, or was asked to stop."""
        return self._ended or self._draining

    # --- what watchers saw

    def engine_answered(
        self,
        name: str,
        index: int,
        url: str,
        *,
        ready: bool,
        reading: Reading | None = None,
        waiting: WaitReason | None = None,
        books: Mapping[tuple[str, int], Book] | None = None,
    ) -> None:
        """Note what the engine at an address said."""
        said = partial(self._pipelines[name].engine_answered, index, url, ready=ready)
        self._notes.put(partial(said, reading=reading, waiting=waiting, books=books))

    def probed(self, name: str, probe: str, problem: str | None, *, broken: bool = False) -> None:
        """Note the answer of the broker or a sink; `problem` is None when all is well, `broken` waits for a person."""
        self._notes.put(partial(self._pipelines[name].probed, probe, problem, broken=broken))

    def partitions_seen(
        self, name: str, partitions: tuple[PartitionStatus, ...] | None, unseen: tuple[UnseenPartition, ...] = ()
    ) -> None:
        """Note how far a pipeline has come, and where that is unknown; None when it is not known any more."""
        self._notes.put(partial(self._pipelines[name].partitions_seen, partitions, unseen))

    def skip_tried(self, name: str, skip: Skip, readable: int | None) -> None:
        """Note the first offset from `skip.begin` on that has a record; None when there is none."""
        self._notes.put(partial(self._pipelines[name].skip_tried, skip, readable))

    def dead_letters_seen(self, name: str, letters: OpenLetters | None) -> None:
        """Note how many dead letters are open; None when that is not known any more."""
        self._notes.put(partial(self._pipelines[name].dead_letters_seen, letters))

    # --- what people ask for

    def pause(self, name: str) -> None:
        """Drain a pipeline and keep it so until it is resumed."""
        self._notes.put(self._pipelines[name].pause)

    def resume(self, name: str) -> None:
        """Run a pipeline that is paused, stopped or failed."""
        self._notes.put(self._pipelines[name].resume)

    def drain_one(self, name: str) -> None:
        """Let one pipeline finish what is in flight and stop."""
        self._notes.put(self._pipelines[name].drain)

    def finish(self, name: str, reason: str) -> None:
        """Stop a pipeline whose work is done."""
        self._notes.put(partial(self._pipelines[name].finish, reason))

    def restart(self, name: str, reason: str, kind: Kind = "control") -> None:
        """Drain the engines of a pipeline and start them again."""
        self._notes.put(partial(self._pipelines[name].restart, reason, kind))

    def scale(self, name: str, replicas: int | None) -> None:
        """Run so many replicas; None: as the configuration says."""
        self._notes.put(partial(self._pipelines[name].scale, replicas))

    def drain(self) -> None:
        """Let every pipeline finish what is in flight and stop, then return from `run`."""
        self._draining = True

    def force(self) -> None:
        """End every engine now, then return from `run`."""
        self._forced = True
        self._draining = True

    # --- what changes underneath

    def hold(self, name: str, reason: str) -> None:
        """End the engines of a pipeline at once and start none until it is launched again."""
        self._notes.put(partial(self._pipelines[name].hold, reason))

    def unprepared(self, name: str, state: State, reason: str) -> None:
        """Note that a pipeline cannot be launched yet: `recovering` while it is tried again, `failed` for a person."""
        self._notes.put(partial(self._pipelines[name].unprepared, state, reason))

    def alarm(self, name: str, message: str) -> None:
        """Report what somebody should look at."""
        self._notes.put(partial(self._pipelines[name].alarm, message))

    def mention(self, name: str, message: str, kind: Kind) -> None:
        """Report what happened of itself, and needs no action."""
        self._notes.put(partial(self._pipelines[name].mention, message, kind))

    def launch_anew(self, name: str, launchable: Launchable) -> None:
        """From now on start the engines of a pipeline in this way; ends a hold."""
        self._notes.put(
            partial(self._pipelines[name].launch_with, launchable.launch, launchable.config_hash, launchable.partitions)
        )

    def exchange(self, exchange: Exchange) -> Event:
        """Add, change and take out pipelines; those that are not named otherwise stay as they are.

        What is taken out is drained; `left` says when that is done. The event is set when it is known everywhere.
        """
        done = Event()

        def carry_out() -> None:
            self._exchange(exchange)
            done.set()

        self._notes.put(carry_out)
        return done

    @property
    def left(self) -> frozenset[str]:
        """The names of pipelines that were taken out and have engines that still drain."""
        return frozenset(each.managed.name for each in tuple(self._leaving))

    # --- the loop

    def announce(self, reason: str) -> None:
        """Before `run`: say what keeps the pipelines from being launched."""
        for pipeline in self._pipelines.values():
            pipeline.announce(reason)
        self._publish()

    def run(self, launchables: Mapping[str, Launchable], ticked: Callable[[], object] = lambda: None) -> None:
        """Keep the pipelines running until all have ended; ends every engine on the way out.

        It goes on while a pipeline was only drained on request: someone may resume it. `ticked` is called after each
        tick, and must not raise.
        """
        for name, launchable in launchables.items():
            self._pipelines[name].launch_with(launchable.launch, launchable.config_hash, launchable.partitions)
        try:
            while not self._over():
                self.tick()
                ticked()
                time.sleep(TICK_SECONDS)
        finally:
            self._ended = True
            for pipeline in (*self._pipelines.values(), *self._leaving):
                pipeline.end()
            self._publish()

    def tick(self) -> None:
        """Read the notes, look at every pipeline once and do what the policy says."""
        self._forgive_gaps()
        changed = self._read_notes()
        for name, pipeline in self._pipelines.items():
            try:
                changed |= pipeline.tick(stopping=self._draining, forced=self._forced)
            except Exception:  # noqa: BLE001 -- one pipeline must not end the engines of the others
                structlog.get_logger().exception("a pipeline could not be looked after", pipeline=name)
            self._vitals[name] = pipeline.vitals()
            self._ticked_at = self._clock()
        self._let_go()
        if changed or self._clock() - self._published_at >= PUBLISH_EVERY_SECONDS:
            self._publish()

    def _exchange(self, exchange: Exchange) -> None:
        before = self._pipelines
        now: dict[str, SupervisedPipeline] = {}
        for name in exchange.order:
            if name in exchange.added:
                spec, launchable = exchange.added[name]
                now[name] = SupervisedPipeline(spec, self.events, self._clock)
                now[name].launch_with(launchable.launch, launchable.config_hash, launchable.partitions)
                now[name].mention(exchange.reason, "control")
            else:
                now[name] = before[name]
        for name, (spec, launchable) in exchange.changed.items():
            now[name].reconfigure(spec, exchange.reason)
            now[name].launch_with(launchable.launch, launchable.config_hash, launchable.partitions)
            if name not in exchange.in_place:
                now[name].start_again(exchange.reason)
        for name in before.keys() - now.keys():
            before[name].drain(f"{exchange.reason}: it is not there any more")
            self._leaving.append(before[name])
        # Others read it while this happens.
        self._pipelines = now
        self._publish()

    def _let_go(self) -> None:
        """Look after those that were taken out, until their engines have ended."""
        for pipeline in self._leaving:
            pipeline.tick(stopping=True, forced=self._forced)
        for pipeline in [each for each in self._leaving if each.settled]:
            pipeline.end()
            self._leaving.remove(pipeline)

    def _forgive_gaps(self) -> None:
        """Time in which ddpm itself did not run (it was stopped, or busy) is no silence of the engines."""
        now = self._clock()
        gap = 0.0 if self._ticked_at is None else now - self._ticked_at
        if gap > LONGEST_GAP_SECONDS:
            for pipeline in self._pipelines.values():
                pipeline.discount_pause(gap)
        self._ticked_at = now

    def _over(self) -> bool:
        pipelines = self._pipelines.values()
        if self._leaving or not all(pipeline.settled for pipeline in pipelines):
            return False
        # While one is exchanged for others there may be none for a moment.
        over = bool(pipelines) and all(pipeline.failed or pipeline.finished for pipeline in pipelines)
        return self._draining or over

    def _read_notes(self) -> bool:
        noted = False
        while True:
            try:
                note = self._notes.get_nowait()
            except Empty:
                return noted
            try:
                note()
            except Exception:  # noqa: BLE001 -- one note that cannot be followed must not end the engines
                structlog.get_logger().exception("a note could not be followed")
            noted = True

    def _publish(self) -> None:
        self._vitals = {name: pipeline.vitals() for name, pipeline in self._pipelines.items()}
        self._published = {name: pipeline.status() for name, pipeline in self._pipelines.items()}
        self._published_at = self._clock()
