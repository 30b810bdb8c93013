"""Writes records into a topic and knows of each whether it arrived. Makes no topic and interprets no record."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaProducer
from kafka.errors import AuthorizationError, KafkaError, MessageSizeTooLargeError
from kafka.serializer.abstract import Serializer

from ddpm.broker.connection import admin, answer, opened, translate_errors
from ddpm.broker.topics import describe
from ddpm.errors import ServiceError

_LINGER_MS = 20
_BATCH_BYTES = 256 * 1024
_LARGEST_RECORD = 64 * 1024 * 1024
# kafka-python keeps what is not yet acknowledged in memory without a limit of its own.
_WINDOW_BYTES = 32 * 1024 * 1024
_WINDOW_RECORDS = 50_000
_OVERHEAD = 100


@dataclass(frozen=True, slots=True)
class Record:
    """A record to write; None as value is a tombstone.

    `partition` None leaves the choice to the key, `timestamp` None (milliseconds since 1970) to the clock.
    """

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    timestamp: int | None = None

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes while it is on its way."""
        headers = sum(len(name) + len(value) for name, value in self.headers)
        return len(self.value or b"") + len(self.key or b"") + headers + _OVERHEAD


def produce(
    brokers: Sequence[str],
    topic: str,
    records: Iterable[Record],
    progress: Callable[[int], None] | None = None,
    timeout: float = 30.0,
) -> int:
    """Write all `records` into `topic`; return how many arrived, which is all of them.

    Args:
        brokers: Addresses, `host:port`.
        topic: A topic that exists.
        records: Read as fast as the broker takes them.
        progress: Called with how many have arrived so far, each time that more have.
        timeout: After so many seconds without an acknowledgement it gives up.

    Raises:
        ServiceError: A record did not arrive; names the first one and how many arrived before it.

    """
    reported = 0
    with producing(brokers, topic, timeout) as producer:
        for record in records:
            producer.send(record)
            if progress and producer.delivered > reported:
                reported = producer.delivered
                progress(reported)
        producer.flush()
        if progress and producer.delivered > reported:
            progress(producer.delivered)
        return producer.delivered


@contextmanager
def producing(brokers: Sequence[str], topic: str, timeout: float = 30.0) -> Iterator["Producer"]:
    """Yield a producer for `topic`; at the end of the block every record has arrived, or an error says which did not.

    Raises:
        ServiceError: No broker answers, the topic is not there, or a record did not arrive.

    """
    with admin(brokers, timeout) as client:
        describe(client, [topic])
    with opened(
        KafkaProducer,
        brokers,
        timeout,
        acks="all",
        linger_ms=_LINGER_MS,
        batch_size=_BATCH_BYTES,
        max_request_size=_LARGEST_RECORD,
        delivery_timeout_ms=int(timeout * 1000) + _LINGER_MS,
        max_block_ms=int(timeout * 1000),
        key_serializer=_NullPasses(),
        value_serializer=_NullPasses(),
        metrics_enabled=False,
    ) as client:
        producer = Producer(client, brokers, topic)
        try:
            yield producer
            producer.flush()
        except BaseException:
            producer.give_up()
            raise


class Producer:
    """Sends records of one topic; made by `producing`. Not for several threads at once."""

    def __init__(self, client: KafkaProducer, brokers: Sequence[str], topic: str) -> None:
        self._client = client
        self._brokers = brokers
        self._topic = topic
        self._in_flight: deque[tuple[Any, int]] = deque()
        self._bytes = 0
        self._delivered = 0

    @property
    def delivered(self) -> int:
        """How many records the broker has acknowledged so far, counted in the order of sending."""
        return self._delivered

    def send(self, record: Record) -> None:
        """Hand over one record; waits while too much is on its way.

        Raises:
            ServiceError: This or an earlier record cannot be delivered; nothing should be sent any more.

        """
        try:
            future = self._client.send(
                self._topic,
                value=_NULL if record.value is None else record.value,
                key=_NULL if record.key is None else record.key,
                headers=list(record.headers),
                partition=record.partition,
                timestamp_ms=record.timestamp,
            )
        except (KafkaError, ValueError) as error:
            raise self._undelivered(self._delivered + len(self._in_flight) + 1, error) from error
        size = record.size
        self._in_flight.append((future, size))
        self._bytes += size
        while self._in_flight and (self._in_flight[0][0].is_done or self._is_full()):
            self._settle_oldest()

    def flush(self) -> None:
        """Return when every record that was sent has arrived; raises ServiceError like `send`."""
        with translate_errors(self._brokers):
            self._client.flush()
        while self._in_flight:
            self._settle_oldest()

    def give_up(self) -> None:
        """Forget what is still on its way, so that closing does not wait for it."""
        # close(timeout=0) would raise before it ended the sender's thread.
        self._client._sender.force_close()

    def _is_full(self) -> bool:
        return self._bytes > _WINDOW_BYTES or len(self._in_flight) > _WINDOW_RECORDS

    def _settle_oldest(self) -> None:
        future, size = self._in_flight[0]
        try:
            future.get()
        except KafkaError:
            number, error = self._first_culprit()
            raise self._undelivered(number, error) from error
        self._in_flight.popleft()
        self._bytes -= size
        self._delivered += 1

    def _first_culprit(self) -> tuple[int, KafkaError]:
        """The first record that was refused for its own sake, if any; its whole batch fails with it."""
        failed = [
            (number, future.exception)
            for number, (future, _) in enumerate(self._in_flight, self._delivered + 1)
            if future.is_done and future.failed()
        ]
        return next(((number, error) for number, error in failed if type(error) is not KafkaError), failed[0])

    def _undelivered(self, number: int, error: Exception) -> ServiceError:
        which = f"record {number} did not get into topic {self._topic} ({self._delivered} before it did)"
        if isinstance(error, MessageSizeTooLargeError):
            return ServiceError(f"{which}: it is larger than the topic takes", hint="raise its max.message.bytes")
        if isinstance(error, ValueError):
            return ServiceError(f"{which}: {error}", hint="correct the record")
        if isinstance(error, AuthorizationError):
            return ServiceError(f"{which}: {answer(error)}", hint="give the user of ddpm the right Write on the topic")
        return ServiceError(f"{which}: {answer(error)}", hint=f"see whether {', '.join(self._brokers)} still runs")


class _Null:
    """Stands for None on the way through kafka-python, which refuses a record whose key and value are both None."""


_NULL = _Null()


class _NullPasses(Serializer):
    def serialize(self, topic: str, headers: object, data: bytes | _Null | None) -> bytes | None:
        return None if isinstance(data, _Null) else data
