"""Reads on in a topic from where it stopped the last time, for who wants to know all of it without reading it again.

Keeps its connection between two readings, joins no group and interprets nothing. Belongs to one thread at a time.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from kafka import KafkaConsumer, TopicPartition

from ddpm.broker.connection import DEFAULT_TIMEOUT, translate_errors
from ddpm.broker.dump import RawRecord, read, reader
from ddpm.config.model import Cluster

_LOOK_FOR_TOPIC_SECONDS = 30.0


class Tail:
    """One topic, which need not be there yet: then it is empty."""

    def __init__(self, brokers: Sequence[str], topic: str, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Describe what to read; nothing is connected before the first reading.

        Args:
            brokers: Addresses, `host:port`.
            topic: Its name.
            timeout: After so many seconds without an answer or progress a reading gives up.

        """
        self._brokers = Cluster.of(brokers)
        self._topic = topic
        self._timeout = timeout
        self._open = ExitStack()
        self._consumer: KafkaConsumer | None = None
        self._positions: dict[int, int] = {}
        self._starts: dict[int, int] = {}
        self._missing_since: float | None = None

    @property
    def starts(self) -> Mapping[int, int]:
        """The offset of the first record that each partition still has, as of the last reading."""
        return self._starts

    def read(self, most: int | None = None) -> Iterator[RawRecord] | None:
        """Begin to read what came since the last reading, at most `most` records; what is not taken comes again.

        None when the topic lost what was read of it because it was deleted: the next reading begins again.

        Raises:
            ServiceError: No broker answers, or the reading stalls; also while the records are taken.

        """
        missing = self._missing_since
        if missing is not None and time.monotonic() - missing < _LOOK_FOR_TOPIC_SECONDS:
            return iter(())
        try:
            with translate_errors(self._brokers):
                spans = self._spans()
        except BaseException:
            self.close()
            raise
        if spans is None:
            self._positions.clear()
        return None if spans is None else self._take(spans, most)

    def look_again(self) -> None:
        """Expect a topic that was not there; it is looked for seldom otherwise."""
        self._missing_since = None

    def close(self) -> None:
        """Close the connection; a later reading opens another and goes on where this one stopped."""
        self._consumer = None
        self._open.close()

    def _spans(self) -> dict[TopicPartition, tuple[int, int]] | None:
        if self._consumer is None:
            self._consumer = self._open.enter_context(reader(self._brokers, self._timeout))
        known = self._consumer.partitions_for_topic(self._topic) or ()
        partitions = [TopicPartition(self._topic, each) for each in sorted(known)]
        self._missing_since = None if partitions else time.monotonic()
        if not partitions:
            return None if self._positions else {}
        ends = self._consumer.end_offsets(partitions)
        starts = self._consumer.beginning_offsets(partitions)
        self._starts = {each.partition: starts[each] for each in partitions}
        if any(ends[each] < self._positions.get(each.partition, 0) for each in partitions):
            return None
        begins = {each: max(starts[each], self._positions.get(each.partition, 0)) for each in partitions}
        return {each: (begins[each], ends[each]) for each in partitions if begins[each] < ends[each]}

    def _take(self, spans: dict[TopicPartition, tuple[int, int]], most: int | None) -> Iterator[RawRecord]:
        if not spans or self._consumer is None:
            return
        taken = 0
        try:
            with translate_errors(self._brokers):
                for record in read(self._consumer, spans, self._timeout):
                    if most is not None and taken >= most:
                        return
                    yield record
                    taken += 1
                    self._positions[record.partition] = record.offset + 1
        except GeneratorExit:
            raise
        except BaseException:
            self.close()
            raise
        # Markers and compacted records leave no record behind, so the end is not always that of the last one.
        self._positions.update({partition.partition: end for partition, (_, end) in spans.items()})
