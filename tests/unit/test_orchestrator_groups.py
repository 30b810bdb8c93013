"""What a running ddpm does about its group: partitions that are added, offsets that disappear."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ddpm.broker.marks import Mark, Marks
from ddpm.broker.offsets import Partition
from ddpm.broker.watch import PartitionLag, Topic
from ddpm.components.registry import pipeline_type
from ddpm.orchestrator.provisioning.progress import Progress, ProgressFile, TopicProgress
from ddpm.orchestrator.provisioning.provision import Provisioned
from ddpm.orchestrator.run import groups
from ddpm.orchestrator.run.groups import GroupWatch
from ddpm.orchestrator.run.topic_recreation import TopicRecreation


class Told:
    """A supervisor that writes down what it is told."""

    def __init__(self) -> None:
        self.alarms: list[str] = []
        self.restarts: list[tuple[str, str]] = []
        self.mentions: list[tuple[str, str]] = []

    def alarm(self, name: str, message: str) -> None:
        del name
        self.alarms.append(message)

    def restart(self, name: str, reason: str, kind: str) -> None:
        del name
        self.restarts.append((reason, kind))

    def mention(self, name: str, message: str, kind: str) -> None:
        del name
        self.mentions.append((message, kind))


class Renewed:
    """A renewal that writes down what it is told."""

    busy = False

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.places: list[Mapping[Partition, int]] = []

    def parted(self, places: Mapping[Partition, int]) -> None:
        self.places.append(places)


class Bench:
    """A group watch between a pretended broker and a pretended supervisor."""

    def __init__(self, file: ProgressFile, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told, self.file, self.committed, self.members = Told(), file, dict[Partition, int](), False
        self.connected, self.end = 1, 100
        self.now, self.seconds_a_mark = 0.0, 0.0
        self.marked: list[tuple[Partition, int, int]] = []
        self.renewal = Renewed()
        self.other_log: dict[Partition, int] = {}
        monkeypatch.setattr(groups, "commit", self.commit)
        kafka = {"brokers": ["b:1"], "topics": ["a"], "consumer_group": "g"}
        pipeline = pipeline_type().model_validate({"name": "p", "kafka": kafka, "sinks": ["stdout"]})
        watched: Any = self.told
        self.watch = GroupWatch(pipeline, watched, self, self.renewal, file=file, clock=lambda: self.now)

    # --- what looks into logs, and who begins again

    def mark(self, partition: Partition, first: int, end: int) -> Marks:
        self.marked.append((partition, first, end))
        self.now += self.seconds_a_mark
        return Mark(first, 7, 1, 0.0), Mark(end - 1, 7, 1, 0.0)

    def parted(self, partition: Partition, marks: Marks) -> int | None:
        del marks
        return self.other_log.get(partition)

    def commit(
        self, brokers: Sequence[str], group: str, offsets: Mapping[Partition, int], timeout: float, metadata: str
    ) -> tuple[Partition, ...]:
        del brokers, group, timeout
        assert metadata == "ddpm", "by it the group is known as ddpm's own"
        if self.members:
            return ()
        self.committed |= offsets
        return tuple(offsets)

    @property
    def kept(self) -> Mapping[int, int]:
        """What is remembered to be committed."""
        progress = self.file.load()
        assert progress is not None
        return progress.topics["a"].committed

    def look(self, *committed: int | None, topic_id: str = "1") -> None:
        lags = [PartitionLag("a", number, at, 0, self.end, 0) for number, at in enumerate(committed)]
        self.watch.seen(lags, {"a": Topic(dict.fromkeys(range(len(committed)), 1), None, topic_id)})


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(ProgressFile(tmp_path / "p.json"), monkeypatch)


def test_a_file_that_takes_long_to_write_is_written_less_often_and_at_the_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = bench.file.save

    def slowly(progress: Progress) -> None:
        write(progress)
        bench.now += 0.1

    monkeypatch.setattr(bench.file, "save", slowly)
    bench.look(10, 20)
    bench.now += 3
    bench.look(11, 20)
    assert bench.kept == {0: 10, 1: 20}
    bench.now += 3
    bench.look(11, 20)
    assert bench.kept == {0: 11, 1: 20}, "what was not written is written later, though nothing has changed since"
    bench.look(12, 20)
    assert bench.kept == {0: 11, 1: 20}
    bench.watch.save()
    assert bench.kept == {0: 12, 1: 20}
    bench.now += 60
    monkeypatch.setattr(bench.file, "save", lambda _: pytest.fail("nothing is new"))
    bench.watch.save()


def test_a_file_is_never_left_unwritten_for_long(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    write = bench.file.save

    def slowly(progress: Progress) -> None:
        write(progress)
        bench.now += 10

    monkeypatch.setattr(bench.file, "save", slowly)
    bench.look(10)
    bench.now += 29
    bench.look(11)
    assert bench.kept == {0: 10}
    bench.now += 1
    bench.look(11)
    assert bench.kept == {0: 11}


def test_what_is_committed_is_kept_and_set_again_when_it_disappears(bench: Bench) -> None:
    bench.look(10, 20)
    assert bench.kept == {0: 10, 1: 20}
    bench.look(11, None)
    assert bench.committed == {Partition("a", 1): 20}
    (alarm,) = bench.told.alarms
    assert "the consumer group g" in alarm
    assert "a/1: 20" in alarm


def test_a_group_with_members_is_left_alone(bench: Bench) -> None:
    bench.look(10, 20)
    bench.members = True
    bench.look(10, None)
    assert not bench.told.alarms
    assert bench.kept == {0: 10, 1: 20}


def test_offsets_of_a_topic_of_before_are_not_set_for_the_one_that_was_made_again(bench: Bench) -> None:
    bench.look(10, 20)
    bench.look(None, None, topic_id="2")
    assert not bench.committed
    assert not bench.told.alarms


def test_an_offset_that_was_moved_back_is_believed(bench: Bench) -> None:
    bench.look(10, 20)
    bench.look(3, 20)
    assert bench.kept == {0: 3, 1: 20}


def test_partitions_that_are_added_are_told_once(bench: Bench) -> None:
    bench.look(10)
    bench.look(10, None, None)
    bench.look(10, None, None)
    assert bench.told.mentions == [
        ("partitions were added to a (1 to 3): they are read from their beginning", "partition")
    ]
    assert not bench.told.restarts


def test_partitions_that_cannot_be_looked_at_for_a_while_hold_up_no_other_and_are_none_that_are_added(
    bench: Bench,
) -> None:
    bench.look(10, 20)
    bench.look(10, 20)
    # Behind a new connection all are in doubt, and then the leader of the second one ends.
    bench.connected += 1
    bench.other_log = {Partition("a", 1): 5}
    bench.look(11, 20)
    bench.look(12)
    bench.watch.save()
    assert bench.kept == {0: 12, 1: 20}
    bench.other_log = {}
    bench.look(13, 21)
    bench.watch.save()
    assert bench.kept == {0: 13, 1: 21}
    assert (bench.told.mentions, bench.told.restarts, bench.renewal.places) == ([], [], [])


def test_behind_a_new_connection_the_log_is_looked_at_before_anything_is_believed(bench: Bench) -> None:
    bench.look(50, 60)
    bench.connected += 1
    bench.other_log = {Partition("a", 1): 42}
    bench.look(50, 30)
    assert not bench.renewal.places, "a new leader may not know yet how far its log goes"
    bench.look(50, 30)
    assert bench.renewal.places == [{Partition("a", 1): 42}]
    assert bench.kept == {0: 50, 1: 60}


def test_a_log_that_ends_before_what_was_seen_of_it_is_looked_at(bench: Bench) -> None:
    bench.look(50, 60)
    bench.end, bench.other_log = 80, {Partition("a", 0): 80, Partition("a", 1): 70}
    bench.look(50, 60)
    bench.look(50, 60)
    assert bench.renewal.places == [{Partition("a", 0): 80, Partition("a", 1): 70}]


def test_a_log_is_marked_again_only_when_it_has_grown(bench: Bench) -> None:
    bench.look(50)
    bench.look(60)
    assert bench.marked == [(Partition("a", 0), 0, 100)]
    bench.end = 200
    bench.look(60)
    assert bench.marked[1:] == [(Partition("a", 0), 100, 200)]


def test_logs_that_take_long_to_look_into_are_marked_less_often_and_once_more_at_the_end(bench: Bench) -> None:
    bench.seconds_a_mark = 0.2
    bench.look(60)
    for second in range(3, 10):
        bench.now, bench.end = float(second), bench.end + 50
        bench.look(60)
    assert len(bench.marked) == 1
    bench.now = 10.5
    bench.look(60)
    assert len(bench.marked) == 2
    lag = PartitionLag("a", 0, 70, 0, bench.end + 1, 0)
    bench.watch.last_look([lag], {"a": Topic({0: 1}, None, "1")})
    assert len(bench.marked) == 3
    assert bench.kept == {0: 70}


def test_partitions_that_were_added_before_the_first_look_count_too(bench: Bench) -> None:
    bench.renewal.counts["a"] = 1
    bench.look(10, None)
    assert [message for message, _ in bench.told.mentions] == [
        "partitions were added to a (1 to 2): they are read from their beginning"
    ]


def test_a_topic_that_is_not_read_at_present_is_not_forgotten(bench: Bench) -> None:
    before = TopicProgress("9", {0: 5})
    bench.file.save(Progress("g", {"b": before}))
    bench.look(10)
    progress = bench.file.load()
    assert progress is not None
    assert progress.topics["b"] == before
    assert bench.kept == {0: 10}


def test_a_topic_made_again_while_many_of_its_logs_are_in_doubt_is_followed(bench: Bench) -> None:
    partitions = [50] * 12
    bench.look(*partitions)
    bench.look(*partitions)
    bench.connected += 1
    bench.look(*partitions)
    bench.look(*partitions, topic_id="2")
    assert bench.kept == dict.fromkeys(range(12), 50)


def test_partitions_of_a_topic_that_was_made_again_are_no_reason_to_start_once_more(bench: Bench) -> None:
    bench.look(10)
    bench.renewal.busy = True
    bench.look(None, None, None, topic_id="2")
    bench.renewal.busy, bench.renewal.counts = False, {"a": 3}
    bench.look(None, None, None, topic_id="2")
    assert not bench.told.restarts


def test_another_log_under_an_engine_that_others_run_is_told_once() -> None:
    told = Told()
    kafka = {"brokers": ["b:1"], "topics": ["a"], "consumer_group": "g"}
    engine = {"launcher": "external", "url": "http://127.0.0.1:4195"}
    pipeline = pipeline_type().model_validate({"name": "p", "kafka": kafka, "sinks": ["stdout"], "engine": engine})
    supervisor: Any = told
    launchable: Any = None
    renewal = TopicRecreation(pipeline, supervisor, launchable, threading.Event())
    renewal.begin(Provisioned({}, 1))
    for _ in range(3):
        renewal.parted({Partition("a", 0): 42})
    (alarm,) = told.alarms
    assert "a/0 from offset 42" in alarm


def test_the_last_look_at_many_logs_delays_no_end_for_long(bench: Bench) -> None:
    bench.seconds_a_mark = 1.0
    lags = [PartitionLag("a", number, 10, 0, 100, 0) for number in range(50)]
    bench.watch.last_look(lags, {"a": Topic(dict.fromkeys(range(50), 1), None, "1")})
    assert 0 < len(bench.marked) < 10
    assert bench.kept == dict.fromkeys(range(50), 10)


def test_partitions_that_are_added_do_not_wait_for_logs_that_are_looked_at(bench: Bench) -> None:
    for _ in range(7):
        bench.look(*[10] * 50)
    bench.connected += 1
    bench.look(*[10] * 50, None)
    assert len(bench.told.mentions) == 1
