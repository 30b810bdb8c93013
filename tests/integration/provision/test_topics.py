from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from ddpm.broker.dump import dump
from ddpm.broker.offsets import watermarks
from ddpm.broker.plan import HEADER_ROOM, MESSAGE_LIMIT
from ddpm.broker.produce import Record, produce
from ddpm.broker.topics import TopicSpec, TopicState, ensure_topics, existing, incarnations
from ddpm.errors import ConfigError, ServiceError
from harness.waiting import eventually


def setting(brokers: list[str], topic: str, key: str) -> str:
    client = KafkaAdminClient(bootstrap_servers=brokers)
    try:
        return str(
            client.describe_configs([ConfigResource("TOPIC", topic)], config_filter="all")["topic"][topic][key]["value"]
        )
    finally:
        client.close()


def delete(brokers: list[str], topic: str) -> None:
    client = KafkaAdminClient(bootstrap_servers=brokers)
    try:
        client.delete_topics([topic])
    finally:
        client.close()
    eventually(lambda: topic not in existing(brokers), f"{topic} is gone")


def partitions(brokers: list[str], topic: str) -> int:
    return len(watermarks(brokers, [topic]))


def together(job: Callable[[], list[TopicState]], times: int = 6) -> list[list[TopicState]]:
    with ThreadPoolExecutor(times) as pool:
        return [future.result() for future in [pool.submit(job) for _ in range(times)]]


def test_topics_are_made_as_wanted_and_can_be_written_at_once(brokers: list[str], tag: str) -> None:
    spec = TopicSpec(tag, 3, 1, {"retention.ms": 3_600_000, "cleanup.policy": "compact"})
    (state,) = ensure_topics(brokers, [spec])
    assert state == TopicState(tag, 3, "created")
    assert state.changed
    assert produce(brokers, tag, [Record(b"x", b"k")]) == 1
    assert setting(brokers, tag, "retention.ms") == "3600000"
    assert setting(brokers, tag, "cleanup.policy") == "compact"


def test_a_second_time_nothing_changes(brokers: list[str], tag: str) -> None:
    specs = [TopicSpec(tag, 2, 1, {"retention.ms": 3_600_000}), TopicSpec(f"{tag}-dead", room_for=(tag,))]
    ensure_topics(brokers, specs)
    before = incarnations(brokers, [tag, f"{tag}-dead"])
    again = ensure_topics(brokers, specs)
    assert [(state.change, state.changed, state.warnings) for state in again] == [("unchanged", False, ())] * 2
    assert incarnations(brokers, [tag, f"{tag}-dead"]) == before


def test_a_topic_grows_with_a_warning_and_keeps_its_records(brokers: list[str], tag: str) -> None:
    ensure_topics(brokers, [TopicSpec(tag, 1)])
    produce(brokers, tag, [Record(b"old")])
    (state,) = ensure_topics(brokers, [TopicSpec(tag, 3)])
    assert (state.partitions, state.change) == (3, "grown from 1 to 3 partitions")
    assert "out of order" in state.warnings[0]
    assert partitions(brokers, tag) == 3
    assert produce(brokers, tag, [Record(b"new", partition=2)]) == 1
    assert [record.value for record in dump(brokers, [tag])] == [b"old", b"new"]


def test_a_topic_never_shrinks(brokers: list[str], tag: str) -> None:
    ensure_topics(brokers, [TopicSpec(tag, 4)])
    (state,) = ensure_topics(brokers, [TopicSpec(tag, 2)])
    assert state == TopicState(tag, 4, "unchanged")
    assert partitions(brokers, tag) == 4


def test_settings_of_an_existing_topic_are_compared_and_left_alone(brokers: list[str], tag: str) -> None:
    ensure_topics(brokers, [TopicSpec(tag, configs={"retention.ms": 1_000_000})])
    (state,) = ensure_topics(brokers, [TopicSpec(tag, configs={"retention.ms": 2_000_000})])
    assert not state.changed
    assert "retention.ms=1000000, the configuration asks for 2000000" in state.warnings[0]
    assert setting(brokers, tag, "retention.ms") == "1000000"


def test_dead_letters_have_room_for_the_largest_source_from_the_start(brokers: list[str], tag: str) -> None:
    sources = [TopicSpec(f"{tag}-a"), TopicSpec(f"{tag}-b", configs={MESSAGE_LIMIT: 4_000_000})]
    dead = TopicSpec(f"{tag}-dead", room_for=(f"{tag}-a", f"{tag}-b"))
    assert [state.change for state in ensure_topics(brokers, [dead, *sources])] == ["created"] * 3
    assert setting(brokers, f"{tag}-dead", MESSAGE_LIMIT) == str(4_000_000 + HEADER_ROOM)


