"""Watches everything that the pipelines depend on, each in a thread of its own, and informs the supervisor.

A thread for each pipeline's engines, for each Kafka cluster and for each database: one that hangs hides no other.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

import structlog

from ddpm.broker.watch import ClusterWatch, Group, PartitionLag, Unseen
from ddpm.config.model import Pipeline, ProbeSpec
from ddpm.contract import PostgresWait
from ddpm.deadletters.store import DeadLetterStore
from ddpm.engine.books import books
from ddpm.engine.counters import Counters, counters
from ddpm.engine.probes import EngineClient
from ddpm.errors import DdpmError, NewerStateError
from ddpm.orchestrator.provisioning.partition_maintenance import MONTHS_SECONDS
from ddpm.orchestrator.provisioning.provision import make_dead_letter_topic, month_keeper, watched_table
from ddpm.orchestrator.provisioning.strangers import StrangerWatch
from ddpm.orchestrator.run.bounded import Bound
from ddpm.orchestrator.run.groups import GroupWatch
from ddpm.orchestrator.run.pages import EnginePages
from ddpm.orchestrator.run.topic_recreation import TopicRecreation
from ddpm.orchestrator.run.wait_reasons import wait_reason
from ddpm.store.watch import DatabaseWatch
from ddpm.supervisor.meter import Reading
from ddpm.supervisor.replicas import ENGINE_PROBE_SECONDS
from ddpm.supervisor.runner import Supervisor
from ddpm.supervisor.stall import StallWatch
from ddpm.supervisor.status import OpenLetters, PartitionStatus, UnseenPartition

CLUSTER_SECONDS = 3.0
DATABASE_SECONDS = 3.0
LETTERS_SECONDS = 5.0
# A topic that is full of dead letters is read little by little: at most so long, and so many at once.
_LETTERS_LOOK_SECONDS = 1.0
_LETTERS_AT_ONCE = 5_000
# The counters are worth a look less often than the state.
COUNTERS_EVERY = 2
MOST_ENGINES = 64
MAKE_TOPIC_SECONDS = 5.0
_NAMED_PARTITIONS = 3

Key = TypeVar("Key")

BROKER_PROBE = "kafka"


def probes_of(pipeline: Pipeline) -> dict[str, Literal["broker", "sink"]]:
    """What is watched of a pipeline besides its engines: the names of probes, and what each is about."""
    found: dict[str, Literal["broker", "sink"]] = {BROKER_PROBE: "broker"}
    found |= {each.name: "sink" for each in _probes(pipeline)}
    if pipeline.table is not None:
        found[pipeline.table.kind] = "sink"
    return found


def _probes(pipeline: Pipeline) -> list[ProbeSpec]:
    return [probe for sink in pipeline.sinks for probe in sink.probes(pipeline)]


@contextmanager
def watching(
    pipelines: Sequence[Pipeline],
    supervisor: Supervisor,
    bounds: dict[str, Bound],
    letters: Mapping[str, DeadLetterStore],
    *,
    renewal: Callable[[Pipeline, threading.Event], TopicRecreation],
    pages: EnginePages,
) -> Iterator[None]:
    """Watch while the block runs.

    Args:
        pipelines: All pipelines, with real addresses.
        supervisor: Who is notified.
        bounds: How far the pipelines read that end by themselves, by name; one that is reached is taken out.
        letters: Where their dead letters are, by name.
        renewal: Gives what happens to a pipeline when a topic of it is made again.
        pages: Given what the engines say of themselves.

    """
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def watch(name: str, seconds: float, look: Callable[[], None]) -> None:
        thread = threading.Thread(target=_every, args=(seconds, look, stop), name=f"watch {name}", daemon=True)
        threads.append(thread)
        thread.start()

    with ExitStack() as closing:
        # What changed in the tables' columns, by pipeline, for the words about an engine that waits because of it.
        changed: dict[str, str | None] = {}
        # Pipelines whose engines hold back records because a log seems to be another one.
        suspected: set[str] = set()
        for pipeline in pipelines:
            engines = _Engines(pipeline, supervisor, changed, suspected, pages)
            closing.callback(engines.close)
            watch(f"engines of {pipeline.name}", ENGINE_PROBE_SECONDS, engines.look)
        for brokers, readers in _by(pipelines, lambda pipeline: pipeline.kafka.cluster).items():
            renewals = [renewal(pipeline, stop) for pipeline in readers]
            for each in renewals:
                closing.callback(each.join, 5)
            cluster = _Cluster(
                brokers, list(zip(readers, renewals, strict=True)), supervisor, bounds, suspected, pages=pages
            )
            closing.callback(cluster.close)
            closing.callback(cluster.last_look)
            watch(f"kafka {brokers[0]}", CLUSTER_SECONDS, cluster.look)
        for probe in {each.key: each for pipeline in pipelines for each in _probes(pipeline)}.values():
            writers = [one.name for one in pipelines if probe.key in {each.key for each in _probes(one)}]
            sink = SinkWatch(probe, writers, supervisor.probed)
            closing.callback(sink.close)
            watch(probe.name, CLUSTER_SECONDS, sink.look)
        tables = [pipeline for pipeline in pipelines if pipeline.table is not None]
        for url, writing in _by(tables, lambda pipeline: pipeline.table.url if pipeline.table else "").items():
            database = _Database(url, writing, supervisor, changed)
            closing.callback(database.close)
            watch("database", DATABASE_SECONDS, database.look)
        for pipeline in tables:
            keeper = month_keeper(pipeline, partial(supervisor.events.add, pipeline.name, "partition"))
            if keeper is not None:
                watch(f"months of {pipeline.name}", MONTHS_SECONDS, keeper.look)
        for store, owners in _by(pipelines, lambda pipeline: letters[pipeline.name]).items():
            dead = _Letters(store, [each.name for each in owners], supervisor)
            closing.callback(store.close)
            watch(f"dead letters in {store.topic}", LETTERS_SECONDS, dead.look)
        closing.callback(_end, stop, threads)
        yield


def _end(stop: threading.Event, threads: Sequence[threading.Thread]) -> None:
    stop.set()
    for thread in threads:
        # A look that hangs ends by its own time limit.
        thread.join(5)


def _by(pipelines: Sequence[Pipeline], key: Callable[[Pipeline], Key]) -> dict[Key, list[Pipeline]]:
    found: dict[Key, list[Pipeline]] = {}
    for pipeline in pipelines:
        found.setdefault(key(pipeline), []).append(pipeline)
    return found


def _every(seconds: float, look: Callable[[], None], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            look()
        except Exception:  # noqa: BLE001 -- a watcher that dies would leave its last answer standing
            structlog.get_logger().exception("a watcher failed", watcher=threading.current_thread().name)
        stop.wait(seconds)


class _Engines:
    """The engines of one pipeline, each asked by itself: one that is frozen delays no other."""

    def __init__(
        self,
        pipeline: Pipeline,
        supervisor: Supervisor,
        changed: Mapping[str, str | None],
        suspected: set[str],
        pages: EnginePages,
    ) -> None:
        self._pipeline = pipeline
        self._pages = pages
        self._suspected = suspected
        self._changed = changed
        self._supervisor = supervisor
        self._clients: dict[str, EngineClient] = {}
        self._asked: dict[str, Future[None]] = {}
        self._threads = ThreadPoolExecutor(max_workers=MOST_ENGINES, thread_name_prefix=f"engine of {pipeline.name}")
        self._looks = 0

    def look(self) -> None:
        engines = self._supervisor.vitals(self._pipeline.name).engines
        counting = self._looks % COUNTERS_EVERY == 0
        self._looks += 1
        urls = {url for _, url in engines}
        for url in [url for url, asked in self._asked.items() if asked.done() and url not in urls]:
            del self._asked[url]
            self._clients.pop(url).close()
        for index, url in engines:
            if url not in self._asked or self._asked[url].done():
                client = self._clients.setdefault(url, EngineClient(url))
                changed = self._changed.get(self._pipeline.name)
                self._asked[url] = self._threads.submit(self._ask, index, client, counting=counting, changed=changed)

    def _ask(self, index: int, client: EngineClient, *, counting: bool, changed: str | None) -> None:
        seen = _ask(self._supervisor, self._pipeline, index, client, self._pages if counting else None, changed=changed)
        if seen is not None and any(each.word == PostgresWait.INCARNATION for each in seen.waiting):
            self._suspected.add(self._pipeline.name)
        elif seen is not None:
            self._suspected.discard(self._pipeline.name)

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        for client in self._clients.values():
            client.close()


def count(pipeline: Pipeline, supervisor: Supervisor, pages: EnginePages) -> None:
    """Read the counters of a pipeline's engines now, whenever they were read last."""
    for index, url in supervisor.vitals(pipeline.name).answering:
        client = EngineClient(url)
        _ask(supervisor, pipeline, index, client, pages)
        client.close()


