import uuid
from collections.abc import Iterator

import pytest

from ddpm.broker.connection import admin
from ddpm.broker.dump import RawRecord, pick
from ddpm.broker.produce import Record, produce
from ddpm.broker.tail import Tail
from ddpm.broker.topics import TopicSpec, ensure_topics, existing
from ddpm.deadletters.letter import LetterId, Origin
from ddpm.deadletters.resolution import Resolution, ResolutionRecord
from ddpm.deadletters.store import DeadLetterStore
from harness.waiting import eventually


@pytest.fixture
def topic(brokers: list[str], tag: str) -> str:
    ensure_topics(brokers, [TopicSpec(tag, 2)])
    return tag


@pytest.fixture
def tail(brokers: list[str], tag: str) -> Iterator[Tail]:
    tail = Tail(brokers, tag)
    yield tail
    tail.close()


def write(brokers: list[str], topic: str, *values: str, partition: int = 0) -> None:
    produce(brokers, topic, [Record(value.encode(), partition=partition) for value in values])


def values(records: Iterator[RawRecord] | None) -> list[str]:
    assert records is not None
    return sorted((record.value or b"").decode() for record in records)


def test_a_tail_reads_on_where_it_stopped(brokers: list[str], topic: str, tail: Tail) -> None:
    assert values(tail.read()) == []
    write(brokers, topic, "a", "b")
    write(brokers, topic, "c", partition=1)
    assert values(tail.read()) == ["a", "b", "c"]
    assert values(tail.read()) == []
    write(brokers, topic, "d", "e", "f")
    assert values(tail.read(2)) == ["d", "e"]
    tail.close()
    assert values(tail.read()) == ["f"], "also over another connection"


def test_a_topic_that_comes_later_is_read_once_it_is_expected(brokers: list[str], tag: str, tail: Tail) -> None:
    assert values(tail.read()) == []
    ensure_topics(brokers, [TopicSpec(tag)])
    write(brokers, tag, "a")
    tail.look_again()
    assert values(tail.read()) == ["a"]


def test_a_topic_that_was_made_anew_is_read_anew(brokers: list[str], topic: str, tail: Tail) -> None:
    write(brokers, topic, "a", "b", "c")
    assert values(tail.read()) == ["a", "b", "c"]
    with admin(brokers) as client:
        client.delete_topics([topic])

    eventually(lambda: topic not in existing(brokers), "it is gone")
    ensure_topics(brokers, [TopicSpec(topic, 2)])
    write(brokers, topic, "d")
    tail.close()
    assert tail.read() is None, "it says so"
    assert values(tail.read()) == ["d"]


def test_some_records_are_picked_out_of_many(brokers: list[str], topic: str) -> None:
    write(brokers, topic, *(str(number) for number in range(3_000)))
    write(brokers, topic, "x", partition=1)
    found = list(pick(brokers, topic, {0: [2_999, 7, 7, 5, 1_500, 3_000, -1], 1: [0, 9], 5: [0]}))
    assert [(record.partition, record.offset, record.value) for record in found] == [
        (0, 5, b"5"),
        (0, 7, b"7"),
        (0, 1_500, b"1500"),
        (0, 2_999, b"2999"),
        (1, 0, b"x"),
    ]


def letter(number: int) -> Record:
    headers = {
        "__connect.errors.topic": "orders",
        "__connect.errors.partition": "0",
        "__connect.errors.offset": str(number),
        "__connect.errors.connector.name": "shop",
    }
    return Record(b"{", headers=tuple((name, value.encode()) for name, value in headers.items()), partition=0)


def test_a_shelf_learns_of_letters_and_marks_as_they_come(brokers: list[str], topic: str) -> None:
    store, other = DeadLetterStore(brokers, topic), DeadLetterStore(brokers, topic)
    produce(brokers, topic, [letter(number) for number in range(10)])
    while not store.refresh(3):
        pass
    assert store.depth("shop").open == 10
    mark = ResolutionRecord(
        LetterId(0, 4), "shop", Origin("orders", 0, 4), 1, Resolution.DISCARDED, 1_763_000_000_000, uuid.uuid4().hex
    )
    assert store.mark([mark]) == 1
    for each in (store, other):
        each.read_all()
        assert each.depth("shop").open == 9, "every ddpm knows"
    produce(brokers, topic, [letter(10)])
    assert store.refresh()
    assert store.depth("shop").open == 10, "it is read on"
    store.close()
    other.close()
