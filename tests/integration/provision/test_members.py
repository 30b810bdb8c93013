"""Who reads with a consumer group."""

from kafka import KafkaConsumer

from ddpm.broker.members import Member, members
from ddpm.broker.topics import TopicSpec, ensure_topics
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
