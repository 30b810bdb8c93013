"""The few requests that watching a cluster takes, over connections that are kept, under one deadline for all of them.

Works in the thread that calls and starts none, so it costs nothing between two calls, and no request outlasts the
deadline, which kafka-python's own clients do not promise. Knows nothing of lag; joins no group and commits nothing.
Formats: Kafka's protocol guide.
"""

import struct
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

from kafka.errors import (
    BrokerResponseError,
    CorruptRecordError,
    KafkaError,
    KafkaTimeoutError,
    OffsetOutOfRangeError,
    RequestTimedOutError,
    UnknownTopicOrPartitionError,
    UnsupportedCodecError,
    for_code,
)
from kafka.net.selector import NetworkSelector
from kafka.protocol.consumer import (
    FetchRequest,
    ListOffsetsRequest,
    OffsetFetchRequest,
    OffsetForLeaderEpochRequest,
    OffsetSpec,
)
from kafka.protocol.metadata import CoordinatorType, FindCoordinatorRequest, MetadataRequest
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatch

from ddpm.broker.connection import answer, spelled_id, translate_errors
from ddpm.broker.manager import ConnectionManager
from ddpm.broker.offsets import Partition
from ddpm.broker.security import only_security
from ddpm.config.model import Cluster, Security
from ddpm.errors import ServiceError

_Untyped: TypeAlias = Any  # kafka-python makes the classes of its answers at run time

_SEVERAL_GROUPS = 8  # the version of OffsetFetch that takes many groups at once; Kafka 3.0
_BY_TOPIC_NAME = 12  # the last version of Fetch that names topics; later ones take their ids
_SANE_TIMES = range(1_000_000_000_000, 4_000_000_000_000)  # milliseconds: 2001 to 2096
_READ_UNCOMMITTED, _READ_COMMITTED = 0, 1
_PAGE_BYTES = 64 * 1024
_ANSWER_BYTES = 100_000_000


class RefusedError(ServiceError):
    """The cluster answers, but it does not give this one thing."""


class Print(NamedTuple):
    """What distinguishes a record from one that another log has at its offset: a checksum, and its leader's epoch."""

    offset: int
    digest: int
    epoch: int


class Record(NamedTuple):
    """Where a record stands, and its timestamp in milliseconds since 1970, which may be any number."""

    offset: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class Page:
    """What one small fetch brought.

    Attributes:
        first: The first record at or after the offset that was asked for; None when the page has none.
        next_offset: The offset after the page.
        end: The end of the partition.

    """

    first: Record | None
    next_offset: int
    end: int


@dataclass(frozen=True, slots=True)
class Topic:
    """The leader of each partition of a topic, -1 where there is none; or why the broker does not say.

    `topic_id` is spelled as Kafka's own tools spell it, and None where the brokers have no topic ids; `epochs` are
    those of the leaders.
    """

    leaders: Mapping[int, int]
    error: type[BrokerResponseError] | None = None
    topic_id: str | None = None
    epochs: Mapping[int, int] = field(default_factory=dict)

    @property
    def gone(self) -> bool:
        """Whether the broker says that there is no such topic."""
        return self.error is UnknownTopicOrPartitionError


Offsets = Mapping[Partition, int | type[BrokerResponseError]]


