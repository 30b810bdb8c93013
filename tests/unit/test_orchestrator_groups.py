"""What a running ddpm does about its group: partitions that are added, offsets that disappear."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ddpm.broker.offsets import Partition
from ddpm.broker.watch import PartitionLag, Topic
from ddpm.config.model import Pipeline
from ddpm.orchestrator import groups
from ddpm.orchestrator.groups import GroupWatch
from ddpm.orchestrator.progress import Progress, ProgressFile, TopicProgress


class Told:
    """A supervisor that writes down what it is told."""

    def __init__(self) -> None:
        self.alarms: list[str] = []
        self.restarts: list[tuple[str, str]] = []

    def alarm(self, name: str, message: str) -> None:
        del name
        self.alarms.append(message)

    def restart(self, name: str, reason: str, kind: str) -> None:
        del name
        self.restarts.append((reason, kind))


class Bench:
    """A group watch between a pretended broker and a pretended supervisor."""

    def __init__(self, file: ProgressFile, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told, self.file, self.committed, self.members = Told(), file, dict[Partition, int](), False
        monkeypatch.setattr(groups, "commit", self.commit)
        kafka = {"brokers": ["b:1"], "topics": ["a"], "consumer_group": "g"}
        pipeline = Pipeline.model_validate({"name": "p", "kafka": kafka, "sinks": ["stdout"]})
        watched: Any = self.told
        self.watch = GroupWatch(pipeline, watched, file)

    def commit(
        self, brokers: Sequence[str], group: str, offsets: Mapping[Partition, int], timeout: float
    ) -> tuple[Partition, ...]:
        del brokers, group, timeout
        if self.members:
            return ()
        self.committed |= offsets
        return tuple(offsets)

    def look(self, *committed: int | None, topic_id: str = "1") -> None:
        lags = [PartitionLag("a", number, at, 0, 100, 0) for number, at in enumerate(committed)]
        self.watch.seen(lags, {"a": Topic(dict.fromkeys(range(len(committed)), 1), None, topic_id)})


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(ProgressFile(tmp_path / "p.json"), monkeypatch)


def test_what_is_committed_is_kept_and_set_again_when_it_disappears(bench: Bench) -> None:
    bench.look(10, 20)
    assert bench.file.load() == Progress("g", {"a": TopicProgress("1", {0: 10, 1: 20})})
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
    assert bench.file.load() == Progress("g", {"a": TopicProgress("1", {0: 10, 1: 20})})


def test_offsets_of_a_topic_of_before_are_not_set_for_the_one_that_was_made_again(bench: Bench) -> None:
    bench.look(10, 20)
    bench.look(None, None, topic_id="2")
    assert not bench.committed
    assert not bench.told.alarms


def test_an_offset_that_was_moved_back_is_believed(bench: Bench) -> None:
    bench.look(10, 20)
    bench.look(3, 20)
    assert bench.file.load() == Progress("g", {"a": TopicProgress("1", {0: 3, 1: 20})})


def test_engines_start_again_once_for_partitions_that_are_added(bench: Bench) -> None:
    bench.look(10)
    bench.look(10, None, None)
    bench.look(10, None, None)
    assert bench.told.restarts == [
        ("partitions were added to a (1 to 3): they are read from their beginning", "partition")
    ]
