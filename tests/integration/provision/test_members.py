"""Who reads with a consumer group."""

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from ddpm.broker.members import Member, members
from ddpm.broker.offsets import Partition, begin_at
from ddpm.broker.topics import TopicSpec, ensure_topics
from ddpm.errors import ServiceError
from harness.waiting import eventually


def test_members_are_known_by_client_host_and_topics(brokers: list[str], tag: str) -> None:
    topic, group = f"members-{tag}", f"group-{tag}"
    assert members(brokers, group) == ()
    ensure_topics(brokers, [TopicSpec(topic, 1)])
    consumer = KafkaConsumer(topic, bootstrap_servers=brokers, group_id=group, client_id="ddpm-returns")

    def assigned() -> bool:
        consumer.poll(timeout_ms=100)
        return bool(consumer.assignment())

    try:
        eventually(assigned, "the consumer has joined its group")
        assert members(brokers, group) == (Member("ddpm-returns", "127.0.0.1", (topic,)),)
    finally:
        consumer.close()
    eventually(lambda: members(brokers, group) == (), "the consumer has left its group")


def test_where_a_group_begins_is_not_left_open_while_it_has_members(brokers: list[str], tag: str) -> None:
    topic, group = f"begins-{tag}", f"group-{tag}"
    ensure_topics(brokers, [TopicSpec(topic, 1)])
    consumer = KafkaConsumer(topic, bootstrap_servers=brokers, group_id=group, enable_auto_commit=False)

    def assigned() -> bool:
        consumer.poll(timeout_ms=100)
        return bool(consumer.assignment())

    try:
        eventually(assigned, "the consumer has joined its group")
        with pytest.raises(ServiceError, match=rf"{topic}/0 cannot be set while it has members"):
            begin_at(brokers, group, {Partition(topic, 0): 0}, timeout=0.5)
        consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(0, "", -1)})
        assert begin_at(brokers, group, {Partition(topic, 0): 0}) == (), "a member has committed there"
    finally:
        consumer.close()