class Wire:
    """Connections to one cluster; every method raises ServiceError when a broker does not answer in time."""

    def __init__(
        self, *, bootstrap_servers: Sequence[str], bootstrap_timeout_ms: int, security: Security, **options: object
    ) -> None:
        """Connect; the parameters are kafka-python's, of whose others those are needed that secured brokers ask for."""
        self._deadline = time.monotonic() + bootstrap_timeout_ms / 1000
        self._security = security
        configs: dict[str, Any] = {
            "bootstrap_servers": list(bootstrap_servers),
            "client_id": "ddpm-watch",
            "receive_message_max_bytes": _ANSWER_BYTES,
            **only_security(options),
        }
        self._net = NetworkSelector(**configs)
        self._manager = ConnectionManager(self._net, **configs)
        try:
            begun = self._manager.bootstrap_async(bootstrap_timeout_ms)
            # Its own limit does not hold when a broker falls silent in the middle.
            self._manager.run(self._manager.wait_for, begun, bootstrap_timeout_ms)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self._manager.close()
        self._net.close()

    def allow(self, seconds: float) -> None:
        """Give all questions from now on so many seconds together."""
        self._deadline = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """The seconds that are left of them."""
        return self._deadline - time.monotonic()

    def topics(self, names: Iterable[str]) -> dict[str, Topic]:
        """Return what the cluster knows of each of the topics `names`, without making one."""
        wanted = [MetadataRequest.MetadataRequestTopic(name=name) for name in names]
        said = self._ask(None, MetadataRequest(topics=wanted, allow_auto_topic_creation=False))
        self._manager.cluster.update_metadata(said)
        return {
            topic.name: Topic(
                {each.partition_index: each.leader_id for each in topic.partitions},
                _error(topic.error_code),
                spelled_id(getattr(topic, "topic_id", None)),
                {each.partition_index: int(getattr(each, "leader_epoch", -1)) for each in topic.partitions},
            )
            for topic in said.topics
        }

    def coordinator(self, group: str) -> int | type[BrokerResponseError]:
        """Return the number of the broker that keeps the offsets of `group`."""
        request = FindCoordinatorRequest(key=group, key_type=int(CoordinatorType.GROUP), max_version=3)
        said = self._ask(None, request)
        return _error(said.error_code) or int(said.node_id)

    def committed(
        self, node: int, groups: Mapping[str, Sequence[Partition]]
    ) -> dict[str, Offsets | type[BrokerResponseError]]:
        """Return the committed offsets of `groups`, which broker `node` keeps; -1 where none was committed."""
        if not self._takes_several_groups():
            return {group: self._committed_by(node, group, partitions) for group, partitions in groups.items()}
        group_type = OffsetFetchRequest.OffsetFetchRequestGroup
        wanted = [
            group_type(group_id=group, topics=_by_topic(partitions, group_type.OffsetFetchRequestTopics))
            for group, partitions in groups.items()
        ]
        request = OffsetFetchRequest(groups=wanted, min_version=_SEVERAL_GROUPS, max_version=_SEVERAL_GROUPS)
        return {said.group_id: _committed(said) for said in self._ask(node, request).groups}

    def _takes_several_groups(self) -> bool:
        versions = self._manager.broker_version_data
        return versions is not None and versions.api_version(OffsetFetchRequest) >= _SEVERAL_GROUPS

    def _committed_by(
        self, node: int, group: str, partitions: Sequence[Partition]
    ) -> Offsets | type[BrokerResponseError]:
        topics = _by_topic(partitions, OffsetFetchRequest.OffsetFetchRequestTopic)
        request = OffsetFetchRequest(group_id=group, topics=topics, max_version=_SEVERAL_GROUPS - 1)
        return _committed(self._ask(node, request))

    def starts(self, node: int, partitions: Sequence[Partition]) -> Offsets:
        """Return the first offset that is kept of each of `partitions`, which broker `node` leads."""
        return self._bounds(node, partitions, OffsetSpec.EARLIEST)

    def ends(self, node: int, partitions: Sequence[Partition]) -> Offsets:
        """Return the offset that the next record will get in each of `partitions`, which broker `node` leads."""
        return self._bounds(node, partitions, OffsetSpec.LATEST)

    def _bounds(self, node: int, partitions: Sequence[Partition], at: int) -> Offsets:
        topic_type = ListOffsetsRequest.ListOffsetsTopic
        wanted = [
            topic_type(
                name=name,
                partitions=[topic_type.ListOffsetsPartition(partition_index=each, timestamp=at) for each in all_],
            )
            for name, all_ in _numbers(partitions)
        ]
        said = self._ask(node, ListOffsetsRequest(isolation_level=_READ_UNCOMMITTED, topics=wanted, min_version=1))
        return {
            Partition(topic.name, each.partition_index): _error(each.error_code) or each.offset
            for topic in said.topics
            for each in topic.partitions
        }

    def page(self, node: int, partition: Partition, offset: int) -> Page | None:
        """Fetch a little of a partition that broker `node` leads; None when it does not reach to `offset`.

        As far as the engine reads: what stands behind the first open transaction is not there yet. Records of aborted
        transactions are among them, whose marker lets the engine commit past them; markers are not. Raises RefusedError
        when the partition cannot be read.
        """
        data = self._fetched(node, partition, offset)
        if data is None:
            return None
        what = f"partition {partition.partition} of topic {partition.topic} cannot be read at offset {offset}"
        try:
            first, next_offset = first_record(data.records or b"", offset)
        except KafkaError as trouble:
            raise RefusedError(f"{what}: {answer(trouble)}") from trouble
        return Page(first, next_offset, data.high_watermark)

    def print_of(self, node: int, partition: Partition, offset: int) -> tuple[Print | None, int] | None:
        """Fetch the first record at or after an offset, and the partition's end; None when `offset` is out of range.

        The record is None where there is none, or none that can be decompressed here. Raises RefusedError when the
        partition cannot be read.
        """
        data = self._fetched(node, partition, offset)
        return None if data is None else (first_print(data.records or b"", offset), data.high_watermark)

    def epoch_end(self, node: int, partition: Partition, epoch: int) -> int:
        """Return the offset behind the last record of a leader's epoch; -1 where the broker does not know it."""
        topic_type = OffsetForLeaderEpochRequest.OffsetForLeaderTopic
        wanted = topic_type.OffsetForLeaderPartition(
            partition=partition.partition, current_leader_epoch=-1, leader_epoch=epoch
        )
        topics = [topic_type(topic=partition.topic, partitions=[wanted])]
        said = self._ask(node, OffsetForLeaderEpochRequest(replica_id=-1, topics=topics))
        found = said.topics[0].partitions[0]
        return -1 if _error(found.error_code) else int(found.end_offset)

    def _fetched(self, node: int, partition: Partition, offset: int) -> _Untyped | None:
        topic_type = FetchRequest.FetchTopic
        wanted = topic_type.FetchPartition(
            partition=partition.partition, fetch_offset=offset, partition_max_bytes=_PAGE_BYTES
        )
        request = FetchRequest(
            max_wait_ms=0,
            min_bytes=1,
            max_bytes=_PAGE_BYTES,
            isolation_level=_READ_COMMITTED,
            session_id=0,
            session_epoch=-1,
            topics=[topic_type(topic=partition.topic, partitions=[wanted])],
            forgotten_topics_data=[],
            max_version=_BY_TOPIC_NAME,
        )
        data = self._ask(node, request).responses[0].partitions[0]
        error = _error(data.error_code)
        if error is OffsetOutOfRangeError:
            return None
        what = f"partition {partition.partition} of topic {partition.topic} cannot be read at offset {offset}"
        if error is not None:
            raise RefusedError(f"{what}: the broker answers {error.message}")
        return data

    def _ask(self, node: int | None, request: _Untyped) -> _Untyped:
        async def answered() -> _Untyped:
            milliseconds = max(1.0, self._share() * 1000)
            return await self._manager.wait_for(self._manager.send(request, node_id=node), milliseconds)

        with translate_errors(Cluster([self._address(node)], self._security), patience=self.left / 2):
            try:
                return self._manager.run(answered)
            except (KafkaTimeoutError, RequestTimedOutError) as error:
                msg = f"the broker at {self._address(node)} does not answer"
                raise ServiceError(msg, hint="see whether it is frozen, overloaded or cut off") from error

    def _share(self) -> float:
        """How many seconds one question may take: a broker that is silent must leave some for the others."""
        return self.left / 2 if len(self._manager.cluster.brokers()) > 1 else self.left

    def _address(self, node: int | None) -> str:
        if node is None:
            known = self._manager.cluster.brokers() or self._manager.cluster.bootstrap_brokers()
            return ", ".join(sorted(f"{each.host}:{each.port}" for each in known))
        broker = self._manager.cluster.broker_metadata(node)
        return f"{broker.host}:{broker.port}" if broker else f"broker {node}"


