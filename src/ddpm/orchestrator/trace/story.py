"""What became of one record: looks into the topic, the table and the dead letters, and changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ddpm.broker.dump import RawRecord, pick
from ddpm.broker.offsets import Partition, Watermarks, committed, watermarks
from ddpm.broker.topics import incarnations
from ddpm.config.model import Config, Pipeline
from ddpm.config.parts import named
from ddpm.deadletters.letter import DeadLetter
from ddpm.deadletters.store import DeadLetterStore
from ddpm.engine.progress import Progress
from ddpm.errors import ConfigError
from ddpm.orchestrator.dead_letter_stores import dead_letter_stores
from ddpm.orchestrator.dryrun import Outcome, Trials, configured, read_answer
from ddpm.orchestrator.dryrun.consumed import consumed
from ddpm.store.trace import Row, rows_of


class Fate(StrEnum):
    """What became of a record."""

    STORED = "stored"
    DEAD = "dead letter"
    IN_FLIGHT = "in flight"
    FILTERED = "filtered"
    EXPIRED = "expired"
    NO_RECORD = "no record"
    NEVER_WRITTEN = "never written"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Place:
    """A record's place, written TOPIC:PARTITION:OFFSET."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Trace:
    """What was found.

    Attributes:
        pipeline: The pipeline that reads the topic.
        place: Where the record is, or would be.
        fate: What became of it.
        said: The same in words, with the reason.
        rows: Its rows.
        letters: Its open and handled dead letters, the latest attempt of each document.
        marks: The partition's watermarks.
        committed: The offset that the pipeline's group reads next; None if it never committed one.

    """

    pipeline: str
    place: Place
    fate: Fate
    said: str
    rows: tuple[Row, ...]
    letters: tuple[DeadLetter, ...]
    marks: Watermarks
    committed: int | None


def parse_place(text: str) -> Place:
    """Read TOPIC:PARTITION:OFFSET; raises ConfigError when it is not of that form."""
    topic, _, rest = text.partition(":")
    partition, _, offset = rest.partition(":")
    if not topic or not (partition.isascii() and partition.isdigit() and offset.isascii() and offset.isdigit()):
        raise ConfigError(f'"{text}" is not the place of a record', hint="write TOPIC:PARTITION:OFFSET, as orders:0:17")
    return Place(topic, int(partition), int(offset))


def readers_of(config: Config, topic: str, name: str | None) -> tuple[Pipeline, ...]:
    """The pipeline that reads a topic, or all of its parts.

    Raises ConfigError when none does, or several pipelines do and none is named.
    """
    meant = config.pipelines if name is None else named(config.pipelines, name)
    reading = tuple(each for each in meant if topic in each.kafka.topics)
    if not reading:
        known = sorted({topic for each in config.pipelines for topic in each.kafka.topics})
        msg = f"no pipeline reads the topic {topic}" if name is None else f"{name} does not read the topic {topic}"
        raise ConfigError(msg, hint=f"topics that are read: {', '.join(known)}")
    names = dict.fromkeys(each.whole for each in reading)
    if len(names) > 1:
        hint = f"name one with --pipeline: {', '.join(names)}"
        raise ConfigError(f"several pipelines read the topic {topic}", hint=hint)
    return reading


def trace(config: Config, pipeline: Pipeline, place: Place, progress: Progress) -> Trace:
    """Find out what became of a record.

    Args:
        config: Where the pipeline stands.
        pipeline: A pipeline that reads the topic, with real addresses.
        place: The record.
        progress: Notified when the engine has to be built, which runs the filters once more.

    Raises:
        ConfigError: The topic has no such partition.
        ServiceError: The broker or the database cannot be reached.

    """
    brokers = pipeline.kafka.cluster
    marks = watermarks(brokers, [place.topic])
    at = Partition(place.topic, place.partition)
    if at not in marks:
        known = sorted(each.partition for each in marks)
        msg = f"the topic {place.topic} has no partition {place.partition}"
        raise ConfigError(msg, hint=f"it has the partitions {known[0]} to {known[-1]}")
    reached = committed(brokers, pipeline.kafka.consumer_group, [place.topic])[at]
    rows = _rows(pipeline, place)
    letters = _letters(config, pipeline, place)

    def found(fate: Fate, said: str) -> Trace:
        return Trace(pipeline.name, place, fate, said, tuple(rows), tuple(letters), marks[at], reached)

    if rows or letters:
        return found(*_where_it_ended(rows, letters))
    if place.offset >= marks[at].end:
        return found(Fate.NEVER_WRITTEN, f"it has not been written: the partition ends before offset {marks[at].end}")
    if place.offset < marks[at].start:
        said = f"it is in neither place, and Kafka has let it go: the partition begins at offset {marks[at].start}"
        return found(Fate.EXPIRED, said)
    record = next(iter(pick(brokers, place.topic, {place.partition: [place.offset]})), None)
    if record is None:
        return found(Fate.NO_RECORD, "no record has this offset: a marker of a transaction, or it was compacted away")
    if reached is None or place.offset >= reached:
        next_read = "none was read yet" if reached is None else f"the group will read on at offset {reached}"
        return found(Fate.IN_FLIGHT, f"it is waiting or on its way: {next_read}")
    return found(*_without_a_trace(config, pipeline, record, progress))


def _rows(pipeline: Pipeline, place: Place) -> list[Row]:
    if pipeline.table is None:
        return []
    incarnation = incarnations(pipeline.kafka.cluster, [place.topic])[place.topic]
    return rows_of(pipeline.table.url, pipeline.table.table, incarnation, place.partition, place.offset)


def _letters(config: Config, pipeline: Pipeline, place: Place) -> list[DeadLetter]:
    found = dead_letter_stores([pipeline], config.pipelines)
    try:
        store: DeadLetterStore = found.by_pipeline[pipeline.name]
        store.read_all()
        wanted = (place.topic, place.partition, place.offset)
        entries = [
            each
            for each in store.entries(pipeline.name, handled=True)
            if each.origin and (each.origin.topic, each.origin.partition, each.origin.offset) == wanted
        ]
        return list(store.letters((each.id for each in entries), pipeline.name))
    finally:
        found.close()


def _where_it_ended(rows: Sequence[Row], letters: Sequence[DeadLetter]) -> tuple[Fate, str]:
    if not rows:
        return Fate.DEAD, f"it is a dead letter: {letters[0].code}, {letters[0].message}"
    earlier = "" if any(row.present for row in rows) else ", of an incarnation of the topic that is gone"
    count = "a row" if len(rows) == 1 else f"{len(rows)} rows"
    if letters:
        return Fate.STORED, f"it is {count} of the table{earlier}; it has also been a dead letter"
    return Fate.STORED, f"it is {count} of the table{earlier}"


def _without_a_trace(config: Config, pipeline: Pipeline, record: RawRecord, progress: Progress) -> tuple[Fate, str]:
    """It was committed and is nowhere: the engine itself says whether a filter drops it."""
    with Trials(configured(config, pipeline.name), progress) as trials:
        results = read_answer(trials.answer(consumed(record))).results
    if all(result.outcome is Outcome.FILTERED for result in results):
        what = "no document was in it" if not results else "the processors of the pipeline drop it"
        return Fate.FILTERED, f"{what}; nothing is written"
    if pipeline.table is None:
        return Fate.MISSING, "it was read, and this pipeline has no table in which it could be looked up"
    said = "it was read, no filter drops it, and it is in neither place: its row or dead letter was deleted since"
    return Fate.MISSING, said
