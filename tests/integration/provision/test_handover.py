"""Where groups go on when the sinks of a pipeline are run otherwise, on a real Kafka; no engine runs.

What an engine would commit, the tests commit in its place. Sinks write to topics, so that no table is needed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ddpm.broker import offsets
from ddpm.broker.connection import admin
from ddpm.broker.marks import Mark
from ddpm.broker.members import members
from ddpm.broker.offsets import Partition, committed
from ddpm.broker.produce import Record, produce
from ddpm.broker.topics import TopicSpec, ensure_topics
from ddpm.components.registry import pipeline_type
from ddpm.config.model import Pipeline
from ddpm.config.parts import parts_of
from ddpm.errors import ConfigError, ServiceError
from ddpm.orchestrator.provisioning import handover, provision
from ddpm.orchestrator.provisioning.progress import progress_file
from harness.waiting import eventually
from integration.provision.conftest import member


class Shop:
    """A pipeline of several sinks, whose configuration changes from one start to the next."""

    def __init__(self, brokers: list[str], tag: str) -> None:
        self.brokers, self.tag = brokers, tag
        self.topic, self.group = f"orders-{tag}", f"shop-{tag}"
        ensure_topics(brokers, [TopicSpec(self.topic, 1)])
        produce(brokers, self.topic, [Record(value=b"{}")] * 100)

    def made(self, *sinks: str, **sections: Any) -> tuple[Pipeline, ...]:
        """What a configuration with these sinks is run as."""
        kafka = {"brokers": self.brokers, "topics": [self.topic], "consumer_group": self.group}
        app = {
            "name": "orders",
            "kafka": kafka | sections.pop("kafka", {}),
            "dead_letter": {"topic": f"dead-{self.tag}"},
            "sinks": [{"kafka": {"topic": f"{name}-{self.tag}", "name": name}} for name in sinks],
        }
        return parts_of(pipeline_type().model_validate(app | sections))

    def start(self, *sinks: str, only: Iterable[str] = (), runs: bool = True, **sections: Any) -> list[str]:
        """Provision them, or some of them, as ddpm does before it starts engines; returns what a person is told."""
        said: list[str] = []
        for each in self.made(*sinks, **sections):
            if not only or each.sink_names[0] in only:
                said += provision.provision(each, runs=runs).alarms
        return said

    def reads_to(self, offset: int, sink: str = "") -> None:
        """Commit as an engine would: that of a sink, or of all."""
        place = {Partition(self.topic, 0): offset}
        assert offsets.commit(self.brokers, self.of(sink), place, metadata=self.note(sink))

    def note(self, sink: str) -> str:
        """What an engine, or `ddpm offsets reset`, commits beside an offset."""
        return f"ddpm part of {self.group}" if sink else "ddpm"

    def at(self, sink: str = "", partition: int = 0) -> int | None:
        """Where a sink, or all, read on."""
        return committed(self.brokers, self.of(sink), [self.topic])[Partition(self.topic, partition)]

    def grow(self, records: int) -> None:
        """Produce more of them."""
        produce(self.brokers, self.topic, [Record(value=b"{}", partition=0)] * records)

    def add_partition(self) -> None:
        """Give the topic another partition, with records."""
        ensure_topics(self.brokers, [TopicSpec(self.topic, 2)])
        produce(self.brokers, self.topic, [Record(value=b"{}", partition=1)] * 50)

    def of(self, sink: str) -> str:
        return f"{self.group}.{sink}" if sink else self.group

    def loses(self, *sinks: str) -> None:
        """Kafka forgets groups, as it does when nobody has read with them for a week."""
        assert offsets.delete_groups(self.brokers, [self.of(sink) for sink in sinks]) == {}


@pytest.fixture
def shop(brokers: list[str], tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(tmp_path)
    return Shop(brokers, tag)


def test_sinks_go_on_where_all_were_and_all_where_the_last_was(shop: Shop) -> None:
    shop.start("a", "b", fan_out="together")
    shop.reads_to(40)
    shop.start("a", "b")
    assert (shop.at("a"), shop.at("b")) == (40, 40)
    shop.reads_to(70, "a")
    shop.reads_to(50, "b")
    shop.start("a", "b", fan_out="together")
    assert (shop.at(), shop.at("a"), shop.at("b")) == (50, None, None)


def test_a_start_beside_another_one_changes_nothing(shop: Shop) -> None:
    shop.start("a", "b")
    shop.reads_to(70, "a")
    for _ in range(2):
        shop.start("a", "b")
        assert (shop.at("a"), shop.at("b")) == (70, 0)


@pytest.mark.parametrize("cut", ["move", "delete_groups"])
def test_one_that_was_cut_short_is_done_again_and_skips_nothing(
    shop: Shop, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.start("a", "b")
    shop.reads_to(90, "a")
    shop.reads_to(10, "b")

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(handover, cut, dies)
        shop.start("a", "b", fan_out="together")
    shop.start("a", "b", fan_out="together")
    assert (shop.at(), shop.at("a"), shop.at("b")) == (10, None, None)


def test_a_group_that_could_not_be_deleted_is_never_taken_for_more_than_it_is(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.start("a", "b")
    shop.reads_to(90, "a")
    shop.reads_to(10, "b")

    def refuses(brokers: list[str], groups: list[str]) -> Mapping[str, str]:
        offsets.delete_groups(brokers, [group for group in groups if group.endswith(".b")])
        return {group: "GroupAuthorizationFailedError" for group in groups if group.endswith(".a")}

    with monkeypatch.context() as patched:
        patched.setattr(handover, "delete_groups", refuses)
        (said,) = shop.start("a", "b", fan_out="together")
    assert f"{shop.group}.a is not used any more and cannot be deleted (GroupAuthorizationFailedError)" in said
    assert (shop.at(), shop.at("a"), shop.at("b")) == (10, 90, None)
    shop.reads_to(20)
    assert shop.start("a", "b", fan_out="together") == []
    assert (shop.at(), shop.at("a")) == (20, None)


def test_nothing_is_taken_over_from_a_group_that_is_in_use(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provision, "GROUP_EMPTY_SECONDS", 0.5)
    shop.start("a", "b")
    shop.reads_to(90, "a")
    with (
        member(shop.brokers, shop.of("b"), shop.topic),
        pytest.raises(ServiceError, match=rf"somebody reads with the consumer group {shop.of('b')}"),
    ):
        shop.start("a", "b", fan_out="together")
    assert (shop.at("a"), shop.at("b")) == (90, 0), "nothing was deleted"
    eventually(lambda: _no_members(shop, "b"), "the member has left")
    shop.start("a", "b", fan_out="together")
    assert shop.at() == 0
    shop.reads_to(30)
    with (
        member(shop.brokers, shop.group, shop.topic),
        pytest.raises(ServiceError, match=rf"somebody reads with the consumer group {shop.group},"),
    ):
        shop.start("a", "b")
    assert shop.at("a") is None


def test_a_sink_whose_group_kafka_forgot_counts_as_ddpm_remembers_it(shop: Shop) -> None:
    shop.start("a", "b")
    shop.reads_to(90, "a")
    shop.reads_to(30, "b")
    shop.start("a", "b")
    shop.loses("b")
    shop.start("a", "b", fan_out="together")
    assert shop.at() == 30


def test_all_groups_are_forgotten_and_nothing_is_skipped(shop: Shop) -> None:
    shop.start("a", "b", kafka={"start_from": "latest"})
    shop.reads_to(90, "a")
    shop.reads_to(30, "b")
    shop.start("a", "b", kafka={"start_from": "latest"})
    shop.loses("", "a", "b")
    shop.start("a", "b", fan_out="together", kafka={"start_from": "latest"})
    assert shop.at() == 30


@pytest.mark.parametrize("start_from", ["earliest", "latest"])
def test_a_sink_that_was_never_prepared_begins_where_the_others_began(shop: Shop, start_from: str) -> None:
    kafka = {"start_from": start_from}
    begun = {"earliest": 0, "latest": 100}[start_from]
    shop.start("a", "b", only=["a"], kafka=kafka)
    shop.grow(50)
    shop.reads_to(150, "a")
    assert (shop.at("a"), shop.at("b")) == (150, None)
    shop.start("a", "b", kafka=kafka)
    assert shop.at("b") == begun


@pytest.mark.parametrize("start_from", ["earliest", "latest"])
def test_it_counts_as_standing_there_when_all_are_put_together(shop: Shop, start_from: str) -> None:
    kafka = {"start_from": start_from}
    shop.start("a", "b", only=["a"], kafka=kafka)
    shop.grow(50)
    shop.reads_to(150, "a")
    shop.start("a", "b", fan_out="together", kafka=kafka)
    assert shop.at() == {"earliest": 0, "latest": 100}[start_from]


def test_a_sink_that_is_added_begins_where_start_from_says(shop: Shop) -> None:
    shop.start("a", "b", kafka={"start_from": "latest"})
    shop.grow(50)
    shop.start("a", "b", "c", kafka={"start_from": "latest"})
    assert (shop.at("a"), shop.at("b"), shop.at("c")) == (100, 100, 150)
    shop.reads_to(120, "a")
    shop.reads_to(130, "b")
    shop.start("a", "b", "c", fan_out="together", kafka={"start_from": "latest"})
    assert shop.at() == 120


def test_a_sink_that_was_taken_out_goes_on_where_it_was(shop: Shop) -> None:
    shop.start("a", "b")
    shop.reads_to(30, "a")
    shop.reads_to(90, "b")
    shop.start("b")
    assert (shop.at(), shop.at("a"), shop.at("b")) == (90, 30, None)
    shop.start("a", "b")
    assert (shop.at("a"), shop.at("b")) == (30, 90)


def test_a_sink_that_replaces_others_goes_on_where_the_last_of_them_was(shop: Shop) -> None:
    shop.start("a", "b", kafka={"start_from": "latest"})
    shop.reads_to(30, "a")
    shop.reads_to(60, "b")
    shop.start("c", kafka={"start_from": "latest"})
    assert shop.at() == 30


def test_a_group_of_another_program_is_left_alone(shop: Shop) -> None:
    place = {Partition(shop.topic, 0): 77}
    assert offsets.commit(shop.brokers, shop.of("b"), place, metadata="")
    shop.start("a", "b", fan_out="together")
    shop.reads_to(5)
    shop.start("a", "b", fan_out="together")
    assert (shop.at(), shop.at("b")) == (5, 77)
    with pytest.raises(ConfigError, match=f"{shop.of('b')}, in which another program has committed") as refused:
        shop.start("a", "b")
    assert "another `name`" in str(refused.value.hint)
    assert shop.at("b") == 77


def test_a_reset_before_the_start_is_kept(shop: Shop) -> None:
    shop.start("a", "b", fan_out="together")
    shop.reads_to(40)
    # `ddpm offsets reset orders.b` with the edited file.
    offsets.move(shop.brokers, shop.of("b"), {Partition(shop.topic, 0): 3}, metadata=shop.note("b"))
    shop.start("a", "b")
    assert (shop.at("a"), shop.at("b")) == (40, 3)
    shop.reads_to(60, "a")
    offsets.move(shop.brokers, shop.group, {Partition(shop.topic, 0): 2})
    shop.start("a", "b", fan_out="together")
    assert (shop.at(), shop.at("a")) == (2, None)


def test_resetting_one_partition_leaves_the_others_where_they_were(shop: Shop) -> None:
    ensure_topics(shop.brokers, [TopicSpec(shop.topic, 2)])
    shop.start("a", "b", fan_out="together")
    places = {Partition(shop.topic, 0): 40, Partition(shop.topic, 1): 0}
    assert offsets.commit(shop.brokers, shop.group, places)
    offsets.move(shop.brokers, shop.of("b"), {Partition(shop.topic, 1): 0}, metadata=shop.note("b"))
    shop.start("a", "b")
    assert (shop.at("a"), shop.at("b")) == (40, 40)


def test_only_a_run_takes_over(shop: Shop) -> None:
    shop.start("a", "b", fan_out="together")
    shop.reads_to(40)
    shop.start("a", "b", runs=False)
    assert (shop.at(), shop.at("a")) == (40, None)
    shop.start("a", "b")
    shop.reads_to(60, "a")
    shop.start("a", "b", fan_out="together", runs=False)
    assert (shop.at(), shop.at("a"), shop.at("b")) == (40, 60, 40)


def test_a_topic_that_was_made_again_is_read_from_its_beginning(shop: Shop) -> None:
    shop.start("a", "b", only=["a"], kafka={"start_from": "latest"})
    with admin(shop.brokers) as client:
        client.delete_topics([shop.topic])
    eventually(lambda: _made_again(shop), "the topic is there again")
    shop.start("a", "b", only=["b"], kafka={"start_from": "latest"})
    assert shop.at("b") == 0


def test_an_engine_of_others_takes_over_unless_it_reads_already(shop: Shop) -> None:
    external: dict[str, Any] = {"engine": {"launcher": "external", "url": "http://127.0.0.1:1"}}
    shop.start("a", "b")
    shop.reads_to(30, "a")
    shop.reads_to(20, "b")
    with member(shop.brokers, shop.group, shop.topic):
        said, _ = shop.start("a", "b", **external)
        assert "an engine reads with it already: end that engine, start ddpm, and then the engine" in said
    eventually(lambda: _no_members(shop), "the member has left")
    assert shop.start("a", "b", **external) == []
    assert shop.at() == 20


def test_another_ddpm_without_this_ones_memory_takes_over_as_well(shop: Shop) -> None:
    shop.start("a", "b")
    shop.reads_to(70, "a")
    shop.reads_to(50, "b")
    for each in ("orders", "orders.a", "orders.b"):
        progress_file(each).forget()
    shop.start("a", "b", fan_out="together")
    assert (shop.at(), shop.at("a"), shop.at("b")) == (50, None, None)


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("start_from", ["earliest", "latest"])
def test_a_sink_that_was_added_begins_there_also_when_it_was_killed_before_it_read(
    shop: Shop, start_from: str, runs: bool
) -> None:
    kafka = {"start_from": start_from}
    shop.start("a", "b", fan_out="together", kafka=kafka)
    shop.reads_to(40)
    shop.start("a", "b", kafka=kafka)
    # As `ddpm provision` does before ddpm runs, or a ddpm that is killed.
    shop.start("a", "b", "c", runs=runs, kafka=kafka)
    shop.start("a", "b", "c", kafka=kafka)
    assert shop.at("c") == {"earliest": 0, "latest": 100}[start_from]
    shop.start("a", "b", "c", fan_out="together", kafka=kafka)
    assert shop.at() == {"earliest": 0, "latest": 40}[start_from]


def test_one_that_is_killed_before_it_is_in_the_list_begins_where_it_began(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = {"start_from": "latest"}
    shop.start("a", "b", kafka=kafka)
    shop.grow(50)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(provision, "enlist", dies)
        shop.start("a", "b", "c", only=["c"], kafka=kafka)
    shop.grow(50)
    shop.start("a", "b", "c", kafka=kafka)
    assert shop.at("c") == 150


def test_a_partition_that_was_added_is_read_from_its_beginning(shop: Shop) -> None:
    kafka = {"start_from": "latest"}
    shop.start("a", "b", fan_out="together", kafka=kafka)
    shop.reads_to(100)
    shop.add_partition()
    shop.start("a", "b", kafka=kafka)
    assert (shop.at("a", 1), shop.at("b", 1)) == (0, 0)


def test_one_that_was_added_while_a_sink_was_away_too(shop: Shop) -> None:
    kafka = {"start_from": "latest"}
    shop.start("a", "b", only=["a"], kafka=kafka)
    shop.add_partition()
    shop.start("a", "b", only=["a"], kafka=kafka)
    assert offsets.commit(shop.brokers, shop.of("a"), {Partition(shop.topic, 1): 20}, metadata=shop.note("a"))
    shop.start("a", "b", fan_out="together", kafka=kafka)
    assert (shop.at(), shop.at("", 1)) == (100, 0)


def test_a_list_that_kafka_forgot_is_remembered(shop: Shop) -> None:
    kafka = {"start_from": "latest"}
    shop.start("a", "b", only=["a"], kafka=kafka)
    shop.grow(50)
    shop.reads_to(150, "a")
    # Nobody reads with it while sinks are run by themselves.
    shop.loses("")
    shop.start("a", "b", "c", only=["a", "c"], kafka=kafka)
    assert shop.at("c") == 150, "it is new, and b is not"
    shop.loses("")
    shop.start("a", "b", fan_out="together", kafka=kafka)
    assert shop.at() == 100


def test_the_list_is_renewed_at_each_start(shop: Shop) -> None:
    shop.start("a", "b", only=["a"])
    shop.loses("")
    shop.start("a", "b", only=["a"])
    progress_file("orders").forget()
    shop.reads_to(70, "a")
    shop.start("a", "b", fan_out="together")
    assert shop.at() == 0


def test_a_group_that_may_not_be_asked_for_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.start("a", "b")
    shop.reads_to(90, "a")
    shop.reads_to(80, "b")
    asked = offsets.committed_by

    def refuses(brokers: list[str], groups: list[str], topics: list[str]) -> Any:
        return {group: each for group, each in asked(brokers, groups, topics).items() if group != shop.of("a")}

    with monkeypatch.context() as patched, pytest.raises(ServiceError, match=shop.of("a")) as refused:
        patched.setattr(handover, "committed_by", refuses)
        shop.start("a", "b", fan_out="together")
    assert "Describe and Read" in str(refused.value.hint)
    assert (shop.at("a"), shop.at("b")) == (90, 80)


@pytest.mark.parametrize("sinks", [("a",), ("a", "b")])
def test_a_pipeline_of_another_ddpm_with_such_a_group_is_left_alone(shop: Shop, sinks: tuple[str, ...]) -> None:
    place = {Partition(shop.topic, 0): 77}
    # It signs as every ddpm does.
    assert offsets.commit(shop.brokers, shop.of("a"), place)
    shop.start(*sinks, fan_out="together")
    assert (shop.at(), shop.at("a")) == (None, 77)


def test_what_could_not_be_deleted_is_no_place_when_sinks_are_put_apart_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.start("a", "b")
    shop.reads_to(60, "a")
    shop.reads_to(10, "b")
    monkeypatch.setattr(handover, "delete_groups", lambda _, groups: dict.fromkeys(groups, "GroupAuthorizationFailed"))
    shop.start("a", "b", fan_out="together")
    shop.reads_to(95)
    assert len(shop.start("a", "b", fan_out="together")) == 2
    assert shop.at() == 95
    shop.start("a", "b")
    assert (shop.at("a"), shop.at("b")) == (95, 95)


@pytest.mark.parametrize("start_from", ["earliest", "latest"])
def test_several_that_replace_all_begin_where_start_from_says(shop: Shop, start_from: str) -> None:
    kafka = {"start_from": start_from}
    shop.start("a", "b", kafka=kafka)
    shop.reads_to(100, "a")
    shop.reads_to(100, "b")
    shop.grow(50)
    shop.start("c", "d", kafka=kafka)
    assert shop.at("c") == shop.at("d") == {"earliest": 0, "latest": 150}[start_from]


def test_what_is_remembered_of_a_topic_of_that_name_before_does_not_count(shop: Shop) -> None:
    shop.start("a", "b", fan_out="together")
    shop.reads_to(40)
    shop.start("a", "b", fan_out="together")
    file = progress_file("orders")
    known = file.load()
    assert known is not None
    before = replace(known.topics[shop.topic], topic_id="of-before", marks={0: (Mark(10, 12345, 0, 0.0),)})
    file.save(known.with_topics({shop.topic: before}))
    assert shop.start("a", "b") == [], "its log is no other one of this topic"
    assert (shop.at("a"), shop.at("b")) == (40, 40)


def test_the_marks_of_a_log_go_along(shop: Shop) -> None:
    shop.start("a", "b", fan_out="together")
    shop.reads_to(40)
    shop.start("a", "b", fan_out="together")
    file = progress_file("orders")
    known = file.load()
    assert known is not None
    # A log that has another record at this offset is another log.
    other = replace(known.topics[shop.topic], marks={0: (Mark(10, 12345, 0, 0.0),)})
    file.save(known.with_topics({shop.topic: other}))
    assert any("Kafka has another log than before" in said for said in shop.start("a", "b"))


def test_two_that_put_sinks_together_at_once_agree(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.start("a", "b")
    shop.reads_to(90, "a")
    shop.reads_to(80, "b")
    waited = handover._await_empty
    others: list[Thread] = []

    def meanwhile(*given: Any) -> None:
        waited(*given)
        if not others:
            # The other ddpm, from its beginning to its end; its engine has not joined yet.
            others.append(Thread(target=shop.start, args=("a", "b"), kwargs={"fan_out": "together"}))
            others[0].start()
            others[0].join()

    monkeypatch.setattr(handover, "_await_empty", meanwhile)
    shop.start("a", "b", fan_out="together")
    assert shop.at() == 80


def _made_again(shop: Shop) -> bool:
    try:
        ensure_topics(shop.brokers, [TopicSpec(shop.topic, 1)])
    except ServiceError:
        return False
    return True


def _no_members(shop: Shop, sink: str = "") -> bool:
    return not members(shop.brokers, shop.of(sink))