def _ask(
    supervisor: Supervisor,
    pipeline: Pipeline,
    index: int,
    client: EngineClient,
    pages: EnginePages | None,
    *,
    changed: str | None = None,
) -> Counters | None:
    """Ask an engine how it is, and for its counters where there are `pages` to keep them in."""
    ready = client.ready()
    if ready is None:
        return None
    text = client.metrics() if pages is not None else None
    if text is None or pages is None:
        supervisor.engine_answered(pipeline.name, index, client.url, ready=ready)
        return None
    # First, so that no status is ahead of the page.
    pages.keep(pipeline.name, client.url, text)
    seen = counters(text, {sink.metrics_prefix for sink in pipeline.sinks})
    reading = Reading(seen.read, seen.written, seen.dead, seen.duplicates)
    supervisor.engine_answered(
        pipeline.name,
        index,
        client.url,
        ready=ready,
        reading=reading,
        waiting=wait_reason(pipeline, seen, changed),
        books=books(text),
    )
    return seen


class _Database:
    """A database that pipelines write to, and their tables in it."""

    def __init__(
        self, url: str, pipelines: Sequence[Pipeline], supervisor: Supervisor, changed: dict[str, str | None]
    ) -> None:
        self._tables = {each.name: watched_table(each) for each in pipelines}
        self._kinds = {each.name: each.table.kind for each in pipelines if each.table}
        self._watch = DatabaseWatch(url, tables=self._tables.values())
        self._supervisor = supervisor
        self._changed = changed
        self.close = self._watch.close

    def look(self) -> None:
        problem = None
        try:
            self._watch.look()
        except DdpmError as error:
            problem = error.message
        rewritten = self._watch.rewritten()
        for name, table in self._tables.items():
            if rewritten is not None:
                self._warn(name, f"{self._kinds[name]}: {rewritten}")
            trouble = self._watch.trouble(table) if problem is None else None
            self._changed[name] = self._watch.changes(table)
            self._supervisor.probed(name, self._kinds[name], problem or trouble, broken=trouble is not None)

    def _warn(self, name: str, happened: str) -> None:
        said = (
            f"{happened}: rows that had not reached it are missing, and their records are not read again by "
            "themselves; `ddpm replay` reads a window of time again"
        )
        self._supervisor.events.add(name, "alarm", said)
        structlog.get_logger().warning(said, pipeline=name)


