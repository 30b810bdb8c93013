import threading
from collections.abc import Iterator

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from ddpm.broker.dump import RawRecord, dump
from ddpm.broker.offsets import Lag, Partition, Watermarks, committed, lag, watermarks
from ddpm.broker.produce import Record, produce, producing
from ddpm.broker.topics import TopicSpec, ensure_topics
from ddpm.errors import ServiceError


@pytest.fixture
def topic(brokers: list[str], tag: str) -> str:
    ensure_topics(brokers, [TopicSpec(tag, 2)])
    return tag


def stored(brokers: list[str], topic: str) -> list[RawRecord]:
    return list(dump(brokers, [topic]))


def test_records_come_back_byte_by_byte(brokers: list[str], topic: str) -> None:
    records = [
        Record(b"\xff\x00", b"\xfe", (("h", b"\xfd"), ("h", b""), ("ü", b"twice")), 1, 1),
        Record(None, b"key", (), 1, 2),
        Record(None, None, (), 1, -1),
        Record(b"", b"", (), 1, 4),
        Record(b"x" * 900_000, None, (), 1, 5),
    ]
    assert produce(brokers, topic, records) == len(records)
    found = stored(brokers, topic)
    assert [(each.value, each.key, each.headers, each.partition, each.timestamp) for each in found] == [
        (each.value, each.key, each.headers, each.partition, each.timestamp) for each in records
    ]
    assert [each.offset for each in found] == list(range(len(records)))


def test_one_key_stays_in_one_partition_and_in_order(brokers: list[str], topic: str) -> None:
    produce(brokers, topic, [Record(str(number).encode(), str(number % 7).encode()) for number in range(700)])
    found = stored(brokers, topic)
    for key in range(7):
        mine = [each for each in found if each.key == str(key).encode()]
        assert len({each.partition for each in mine}) == 1
        assert [int(each.value or b"") for each in mine] == list(range(key, 700, 7))


def test_progress_ends_at_the_number_that_arrived(brokers: list[str], topic: str) -> None:
    told: list[int] = []
    assert produce(brokers, topic, (Record(b"x") for _ in range(5_000)), told.append) == 5_000
    assert told == sorted(told)
    assert told[-1] == 5_000
    assert len(stored(brokers, topic)) == 5_000


def test_a_record_that_is_too_large_is_named_and_what_came_before_is_there(brokers: list[str], topic: str) -> None:
    records = [Record(b"before", partition=0), Record(b"x" * 3_000_000, partition=0), Record(b"after", partition=0)]
    with pytest.raises(ServiceError, match="record 2 did not get into topic") as caught:
        produce(brokers, topic, records)
    assert "max.message.bytes" in str(caught.value)
    assert b"before" in [each.value for each in stored(brokers, topic)]


def test_a_record_that_the_broker_refuses_is_named_and_not_its_neighbours(brokers: list[str], topic: str) -> None:
    records = [Record(b"1", partition=0), Record(b"2", partition=0, timestamp=2**53), Record(b"3", partition=0)]
    with pytest.raises(ServiceError, match=r"record 2 .* INVALID_TIMESTAMP"):
        produce(brokers, topic, records)
    assert stored(brokers, topic) == []


def test_a_partition_that_is_not_there_is_named(brokers: list[str], topic: str) -> None:
    with pytest.raises(ServiceError, match=r"record 1 .*77"):
        produce(brokers, topic, [Record(b"x", partition=77)])


def test_a_failure_of_the_source_of_records_is_passed_on_at_once(brokers: list[str], topic: str) -> None:
    def records() -> Iterator[Record]:
        yield Record(b"x")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        produce(brokers, topic, records())


def test_a_producer_can_be_used_bit_by_bit(brokers: list[str], topic: str) -> None:
    with producing(brokers, topic) as producer:
        producer.send(Record(b"1"))
        producer.flush()
        assert producer.delivered == 1
        assert len(stored(brokers, topic)) == 1
        producer.send(Record(b"2"))
    assert producer.delivered == 2
    assert len(stored(brokers, topic)) == 2


def test_a_dump_ends_where_the_topic_ended_when_it_began(brokers: list[str], topic: str) -> None:
    produce(brokers, topic, [Record(b"x", partition=0)] * 10)
    reading = dump(brokers, [topic])
    first = next(reading)
    produce(brokers, topic, [Record(b"later", partition=0)] * 10)
    assert len([first, *reading]) == 10


def test_a_dump_shows_aborted_transactions_and_steps_over_their_markers(brokers: list[str], topic: str) -> None:
    producer = KafkaProducer(bootstrap_servers=brokers, transactional_id=topic)
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic, b"aborted", partition=0)
    producer.flush()
    producer.abort_transaction()
    producer.begin_transaction()
    producer.send(topic, b"committed", partition=0)
    producer.commit_transaction()
    producer.close()
    assert [(each.offset, each.value) for each in stored(brokers, topic)] == [(0, b"aborted"), (2, b"committed")]
    assert watermarks(brokers, [topic])[Partition(topic, 0)] == Watermarks(0, 4)


def test_an_empty_topic_has_nothing_to_dump(brokers: list[str], topic: str) -> None:
    assert stored(brokers, topic) == []


def test_lag_is_what_a_group_has_not_committed(brokers: list[str], topic: str) -> None:
    produce(brokers, topic, [Record(b"x", partition=0)] * 10)
    first, second = Partition(topic, 0), Partition(topic, 1)
    assert committed(brokers, "nobody", [topic]) == {first: None, second: None}
    assert lag(brokers, "nobody", [topic]) == {first: Lag(None, 0, 10, 10), second: Lag(None, 0, 0, 0)}
    group = KafkaConsumer(bootstrap_servers=brokers, group_id=topic, enable_auto_commit=False)
    group.assign([TopicPartition(topic, 0)])
    group.commit({TopicPartition(topic, 0): OffsetAndMetadata(4, "", -1)})
    group.close()
    assert committed(brokers, topic, [topic]) == {first: 4, second: None}
    assert lag(brokers, topic, [topic])[first] == Lag(4, 0, 10, 6)


def test_nothing_is_left_running(brokers: list[str], topic: str) -> None:
    before = set(threading.enumerate())
    produce(brokers, topic, [Record(b"x", partition=0)] * 20)
    assert next(dump(brokers, [topic])).offset == 0
    lag(brokers, "nobody", [topic])
    with pytest.raises(ServiceError):
        produce(brokers, topic, [Record(b"x", partition=9)])
    assert set(threading.enumerate()) <= before
