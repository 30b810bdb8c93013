"""The story of `ddpm replay`: a window of time is read again through the present parser, into the table.

Its records go through an engine of the pipeline into a staging table; then, partition by partition, in one transaction
each, the staged rows take the place of the window's. Whatever ends this half-way leaves every partition with all of its
old rows or all of its new ones, so that it can be repeated. It joins no group; a running pipeline goes on.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ddpm.broker.dump import RawRecord, stretch
from ddpm.broker.offsets import Partition, since, watermarks
from ddpm.broker.topics import incarnations
from ddpm.components.columns import columns
from ddpm.components.pipeline import sections
from ddpm.config.model import Config, Pipeline, RowTable
from ddpm.config.names import join_table, split_table
from ddpm.deadletters.index import Entry
from ddpm.deadletters.resolution import Resolution, ResolutionRecord
from ddpm.deadletters.store import DeadLetterStore
from ddpm.errors import ConfigError, DdpmError, ServiceError
from ddpm.orchestrator.launching.engines import config_hash
from ddpm.orchestrator.prepare import rendered
from ddpm.orchestrator.provisioning.provision import provision, table_spec
from ddpm.orchestrator.redrive.reinject import Fed, FedRecord, Feeding, reinject
from ddpm.orchestrator.reprocess.window import Bounds, Span, Window, shown, window
from ddpm.store.replays import Loaded, Part, Place, Replay, Replays, Run, State, alone, staging_name
from ddpm.store.sources import Fork, ensure_sources, forks, known_sources, number_of
from ddpm.store.tables import schema_of

_HASH_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Wanted:
    """A window of a pipeline, in milliseconds since 1970."""

    pipeline: Pipeline
    since_ms: int
    until_ms: int
    window: Window


@dataclass(frozen=True, slots=True)
class Staged:
    """A window in its staging table: its tag, that table, the rows in it, and the dead letters on the way there."""

    tag: str
    staging: str
    records: int
    rows: int
    dead_letters: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay did to the table.

    Attributes:
        tag: Its name.
        deleted: Rows of the window that the table had.
        inserted: Rows of the window that it has now.
        vanished: Deleted ones for whose identity none came.
        kept: Rows that stayed, since Kafka does not have their records any more.
        corrected: Dead letters whose record now has a row; they count as replayed.

    """

    tag: str
    deleted: int
    inserted: int
    vanished: int
    kept: int
    mended: int


@dataclass(frozen=True, slots=True)
class Reprocessing:
    """What is needed to read a window again: where the pipeline stands, its engine and its dead letters."""

    config: Config = field(repr=False)
    pipeline: Pipeline
    binary: Path
    store: DeadLetterStore

    @property
    def table(self) -> RowTable:
        """The pipeline's table."""
        return table_of(self.pipeline)


def table_of(pipeline: Pipeline) -> RowTable:
    """The pipeline's table; raises ConfigError when it writes none."""
    if pipeline.table is None:
        msg = f"the pipeline {pipeline.name} writes no table, so a replay has no rows to replace"
        raise ConfigError(msg, hint="`ddpm offsets reset` makes it read records again")
    return pipeline.table


def find_window(pipeline: Pipeline, since_ms: int, until_ms: int) -> Wanted:
    """Ask Kafka which offsets a window means; nothing is changed.

    Raises:
        WindowGoneError: It begins before what Kafka keeps.
        ConfigError: It ends before it begins, or the pipeline writes no table.
        ServiceError: Kafka does not answer.

    """
    table_of(pipeline)
    if until_ms <= since_ms:
        msg = f"the window ends at {shown(until_ms)}, which is not after its beginning, {shown(since_ms)}"
        raise ConfigError(msg, hint="correct --from and --to")
    brokers, topics = pipeline.kafka.cluster, pipeline.kafka.topics
    oldest, first, last = (since(brokers, topics, moment) for moment in (0, since_ms, until_ms))
    marks = watermarks(brokers, topics)
    bounds = {each: Bounds(mark, oldest.get(each), first.get(each), last.get(each)) for each, mark in marks.items()}
    return Wanted(pipeline, since_ms, until_ms, window(bounds, since_ms))


