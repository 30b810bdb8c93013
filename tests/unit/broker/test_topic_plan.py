import pytest

from ddpm.broker.plan import HEADER_ROOM, MESSAGE_LIMIT, ExistingTopic, TopicSpec, plan

DEFAULTS = {"retention.ms": "604800000", "cleanup.policy": "compact,delete"}


def existing(
    name: str, partitions: int = 1, replication_factor: int = 1, limit: int = 1048588
) -> dict[str, ExistingTopic]:
    return {name: ExistingTopic(name, partitions, replication_factor, DEFAULTS | {MESSAGE_LIMIT: str(limit)})}


def test_a_missing_topic_is_made_as_wanted() -> None:
    (one,) = plan({}, [TopicSpec("orders", 3, 2, {"retention.ms": -1, "preallocate": True, "x": 7.0})])
    assert (one.creates, one.partitions, one.replication_factor) == (True, 3, 2)
    assert one.configs == {"retention.ms": "-1", "preallocate": "true", "x": "7"}


def test_a_topic_with_fewer_partitions_grows() -> None:
    (one,) = plan(existing("orders", 1), [TopicSpec("orders", 3)])
    assert (one.grows, one.partitions_now, one.partitions) == (True, 1, 3)


def test_a_topic_with_more_partitions_is_left_alone() -> None:
    (one,) = plan(existing("orders", 12), [TopicSpec("orders", 3)])
    assert (one.pending, one.partitions, one.warnings) == (False, 12, ())


@pytest.mark.parametrize(
    ("key", "value"), [("retention.ms", 604_800_000), ("cleanup.policy", "delete, compact"), (MESSAGE_LIMIT, 1048588)]
)
def test_a_setting_that_means_the_same_is_no_difference(key: str, value: str | int) -> None:
    (one,) = plan(existing("orders"), [TopicSpec("orders", configs={key: value})])
    assert (one.pending, one.warnings) == (False, ())


def test_a_setting_that_differs_is_told_and_not_changed() -> None:
    (one,) = plan(existing("orders"), [TopicSpec("orders", configs={"retention.ms": 1000})])
    assert not one.pending
    assert "orders exists with retention.ms=604800000, the configuration asks for 1000" in one.warnings[0]
    assert "kafka-configs --alter --topic orders --add-config retention.ms=1000" in one.warnings[0]


def test_a_setting_that_the_broker_does_not_know_is_told() -> None:
    (one,) = plan(existing("orders"), [TopicSpec("orders", configs={"retension.ms": 1000})])
    assert one.warnings == ("topic orders: the broker knows no setting retension.ms",)


def test_too_few_replicas_are_told_and_more_are_welcome() -> None:
    (fewer,) = plan(existing("orders", replication_factor=1), [TopicSpec("orders", replication_factor=3)])
    (more,) = plan(existing("orders", replication_factor=3), [TopicSpec("orders", replication_factor=1)])
    assert "replication factor 1, the configuration asks for 3" in fewer.warnings[0]
    assert more.warnings == ()


@pytest.mark.parametrize(("brokers", "copies"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_a_missing_topic_gets_as_many_copies_as_suit_the_cluster(brokers: int, copies: int) -> None:
    (made,) = plan({}, [TopicSpec("orders")], brokers)
    (there,) = plan(existing("orders", replication_factor=1), [TopicSpec("orders")], brokers)
    assert (made.replication_factor, there.warnings) == (copies, ())


def test_settings_that_may_not_be_read_are_told() -> None:
    topic = {"orders": ExistingTopic("orders", 1, 1, {})}
    (one,) = plan(topic, [TopicSpec("orders", configs={"retention.ms": 1})])
    assert one.warnings == ("the settings of topic orders may not be read, so they are not compared",)


def test_dead_letters_get_room_for_the_largest_record_and_its_headers() -> None:
    topics = existing("a", limit=5_000_000) | existing("b")
    (one,) = plan(topics, [TopicSpec("dead", room_for=("a", "b"))])
    assert one.configs == {MESSAGE_LIMIT: str(5_000_000 + HEADER_ROOM)}


def test_dead_letters_have_room_for_topics_that_are_made_along_with_them() -> None:
    wanted = [TopicSpec("a", configs={MESSAGE_LIMIT: 3_000_000}), TopicSpec("dead", room_for=("a", "unknown"))]
    assert plan({}, wanted)[1].configs == {MESSAGE_LIMIT: str(3_000_000 + HEADER_ROOM)}


def test_the_limit_of_an_existing_dead_letter_topic_is_raised_where_it_is_too_low() -> None:
    topics = existing("a") | existing("dead")
    (one,) = plan(topics, [TopicSpec("dead", room_for=("a",))])
    assert one.pending
    assert one.raise_limit == (1048588, 1048588 + HEADER_ROOM)


def test_the_limit_of_an_existing_dead_letter_topic_is_never_lowered() -> None:
    topics = existing("a") | existing("dead", limit=9_000_000)
    (one,) = plan(topics, [TopicSpec("dead", room_for=("a",))])
    assert (one.pending, one.warnings) == (False, ())


def test_a_limit_that_was_asked_for_wins_when_it_is_larger() -> None:
    spec = TopicSpec("dead", configs={MESSAGE_LIMIT: 9_000_000}, room_for=("a",))
    assert plan(existing("a"), [spec])[0].configs == {MESSAGE_LIMIT: "9000000"}


def test_a_limit_that_was_asked_for_and_is_too_low_is_raised() -> None:
    spec = TopicSpec("dead", configs={MESSAGE_LIMIT: 1000}, room_for=("a",))
    assert plan(existing("a"), [spec])[0].configs == {MESSAGE_LIMIT: str(1048588 + HEADER_ROOM)}


def test_room_ends_at_the_largest_number_that_kafka_takes() -> None:
    topics = existing("a", limit=2**31 - 1)
    assert plan(topics, [TopicSpec("dead", room_for=("a",))])[0].configs == {MESSAGE_LIMIT: str(2**31 - 1)}


def test_plans_come_in_the_order_of_the_wishes() -> None:
    names = ["b", "a", "c"]
    assert [one.name for one in plan(existing("a"), [TopicSpec(name) for name in names])] == names