def first_record(data: bytes, position: int) -> tuple[Record | None, int]:
    """Find the first record at or after `position` in fetched batches; also return the offset behind what was seen.

    Markers of transactions are not records. The timestamp is that of the record or of the first one of its batch.

    Raises:
        KafkaError: The data are corrupt.

    """
    batches = MemoryRecords(data)
    while (batch := batches.next_batch()) is not None:
        if not getattr(batch, "is_control_batch", False):
            found = next((record for record in _records(batch, position) if record.offset >= position), None)
            if found is not None:
                return found, found.offset + 1
        position = max(position, getattr(batch, "next_offset", position))
    return None, position


def first_print(data: bytes, position: int) -> Print | None:
    """Find the first record at or after `position` in fetched batches; None if there is none that can be read here."""
    batches = MemoryRecords(data)
    try:
        while (batch := batches.next_batch()) is not None:
            if getattr(batch, "is_control_batch", False):
                continue
            for record in batch:
                if record.offset >= position:
                    epoch = int(getattr(batch, "leader_epoch", -1))
                    return Print(record.offset, digest(record.key, record.value, record.timestamp), epoch)
    except Exception:  # noqa: BLE001 -- each library of a codec has errors of its own, and a guess would be worse
        return None
    return None


def digest(key: bytes | None, value: bytes | None, timestamp: int) -> int:
    """The CRC-32 of a record; the engine computes the same one (`cmd/engine/internal/records/origin/marks.go`)."""
    found = zlib.crc32(value or b"", zlib.crc32(key or b""))
    # Only a sane time: clients make different numbers of the others.
    return zlib.crc32(struct.pack(">q", timestamp), found) if timestamp in _SANE_TIMES else found