@dataclass(frozen=True, slots=True)
class Numbers:
    """The source numbers of topics, and of what stands behind forks in their partitions."""

    topics: Mapping[str, int]
    forks: tuple[Fork, ...]

    def of(self, span: Span) -> int:
        """The number of all records of a span; raises ConfigError where a log was replaced within it."""
        topic, partition = span.partition
        found = {
            number_of(self.topics[topic], self.forks, topic, partition, offset) for offset in (span.first, span.end - 1)
        }
        if len(found) == 1:
            return found.pop()
        first = max(f.first for f in self.forks if (f.topic, f.partition) == span.partition and f.first < span.end)
        msg = (
            f"the window of {topic}, partition {partition}, lies on both sides of offset {first}, from which on Kafka "
            "has another log than before"
        )
        raise ConfigError(msg, hint="take two windows")


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that a table has of a window, and how many of them come from records that Kafka has no more."""

    all: int = 0
    missing: int = 0


def rows_of(wanted: Wanted) -> Rows:
    """Count the rows that the table has of a window; reads the window, and changes nothing. Raises ServiceError."""
    pipeline = wanted.pipeline
    table = table_of(pipeline)
    spec = table_spec(pipeline, table)
    schema = schema_of(table.url, spec)
    if schema is None:
        return Rows()
    found_topics = incarnations(pipeline.kafka.cluster, pipeline.kafka.topics)
    numbers = Numbers(known_sources(table.url, found_topics, schema), forks(table.url, found_topics, schema))
    books, parts = Replays(table.url, schema, spec), _parts(wanted.window, numbers)
    found = books.rows(parts)
    if not found:
        return Rows()
    read = _Read(parts)
    for record in stretch(pipeline.kafka.cluster, _spans(parts), committed=pipeline.kafka.reads_committed):
        read.add(record)
    return Rows(found, books.missing(parts, read.runs))


class _Read:
    """Which records of a window were read, as runs of offsets."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._sources = {(part.topic, part.partition): part.source for part in parts}
        self._open: dict[tuple[str, int], tuple[int, int]] = {}
        self._closed: list[Run] = []

    def add(self, record: RawRecord) -> None:
        """Take a record; those of a partition come in order."""
        key, offset = (record.topic, record.partition), record.offset
        first, last = self._open.get(key, (offset, offset))
        if offset > last + 1:
            self._closed.append(Run(self._sources[key], record.partition, first, last))
            first = offset
        self._open[key] = (first, offset)

    @property
    def runs(self) -> list[Run]:
        """All of them."""
        return self._closed + [Run(self._sources[key], key[1], *span) for key, span in self._open.items()]


def stage(at: Reprocessing, wanted: Wanted, report: Callable[[Fed], None], *, kept: bool) -> Staged:
    """Read a window again, into a staging table; `kept` says that it is to stay there for now.

    Raises:
        DdpmError: It could not be done; no staging table is left behind.

    """
    pipeline = at.pipeline
    provisioned = provision(pipeline, runs=False)
    numbers = Numbers(provisioned.sources, provisioned.forks)
    books = _books(at)
    with alone(at.table.url, books.table):
        _clear_away(books)
        replay = _new_replay(at, books, wanted, numbers, kept=kept)
        books.begin(replay)
        try:
            read = _Read(replay.parts)
            fed = _feed(at, books, replay, numbers, read, report)
            _check_source_is_whole(pipeline, replay, numbers, at.table.url)
            books.staged(replay.tag, read.runs)
        except BaseException:
            _drop_in_any_case(books, replay)
            raise
    return Staged(replay.tag, replay.staging, fed.acknowledged, fed.rows, fed.dead_letters)


