"""Who reads with a consumer group. The members are of librdkafka, a client that is not ddpm's own."""

import pytest
from confluent_kafka import TopicPartition as Place

from ddpm.broker.members import Member, members
from ddpm.broker.offsets import Partition, begin_at
from ddpm.errors import ServiceError
from harness.waiting import eventually
from integration.provision.conftest import member


def test_members_are_known_by_client_host_and_topics(brokers: list[str], tag: str) -> None:
    topic, group = f"members-{tag}", f"group-{tag}"
    assert members(brokers, group) == ()
    with member(brokers, group, topic):
        assert members(brokers, group) == (Member("ddpm-returns", "127.0.0.1", (topic,)),)
    eventually(lambda: members(brokers, group) == (), "the consumer has left its group")


def test_where_a_group_begins_is_not_left_open_while_it_has_members(brokers: list[str], tag: str) -> None:
    topic, group = f"begins-{tag}", f"group-{tag}"
    with member(brokers, group, topic) as consumer:
        with pytest.raises(ServiceError, match=rf"{topic}/0 cannot be set while it has members"):
            begin_at(brokers, group, {Partition(topic, 0): 0}, timeout=0.5)
        consumer.commit(offsets=[Place(topic, 0, 0)], asynchronous=False)
        assert begin_at(brokers, group, {Partition(topic, 0): 0}) == (), "a member has committed there"