def _records(batch: _Untyped, position: int) -> Iterable[Record]:
    if isinstance(batch, DefaultRecordBatch) and batch.records_count == batch.last_offset_delta + 1:
        # Nothing was removed from it, so its header says enough, in whatever way the records are compressed.
        timestamp = batch.max_timestamp if batch.timestamp_type else batch.first_timestamp
        return [Record(offset, timestamp) for offset in range(max(position, batch.base_offset), batch.next_offset)[:1]]
    try:
        return [Record(record.offset, record.timestamp) for record in batch]
    except UnsupportedCodecError:
        return []  # it cannot be known, and a record that is not there would be the worse error
    except KafkaError:
        raise
    except Exception as error:  # each library of a codec has errors of its own
        raise CorruptRecordError(f"a batch cannot be decompressed: {error}") from error


def _error(code: int) -> type[BrokerResponseError] | None:
    error: type[BrokerResponseError] = for_code(code)
    return error if code else None


def _committed(said: _Untyped) -> Offsets | type[BrokerResponseError]:
    return _error(said.error_code) or {
        Partition(topic.name, each.partition_index): _error(each.error_code) or each.committed_offset
        for topic in said.topics
        for each in topic.partitions
    }


def _by_topic(partitions: Sequence[Partition], topic_type: Callable[..., Any]) -> list[Any]:
    return [topic_type(name=name, partition_indexes=numbers) for name, numbers in _numbers(partitions)]


def _numbers(partitions: Sequence[Partition]) -> list[tuple[str, list[int]]]:
    return [
        (name, [each.partition for each in group])
        for name, group in groupby(sorted(partitions), key=lambda each: each.topic)
    ]