def load(at: Reprocessing, tag: str, report: Callable[[int, int], None], *, delete_missing: bool = False) -> Outcome:
    """Put what was staged in the place of the window's rows; partitions that were loaded before are left out.

    Rows whose records Kafka does not have any more (compaction, retention) stay, unless `delete_missing`.

    Args:
        at: The pipeline.
        tag: The replay.
        report: Called with how many of how many partitions are done.

    Raises:
        ConfigError: There is no such replay, it is not staged, or the pipeline makes other rows of records by now.
        DdpmError: It could not be done; every partition has all of its old rows or all of its new ones.

    """
    books = _books(at)
    with alone(at.table.url, books.table):
        replay = _staged(at, books, tag)
        due = [part for part in replay.parts if part.state is State.STAGED]
        done: list[Loaded] = []
        report(0, len(due))
        try:
            for part in due:
                done.append(books.load(replay, part, delete_missing=delete_missing))
                report(len(done), len(due))
        except DdpmError:
            books.keep(tag)
            raise
        mended = _mark_mended(at, books, replay)
        books.drop(replay)
    return Outcome(
        tag,
        deleted=sum(each.deleted for each in done),
        inserted=sum(each.inserted for each in done),
        vanished=sum(each.vanished for each in done),
        kept=sum(each.kept for each in done),
        mended=mended,
    )


def _books(at: Reprocessing) -> Replays:
    spec = table_spec(at.pipeline, at.table)
    schema = schema_of(at.table.url, spec)
    if schema is None:
        msg = f"there is no table {spec}, so it has no rows to replace"
        raise ConfigError(msg, hint="`ddpm run` makes it")
    return Replays(at.table.url, schema, spec)


def _clear_away(books: Replays) -> None:
    """Drop what replays left behind that were killed: nobody else replays this table now."""
    for replay in books.all():
        states = {part.state for part in replay.parts}
        if replay.staging and (not replay.kept or State.READING in states or states == {State.LOADED}):
            books.drop(replay)


def _new_replay(at: Reprocessing, books: Replays, wanted: Wanted, numbers: Numbers, *, kept: bool) -> Replay:
    tag = f"{datetime.now(UTC):%Y%m%dt%H%M%S}{secrets.token_hex(2)}"
    return Replay(
        tag=tag,
        pipeline=at.pipeline.name,
        transform=transform_hash(at.pipeline),
        table=books.table,
        staging=staging_name(split_table(books.table)[1], tag),
        kept=kept,
        since_ms=wanted.since_ms,
        until_ms=wanted.until_ms,
        parts=_parts(wanted.window, numbers),
    )


def _parts(wanted: Window, numbers: Numbers) -> tuple[Part, ...]:
    return tuple(
        Part(span.partition.topic, numbers.of(span), span.partition.partition, span.first, span.end)
        for span in wanted.spans
        if span.partition.topic in numbers.topics
    )


