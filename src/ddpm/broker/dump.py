"""Reads what stands in topics, record by record and byte by byte, outside of any consumer group. Interprets nothing."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from ddpm.broker.connection import DEFAULT_TIMEOUT, opened
from ddpm.broker.offsets import Partition, watermarks
from ddpm.errors import ServiceError

_POLL_SECONDS = 0.5
_FETCH_WAIT_SECONDS = 0.1
_RECORDS_A_POLL = 10_000
# So many records are read faster than another place is found.
_WORTH_A_JUMP = 500
# For who wants few records: the rest of what is fetched is thrown away.
_SMALL_PAGE = 32 * 1024


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record as it lies in the topic.

    `timestamp` is in milliseconds since 1970, and -1 or any other number where the producer was careless; key, value
    and the values of headers are None where Kafka has null.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def raw(record: ConsumerRecord) -> RawRecord:
    """A record of kafka-python's."""
    return RawRecord(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple(record.headers),
    )


def dump(brokers: Sequence[str], topics: Sequence[str], timeout: float = DEFAULT_TIMEOUT) -> Iterator[RawRecord]:
    """Yield every record of `topics` that was there when it began, in order within each partition.

    Records of open and aborted transactions are among them.

    Args:
        brokers: Addresses, `host:port`.
        topics: Their names.
        timeout: After so many seconds without progress it gives up.

    Raises:
        ServiceError: No broker answers, a topic is not there, or the reading stalls.

    """
    marks = watermarks(brokers, topics, timeout)
    spans = {TopicPartition(*each): (mark.start, mark.end) for each, mark in marks.items() if mark.start < mark.end}
    if not spans:
        return
    with reader(brokers, timeout) as consumer:
        yield from read(consumer, spans, timeout)


def stretch(
    brokers: Sequence[str],
    spans: Mapping[Partition, tuple[int, int]],
    timeout: float = DEFAULT_TIMEOUT,
    *,
    committed: bool = False,
) -> Iterator[RawRecord]:
    """Yield the records of each partition from one offset to before another, in order within each partition.

    Args:
        brokers: Addresses, `host:port`.
        spans: The offsets by partition.
        timeout: After so many seconds without progress it gives up.
        committed: Whether the records of aborted transactions are left out, and the end of open ones is awaited.

    Raises:
        ServiceError: No broker answers, or the reading stalls.

    """
    wanted = {TopicPartition(*partition): span for partition, span in spans.items() if span[0] < span[1]}
    if not wanted:
        return
    with reader(brokers, timeout, committed=committed) as consumer:
        yield from read(consumer, wanted, timeout)


def newest(
    brokers: Sequence[str], topics: Sequence[str], count: int, timeout: float = DEFAULT_TIMEOUT
) -> list[RawRecord]:
    """The records of `topics` that were written last, by their times, at most `count`; the newest comes last.

    Raises:
        ServiceError: No broker answers, a topic is not there, or the reading stalls.

    """
    spans = {each: (max(mark.start, mark.end - count), mark.end) for each, mark in watermarks(brokers, topics).items()}
    found = list(stretch(brokers, spans, timeout))
    return sorted(found, key=lambda each: (each.timestamp, each.topic, each.partition, each.offset))[-count:]


def pick(
    brokers: Sequence[str], topic: str, wanted: Mapping[int, Iterable[int]], timeout: float = DEFAULT_TIMEOUT
) -> Iterator[RawRecord]:
    """Yield the records at some offsets of `topic`, by partition and offset; those that are not there are left out.

    What lies between two of them is read along when it is little, so that many cost little more than one.

    Args:
        brokers: Addresses, `host:port`.
        topic: Its name.
        wanted: Offsets by partition.
        timeout: After so many seconds without progress it gives up.

    Raises:
        ServiceError: No broker answers, the topic is not there, or the reading stalls.

    """
    marks = watermarks(brokers, [topic], timeout)
    chosen = {partition: sorted(set(wanted.get(partition.partition, ()))) for partition in sorted(marks)}
    few = sum(map(len, chosen.values())) <= _WORTH_A_JUMP
    with reader(brokers, timeout, _SMALL_PAGE if few else None) as consumer:
        for partition, offsets in chosen.items():
            mark = marks[partition]
            for run in _runs([each for each in offsets if mark.start <= each < mark.end]):
                span = {TopicPartition(*partition): (run[0], run[-1] + 1)}
                yield from _only(run, read(consumer, span, timeout))


def _only(offsets: Iterable[int], records: Iterable[RawRecord]) -> Iterator[RawRecord]:
    wanted = frozenset(offsets)
    return (record for record in records if record.offset in wanted)


def _runs(offsets: Sequence[int]) -> Iterator[Sequence[int]]:
    begin = 0
    for at in range(1, len(offsets) + 1):
        if at == len(offsets) or offsets[at] - offsets[at - 1] > _WORTH_A_JUMP:
            yield offsets[begin:at]
            begin = at


@contextmanager
def reader(
    brokers: Sequence[str], timeout: float = DEFAULT_TIMEOUT, page: int | None = None, *, committed: bool = False
) -> Iterator[KafkaConsumer]:
    """Yield a consumer without a group for `read`; raises ServiceError when no broker answers.

    `page` is how many bytes of a partition it fetches at once, more only for a larger record; None for its usual.
    """
    options = {} if page is None else {"max_partition_fetch_bytes": page}
    with opened(
        KafkaConsumer,
        brokers,
        timeout,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        allow_auto_create_topics=False,
        fetch_max_wait_ms=int(_FETCH_WAIT_SECONDS * 1000),
        max_poll_records=_RECORDS_A_POLL,
        check_crcs=False,  # in Python it takes longer than all the rest, and the broker has checked them
        metrics_enabled=False,
        isolation_level="read_committed" if committed else "read_uncommitted",
        **options,
    ) as consumer:
        yield consumer


def read(
    consumer: KafkaConsumer, spans: Mapping[TopicPartition, tuple[int, int]], timeout: float
) -> Iterator[RawRecord]:
    """Yield the records of each partition from one offset to before another, in order within each partition.

    Raises ServiceError when the reading does not get on for `timeout` seconds.
    """
    consumer.assign(list(spans))
    # A partition that was read to its end before is still paused.
    consumer.resume(*spans)
    for partition, (start, _) in spans.items():
        consumer.seek(partition, start)
    yield from _read(consumer, {partition: end for partition, (_, end) in spans.items()}, timeout)


def _read(consumer: KafkaConsumer, ends: dict[TopicPartition, int], timeout: float) -> Iterator[RawRecord]:
    unfinished = consumer.assignment()
    positions: dict[TopicPartition, int] = {}
    last_progress = time.monotonic()
    while unfinished:
        for partition, records in consumer.poll(timeout_ms=int(_POLL_SECONDS * 1000)).items():
            for record in records:
                if record.offset < ends[partition]:
                    yield raw(record)
        # Positions, not records, say where the end is: compaction and markers of transactions leave offsets bare.
        now = {partition: consumer.position(partition) for partition in unfinished}
        if now != positions:
            positions, last_progress = now, time.monotonic()
        elif time.monotonic() - last_progress > timeout:
            stalled = ", ".join(f"{partition.topic}/{partition.partition}" for partition in sorted(unfinished))
            raise ServiceError(f"reading {stalled} has not got on for {timeout:g} s", hint="look at the broker's log")
        finished = {partition for partition in unfinished if positions[partition] >= ends[partition]}
        consumer.pause(*finished)
        unfinished = unfinished - finished
