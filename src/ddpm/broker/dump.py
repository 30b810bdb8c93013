"""Reads what stands in topics, record by record and byte by byte, outside of any consumer group. Interprets nothing."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition

from ddpm.broker.connection import DEFAULT_TIMEOUT, opened
from ddpm.broker.offsets import watermarks
from ddpm.errors import ServiceError

_POLL_SECONDS = 0.5
_FETCH_WAIT_SECONDS = 0.1
_RECORDS_A_POLL = 10_000


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
    starts = {TopicPartition(*partition): mark.start for partition, mark in marks.items() if mark.start < mark.end}
    ends = {TopicPartition(*partition): mark.end for partition, mark in marks.items()}
    if not starts:
        return
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
    ) as consumer:
        consumer.assign(list(starts))
        for partition, start in starts.items():
            consumer.seek(partition, start)
        yield from _read(consumer, ends, timeout)


def _read(consumer: KafkaConsumer, ends: dict[TopicPartition, int], timeout: float) -> Iterator[RawRecord]:
    unfinished = consumer.assignment()
    positions: dict[TopicPartition, int] = {}
    last_progress = time.monotonic()
    while unfinished:
        for partition, records in consumer.poll(timeout_ms=int(_POLL_SECONDS * 1000)).items():
            for record in records:
                if record.offset < ends[partition]:
                    yield RawRecord(
                        record.topic,
                        record.partition,
                        record.offset,
                        record.timestamp,
                        record.key,
                        record.value,
                        tuple(record.headers),
                    )
        # Positions, not records, tell the end: markers of transactions and compaction leave offsets without a record.
        now = {partition: consumer.position(partition) for partition in unfinished}
        if now != positions:
            positions, last_progress = now, time.monotonic()
        elif time.monotonic() - last_progress > timeout:
            stalled = ", ".join(f"{partition.topic}/{partition.partition}" for partition in sorted(unfinished))
            raise ServiceError(f"reading {stalled} has not got on for {timeout:g} s", hint="look at the broker's log")
        finished = {partition for partition in unfinished if positions[partition] >= ends[partition]}
        consumer.pause(*finished)
        unfinished = unfinished - finished