def transform_hash(pipeline: Pipeline) -> str:
    """Names what makes rows of records: parser, processors and columns."""
    made = sections(pipeline)
    planned = [(column.component(), column.type) for column in columns(table_of(pipeline), pipeline.source)]
    text = json.dumps([made["parser"], made["processors"], planned], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def _feed(  # noqa: PLR0917 -- one call, each of another type
    at: Reprocessing,
    books: Replays,
    replay: Replay,
    numbers: Numbers,
    read: _Read,
    report: Callable[[Fed], None],
) -> Fed:
    schema = split_table(books.table)[0]
    pipeline = at.pipeline.into_table(join_table(schema, replay.staging))
    hash_of_run = config_hash(rendered(at.config, at.pipeline).text)
    feeding = Feeding(at.config, pipeline, at.binary, numbers.topics, hash_of_run)
    return reinject(feeding, _records(at, replay, read), report)


def _spans(parts: Sequence[Part]) -> dict[Partition, tuple[int, int]]:
    return {Partition(part.topic, part.partition): (part.first, part.end) for part in parts}


def _records(at: Reprocessing, replay: Replay, read: _Read) -> Iterator[FedRecord]:
    attempts = _attempts(at, replay)
    sources = {(part.topic, part.partition): part.source for part in replay.parts}
    kafka = at.pipeline.kafka
    for record in stretch(kafka.cluster, _spans(replay.parts), committed=kafka.reads_committed):
        read.add(record)
        attempt = attempts.get((record.topic, record.partition, record.offset), 0) + 1
        yield FedRecord(record, source=sources[record.topic, record.partition], attempt=attempt)


def _attempts(at: Reprocessing, replay: Replay) -> dict[tuple[str, int, int], int]:
    """How often records of the window have been dead: one that is dead again is another attempt, and so open again."""
    at.store.read_all()
    attempts: dict[tuple[str, int, int], int] = {}
    for entry in _within(at.store.entries(at.pipeline.name, handled=True), replay):
        assert entry.origin is not None  # noqa: S101 -- `_within` lets no others pass
        key = (entry.origin.topic, entry.origin.partition, entry.origin.offset)
        attempts[key] = max(entry.attempt, attempts.get(key, 0))
    return attempts


def _within(entries: Sequence[Entry], replay: Replay) -> Iterator[Entry]:
    parts = {(part.topic, part.partition): part for part in replay.parts}
    for entry in entries:
        origin = entry.origin
        part = parts.get((origin.topic, origin.partition)) if origin else None
        if origin and part and part.first <= origin.offset < part.end and origin.source in (None, part.source):
            yield entry


def _check_source_is_whole(pipeline: Pipeline, replay: Replay, numbers: Numbers, url: str) -> None:
    """Raise if records of the window went away while it was read."""
    brokers, topics = pipeline.kafka.cluster, pipeline.kafka.topics
    schema = split_table(replay.table)[0]
    found = incarnations(brokers, topics)
    if Numbers(dict(ensure_sources(url, found, schema).numbers), forks(url, found, schema)) != numbers:
        raise ServiceError("a topic was made again, or got another log, while it was read", hint="repeat it")
    marks = watermarks(brokers, topics)
    for part in replay.parts:
        start = marks[Partition(part.topic, part.partition)].start
        if start > part.first:
            msg = (
                f"Kafka has removed records of the window while it was read: {part.topic}, partition {part.partition} "
                f"begins at offset {start} by now, the window at {part.first}"
            )
            raise ServiceError(msg, hint="repeat it with a window that begins later")


def _drop_in_any_case(books: Replays, replay: Replay) -> None:
    try:
        books.drop(replay)
    except DdpmError:
        # The reason why the replay failed is the one to show; the next replay drops it.
        return


def _staged(at: Reprocessing, books: Replays, tag: str) -> Replay:
    found = books.all(tag)
    if not found:
        known = [each.tag for each in books.all() if any(part.state is State.STAGED for part in each.parts)]
        msg = f'the table {books.table} has no replay "{tag}"'
        raise ConfigError(msg, hint=f"staged are: {', '.join(known)}" if known else "none is staged")
    (replay,) = found
    if all(part.state is State.LOADED for part in replay.parts):
        raise ConfigError(f"the replay {tag} was loaded already", hint="stage the window again")
    if any(part.state is State.READING for part in replay.parts):
        raise ConfigError(f"the replay {tag} ended before all of it was staged", hint="stage the window again")
    if replay.transform != transform_hash(at.pipeline):
        msg = f"the parser, processors or columns of {at.pipeline.name} have changed since the replay {tag} was staged"
        raise ConfigError(msg, hint="stage the window again")
    return replay


def _mark_mended(at: Reprocessing, books: Replays, replay: Replay) -> int:
    """Count the open dead letters as replayed whose record has a row now."""
    at.store.read_all()
    sources = {(part.topic, part.partition): part.source for part in replay.parts}
    entries: dict[Place, Entry] = {}
    for entry in _within(at.store.entries(at.pipeline.name), replay):
        assert entry.origin is not None  # noqa: S101 -- `_within` lets no others pass
        origin = entry.origin
        entries[Place(sources[origin.topic, origin.partition], origin.partition, origin.offset, origin.index)] = entry
    places = books.places(replay.staging, list(entries))
    now = int(datetime.now(UTC).timestamp() * 1000)
    mended = [entries[place] for place in sorted(places, key=str)]
    if mended:
        at.store.mark(
            ResolutionRecord(e.id, e.pipeline, e.origin, e.attempt, Resolution.REPLAYED, now, replay.tag)
            for e in mended
        )
    return len(mended)
