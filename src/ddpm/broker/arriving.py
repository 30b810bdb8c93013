"""Reads what comes into topics from now on, outside of any consumer group; keeps nothing."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kafka import KafkaConsumer, TopicPartition

from ddpm.broker.connection import DEFAULT_TIMEOUT, opened
from ddpm.broker.dump import RawRecord, raw
from ddpm.broker.offsets import watermarks

# Partitions that were added are read, too, after so long at most.
_LOOK_SECONDS = 10.0
_RECORDS_A_POLL = 500


class Arrivals:
    """The end of topics, as it moves; for one thread."""

    def __init__(self, consumer: KafkaConsumer, topics: Sequence[str]) -> None:
        self._consumer = consumer
        self._topics = topics
        self._looked_at = 0.0
        self._assign(self._known())
        consumer.seek_to_end()
        # Only a question for them makes it look where the ends are.
        self._positions()

    def poll(self, seconds: float) -> list[RawRecord]:
        """What has come, after so many seconds at most."""
        if time.monotonic() - self._looked_at > _LOOK_SECONDS:
            self._add_new()
        found = self._consumer.poll(timeout_ms=int(seconds * 1000))
        return [raw(record) for records in found.values() for record in records]

    def jump(self) -> int:
        """Leave out what has come meanwhile; returns how many offsets that are."""
        before = self._positions()
        self._consumer.seek_to_end()
        return sum(max(0, now - before[each]) for each, now in self._positions().items())

    def _positions(self) -> dict[TopicPartition, int]:
        return {each: self._consumer.position(each) or 0 for each in self._consumer.assignment()}

    def _known(self) -> set[TopicPartition]:
        found = {topic: self._consumer.partitions_for_topic(topic) or () for topic in self._topics}
        return {TopicPartition(topic, number) for topic, numbers in found.items() for number in numbers}

    def _add_new(self) -> None:
        new = self._known() - self._consumer.assignment()
        if new:
            positions = self._positions()
            self._assign(positions.keys() | new)
            for each, position in positions.items():
                self._consumer.seek(each, position)
            self._consumer.seek_to_beginning(*new)

    def _assign(self, partitions: set[TopicPartition]) -> None:
        self._looked_at = time.monotonic()
        self._consumer.assign(sorted(partitions))


@contextmanager
def arriving(brokers: Sequence[str], topics: Sequence[str], *, committed: bool = True) -> Iterator[Arrivals]:
    """Yield the end of topics.

    Args:
        brokers: Addresses, `host:port`.
        topics: Their names.
        committed: Whether records of aborted transactions are left out.

    Raises:
        ServiceError: No broker answers, or a topic is not there.

    """
    watermarks(brokers, topics)
    with opened(
        KafkaConsumer,
        brokers,
        DEFAULT_TIMEOUT,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="latest",
        allow_auto_create_topics=False,
        max_poll_records=_RECORDS_A_POLL,
        metadata_max_age_ms=int(_LOOK_SECONDS * 1000),
        metrics_enabled=False,
        isolation_level="read_committed" if committed else "read_uncommitted",
    ) as consumer:
        yield Arrivals(consumer, topics)