class SinkWatch:
    """What sinks of pipelines write to, asked by a probe of theirs.

    `report` gets the name of each of the pipelines, that of the probe, and what is wrong.
    """

    def __init__(
        self, probe: ProbeSpec, pipelines: Sequence[str], report: Callable[[str, str, str | None], None]
    ) -> None:
        self._watch = watch = probe.opened()
        self._probe = probe.name
        self._pipelines = pipelines
        self._report = report
        self.close = watch.close

    def look(self) -> None:
        """Ask once."""
        problem = None
        try:
            self._watch.look()
        except DdpmError as error:
            problem = error.message
        for name in self._pipelines:
            self._report(name, self._probe, problem)


class _Letters:
    """A topic of dead letters: how many of each pipeline are open."""

    def __init__(self, store: DeadLetterStore, pipelines: Sequence[str], supervisor: Supervisor) -> None:
        self._store = store
        self._pipelines = pipelines
        self._supervisor = supervisor
        self._warned_of_newer = False
        self._seen: dict[str, OpenLetters] = {}

    def look(self) -> None:
        begun = time.monotonic()
        try:
            while not (complete := self._store.refresh(_LETTERS_AT_ONCE)):
                if time.monotonic() - begun > _LETTERS_LOOK_SECONDS:
                    break
        except NewerStateError as error:
            if not self._warned_of_newer:
                self._warned_of_newer = True
                structlog.get_logger().warning(f"dead letters are not counted: {error}", topic=self._store.topic)
            complete = False
        except DdpmError as error:
            # What watches the cluster says why.
            structlog.get_logger().debug("dead letters could not be read", topic=self._store.topic, error=error.message)
            complete = False
        for name in self._pipelines:
            letters = self._open(name) if complete else None
            self._supervisor.dead_letters_seen(name, letters)
            if letters is not None:
                self._report_done(name, letters)

    def _report_done(self, name: str, now: OpenLetters) -> None:
        """Report what was done with letters since the last look, by whichever command or request."""
        before = self._seen.get(name, now)
        self._seen[name] = now
        done = {
            "replayed": now.replayed - before.replayed,
            "failed again": now.failed_again - before.failed_again,
            "discarded": now.discarded - before.discarded,
        }
        # Fewer than before: the topic was made again.
        if any(done.values()) and min(done.values()) >= 0:
            said = ", ".join(f"{count} {deed}" for deed, count in done.items() if count)
            self._supervisor.events.add(name, "control", f"dead letters: {said}")

    def _open(self, name: str) -> OpenLetters:
        depth = self._store.depth(name)
        oldest = None if depth.oldest_ms is None else depth.oldest_ms / 1000
        return OpenLetters(depth.open, oldest, depth.replayed, depth.failed_again, depth.discarded)