def test_dead_letters_have_room_where_only_the_broker_names_a_limit(brokers: list[str], tag: str) -> None:
    ensure_topics(brokers, [TopicSpec(tag), TopicSpec(f"{tag}-dead", room_for=(tag,))])
    limits = [int(setting(brokers, topic, MESSAGE_LIMIT)) for topic in (tag, f"{tag}-dead")]
    assert limits[1] >= limits[0] + HEADER_ROOM


def test_the_limit_of_existing_dead_letters_is_raised_and_reported(brokers: list[str], tag: str) -> None:
    dead = f"{tag}-dead"
    ensure_topics(brokers, [TopicSpec(dead, configs={"retention.ms": 1_000_000, MESSAGE_LIMIT: 1000})])
    state = ensure_topics(
        brokers, [TopicSpec(tag, configs={MESSAGE_LIMIT: 2_000_000}), TopicSpec(dead, room_for=(tag,))]
    )[1]
    assert state.change == f"{MESSAGE_LIMIT} raised from 1000 to {2_000_000 + HEADER_ROOM}"
    assert setting(brokers, dead, MESSAGE_LIMIT) == str(2_000_000 + HEADER_ROOM)
    assert setting(brokers, dead, "retention.ms") == "1000000"


def test_several_that_start_at_once_agree(brokers: list[str], tag: str) -> None:
    specs = [TopicSpec(f"{tag}-{number}", 3) for number in range(3)]
    specs.append(TopicSpec(f"{tag}-dead", room_for=tuple(spec.name for spec in specs)))
    for states in together(lambda: ensure_topics(brokers, specs)):
        assert [state.partitions for state in states] == [3, 3, 3, 1]
    assert all(partitions(brokers, spec.name) == spec.min_partitions for spec in specs)


def test_several_that_grow_a_topic_at_once_agree(brokers: list[str], tag: str) -> None:
    ensure_topics(brokers, [TopicSpec(tag, 1)])
    for (state,) in together(lambda: ensure_topics(brokers, [TopicSpec(tag, 5)])):
        assert state.partitions == 5
    assert partitions(brokers, tag) == 5


def test_impossible_wishes_are_told_at_once_and_nothing_is_made(brokers: list[str], tag: str) -> None:
    specs = [
        TopicSpec(f"{tag}-good"),
        TopicSpec(f"{tag}-copies", replication_factor=3),
        TopicSpec(f"{tag}-odd", configs={"no.such.setting": 1}),
        TopicSpec(f"{tag}-value", configs={"retention.ms": "soon"}),
        TopicSpec(f"{tag}-dead", replication_factor=3, room_for=(f"{tag}-good",)),
    ]
    with pytest.raises(ConfigError) as caught:
        ensure_topics(brokers, specs)
    message = str(caught.value)
    for name in ("copies", "odd", "value", "dead"):
        assert f"creating topic {tag}-{name}: the broker answers" in message
    assert "app.kafka.replication_factor" in message
    assert "app.kafka.topic_configs" in message
    assert "no.such.setting" in message
    assert not [topic for topic in existing(brokers) if topic.startswith(tag)]


def test_a_topic_made_again_is_another_incarnation(brokers: list[str], tag: str) -> None:
    ensure_topics(brokers, [TopicSpec(tag)])
    first = incarnations(brokers, [tag])[tag]
    delete(brokers, tag)
    ensure_topics(brokers, [TopicSpec(tag)])
    second = incarnations(brokers, [tag])[tag]
    assert first.topic_id
    assert second.topic_id
    assert first.topic_id != second.topic_id
    assert (first.cluster_id, first.topic) == (second.cluster_id, tag)


def test_asking_for_a_topic_does_not_make_it(brokers: list[str], tag: str) -> None:
    for ask in (incarnations, watermarks):
        with pytest.raises(ServiceError, match=f"there is no topic {tag}"):
            ask(brokers, [tag])
    with pytest.raises(ServiceError, match=f"there is no topic {tag}"):
        produce(brokers, tag, [Record(b"x")])
    with pytest.raises(ServiceError, match=f"there is no topic {tag}"):
        list(dump(brokers, [tag]))
    assert tag not in existing(brokers)
