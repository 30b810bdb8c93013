"""What the engine's input reads, and up to where the group has come: transactions, gaps, partitions that are added."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from kafka import KafkaProducer

from ddpm.broker.offsets import Partition, committed, watermarks
from ddpm.broker.topics import TopicSpec, ensure_topics
from harness.process import Ddpm
from harness.process import ddpm as command
from harness.waiting import eventually
from harness.world import World, json_records

NUMBERED = {"columns": {"n": "integer"}}


class Writer:
    """Writes numbers into partition 0, within transactions."""

    def __init__(self, world: World, client: KafkaProducer) -> None:
        self._topic = world.topic
        self._client = client
        client.init_transactions()

    def write(self, *numbers: int) -> None:
        """Hand numbers to the broker."""
        for number in numbers:
            self._client.send(self._topic, b'{"n": %d}' % number, partition=0)
        self._client.flush()

    @contextmanager
    def transaction(self, *, commit: bool = True) -> Iterator[None]:
        """A transaction that ends with the block."""
        self._client.begin_transaction()
        yield
        if commit:
            self._client.commit_transaction()
        else:
            self._client.abort_transaction()


@pytest.fixture
def writer(world: World) -> Iterator[Writer]:
    world.create_topic()
    client = KafkaProducer(bootstrap_servers=[world.bootstrap], transactional_id=f"writer-{world.tag}")
    with closing(client):
        yield Writer(world, client)


def numbers(world: World) -> list[int]:
    return sorted(row["n"] for row in world.rows("n"))


def passed(world: World) -> bool:
    """Whether the group has committed everything that is in the log of partition 0, markers included."""
    place = Partition(world.topic, 0)
    reached = committed([world.bootstrap], world.group, [world.topic])[place]
    return reached == watermarks([world.bootstrap], [world.topic])[place].end


@pytest.mark.parametrize("level", ["read_committed", "read_uncommitted"])
def test_records_of_aborted_transactions_are_left_out(world: World, writer: Writer, tmp_path: Path, level: str) -> None:
    with Ddpm(world.config(postgres=NUMBERED, kafka={"isolation_level": level}), tmp_path) as running:
        with writer.transaction():
            writer.write(1, 2)
        with writer.transaction(commit=False):
            writer.write(100, 101)
        with writer.transaction():
            writer.write(3)
        with writer.transaction(commit=False):
            writer.write(102)
        eventually(lambda: passed(world), "the group comes to the end of the log, behind the last marker")
        running.wait_healthy()
        wanted = [1, 2, 3] if level == "read_committed" else [1, 2, 3, 100, 101, 102]
        assert numbers(world) == wanted
        assert running.stop() == 0
    assert world.dead() == []
    replayed = command("replay", "--config", str(tmp_path / "app-config.yaml"), "--from", "1h", "--yes", cwd=tmp_path)
    assert replayed.returncode == 0, replayed.stderr
    assert numbers(world) == wanted, "a replay reads what the pipeline reads"


def test_records_behind_an_open_transaction_wait_for_its_end(world: World, writer: Writer, tmp_path: Path) -> None:
    config = world.config(postgres=NUMBERED, engine={"binary": str(world.engine), "stall_timeout": "5s"})
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        world.produce(json_records([{"n": 1}], 1))
        eventually(lambda: numbers(world) == [1], "what stands before it is there")
        with writer.transaction():
            writer.write(2)
            world.produce(json_records([{"n": number} for number in range(3, 6)], 1))
            # A group that waits for a transaction is no stalled one: longer than that would take.
            with pytest.raises(AssertionError, match="rows come in"):
                eventually(lambda: len(numbers(world)) > 1, "rows come in", 12)
        eventually(lambda: numbers(world) == [1, 2, 3, 4, 5], "its end lets them in")
        assert "stalled" not in running.log
        assert running.stop() == 0


def test_partitions_that_are_added_are_read_by_the_same_engine(world: World, tmp_path: Path) -> None:
    world.create_topic()
    with Ddpm(world.config(postgres=NUMBERED), tmp_path) as running:
        running.wait_healthy()
        engine = running.engine_pid
        more = world.partitions + 3
        ensure_topics([world.bootstrap], [TopicSpec(world.topic, more)])
        world.produce(json_records([{"n": number} for number in range(more * 10)], more))
        eventually(lambda: numbers(world) == list(range(more * 10)), "all partitions are read")
        world.wait_consumed()
        assert running.engine_pid == engine
        eventually(lambda: "partitions were added" in running.log, "it is told")
        assert running.stop() == 0


def test_members_that_know_only_ranges_may_be_there_for_a_while(world: World, tmp_path: Path) -> None:
    world.create_topic()
    options = {"bootstrap.servers": world.bootstrap, "group.id": world.group, "enable.auto.commit": False}
    before = Consumer(options | {"partition.assignment.strategy": "range"})
    before.subscribe([world.topic])

    def parts() -> int:
        before.poll(0.1)
        return len(before.assignment())

    try:
        eventually(lambda: parts() == world.partitions, "the member of before reads all partitions")
        with Ddpm(world.config(postgres=NUMBERED), tmp_path) as running:
            eventually(lambda: 0 < parts() < world.partitions, "the engine has its share")
            world.produce(json_records([{"n": number} for number in range(30)], world.partitions))
            eventually(lambda: parts() and numbers(world), "the engine reads its share")
            before.close()
            eventually(lambda: numbers(world) == list(range(30)), "the engine reads what the other one left")
            assert running.stop() == 0
    finally:
        before.close()