@dataclass(slots=True)
class _Reader:
    pipeline: Pipeline
    stall: StallWatch
    renewal: TopicRecreation
    group: GroupWatch
    strangers: StrangerWatch


class _Cluster:
    """A cluster that pipelines read from: whether it answers, how far each has come, and whether one stands still."""

    def __init__(
        self,
        brokers: Sequence[str],
        pipelines: Sequence[tuple[Pipeline, TopicRecreation]],
        supervisor: Supervisor,
        bounds: dict[str, Bound],
        suspected: set[str],
        *,
        pages: EnginePages,
    ) -> None:
        self._suspected = suspected
        self._pages = pages
        groups = {each.name: Group(each.kafka.consumer_group, each.kafka.topics) for each, _ in pipelines}
        self._watch = ClusterWatch(brokers, groups, others={each.dead_letter.topic for each, _ in pipelines})
        self._readers = [
            _Reader(
                each,
                StallWatch(each.engine.stall_timeout),
                renewal,
                GroupWatch(each, supervisor, self._watch, renewal),
                StrangerWatch(each, supervisor),
            )
            for each, renewal in pipelines
        ]
        self._supervisor = supervisor
        self._bounds = bounds
        self._answers = False
        self.close = self._watch.close

    def look(self) -> None:
        try:
            seen = self._watch.look()
            self._answers = True
        except DdpmError as error:
            self._answers = False
            for reader in self._readers:
                self._supervisor.probed(reader.pipeline.name, BROKER_PROBE, error.message)
                self._supervisor.partitions_seen(reader.pipeline.name, None)
            return
        for reader in self._readers:
            name = reader.pipeline.name
            problem = self._watch.problems.get(name)
            unseen = self._watch.unseen.get(name, ())
            said = problem.message if problem else _about(unseen) or self._dead_letters(reader)
            self._supervisor.probed(name, BROKER_PROBE, said)
            reader.renewal.seen(self._watch.topics)
            if name in seen:
                self._follow_group(reader, seen[name])
                reader.strangers.look()
                self._partitions_seen(reader, tuple(_status(each) for each in seen[name]), unseen)
            else:
                self._supervisor.partitions_seen(name, None)

    def last_look(self) -> None:
        """Keep how far the groups have come, now that their engines have ended."""
        try:
            seen = self._watch.look() if self._answers else {}
            for reader in self._readers:
                if reader.pipeline.name in seen:
                    reader.group.last_look(seen[reader.pipeline.name], self._watch.topics)
        except DdpmError as error:
            structlog.get_logger().debug("no last look at a cluster", error=error.message)
        for reader in self._readers:
            reader.group.save()

    def _follow_group(self, reader: _Reader, lags: tuple[PartitionLag, ...]) -> None:
        name = reader.pipeline.name
        if reader.renewal.busy:
            # The engines that come will say again what they hold back.
            self._suspected.discard(name)
        try:
            reader.group.seen(lags, self._watch.topics, suspected=name in self._suspected)
        except DdpmError as error:
            # The next look reports whether the cluster is away.
            structlog.get_logger().debug("a group could not be followed", pipeline=name, error=error.message)

    def _dead_letters(self, reader: _Reader) -> str | None:
        """Make a dead-letter topic that is gone again; returns what is wrong if that does not go."""
        topic = self._watch.topics.get(reader.pipeline.dead_letter.topic)
        if topic is None or not topic.gone:
            return None
        name = reader.pipeline.dead_letter.topic
        try:
            make_dead_letter_topic(reader.pipeline, MAKE_TOPIC_SECONDS)
        except DdpmError as error:
            return f"the dead-letter topic {name} is gone and cannot be made again: {error.message}"
        said = f"the dead-letter topic {name} was gone and was made again"
        self._supervisor.events.add(reader.pipeline.name, "alarm", said)
        structlog.get_logger().warning(said, pipeline=reader.pipeline.name)
        return None

    def _partitions_seen(
        self, reader: _Reader, partitions: tuple[PartitionStatus, ...], unseen: Sequence[Unseen]
    ) -> None:
        name, bound = reader.pipeline.name, self._bounds.get(reader.pipeline.name)
        self._supervisor.partitions_seen(
            name, partitions, tuple(UnseenPartition(each.topic, each.partition, each.reason) for each in unseen)
        )
        try:
            self._watch_for_stalls(reader, partitions)
            self._try_skips(name)
            if bound is not None and bound.reached(partitions, self._watch.readable):
                del self._bounds[name]
                # The engines' counters are gone with them.
                count(reader.pipeline, self._supervisor, self._pages)
                self._supervisor.finish(name, "read to the end that the topics had at the start")
        except DdpmError as error:
            # The next look reports whether the cluster is away.
            structlog.get_logger().debug("a partition could not be read", pipeline=name, error=error.message)

    def _watch_for_stalls(self, reader: _Reader, partitions: tuple[PartitionStatus, ...]) -> None:
        now, vitals = time.monotonic(), self._supervisor.vitals(reader.pipeline.name)
        suspects = reader.stall.observe(now, partitions, healthy=vitals.healthy, up_since=vitals.changed_at)
        # One try a look: a try may take as long as its time limit, and the others can wait.
        for suspect in suspects[:1]:
            readable = self._watch.readable(suspect.topic, suspect.partition, suspect.offset)
            stall = reader.stall.probed(time.monotonic(), suspect, readable)
            if stall is not None:
                self._supervisor.restart(reader.pipeline.name, stall.reason, "stall")

    def _try_skips(self, name: str) -> None:
        """See whether offsets that no engine seems to have read hold a record; one a look, as for stalls."""
        for skip in self._supervisor.vitals(name).skips[:1]:
            readable = self._watch.readable(skip.topic, skip.partition, skip.begin)
            self._supervisor.skip_tried(name, skip, readable)


def _about(unseen: Sequence[Unseen]) -> str:
    """What is wrong with the partitions that cannot be looked at; empty if there are none."""
    named = [each.reason for each in unseen[:_NAMED_PARTITIONS]]
    left = len(unseen) - len(named)
    return "; ".join([*named, *([f"and {left} partitions more"] if left else [])])


def _status(seen: PartitionLag) -> PartitionStatus:
    expired = 0 if seen.committed is None else max(0, seen.start - seen.committed)
    return PartitionStatus(seen.topic, seen.partition, seen.committed, seen.end, seen.lag, seen.seconds, expired)
