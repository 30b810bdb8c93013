"""The embedded Kafka, as its clients and its owner see it."""

import socket
from pathlib import Path

import pytest

from ddpm.broker.dump import dump
from ddpm.broker.plan import TopicSpec
from ddpm.broker.produce import Record, produce
from ddpm.broker.topics import ensure_topics
from ddpm.devstack import EmbeddedKafka
from ddpm.devstack.kafka import answers, running_on
from ddpm.errors import MissingToolError, ServiceError
from harness.waiting import eventually

_HEADER_BEFORE_ATTRIBUTES = 21
_CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def test_data_survives_crash_stop_and_another_port(tmp_path: Path) -> None:
    kafka = EmbeddedKafka(tmp_path)
    with kafka:
        first = kafka.port
        ensure_topics([kafka.bootstrap], [TopicSpec("events")])
        produce([kafka.bootstrap], "events", [Record(value=b"one", partition=0)])
        before = kafka.pid
        kafka.restart(immediate=True)
        assert kafka.pid != before
        assert kafka.port == first
        produce([kafka.bootstrap], "events", [Record(value=b"two", partition=0)])
    assert running_on(tmp_path) == []

    with socket.create_server(("127.0.0.1", first)), EmbeddedKafka(tmp_path, first) as again:
        assert again.port != first
        assert [record.value for record in dump([again.bootstrap], ["events"])] == [b"one", b"two"]
        with pytest.raises(MissingToolError, match="is in use by pid"):
            EmbeddedKafka(tmp_path).start()


@pytest.mark.parametrize(("codec", "number"), _CODECS.items())
def test_broker_compresses_with_every_codec(kafka: EmbeddedKafka, codec: str, number: int) -> None:
    topic = f"compressed-{codec}"
    ensure_topics([kafka.bootstrap], [TopicSpec(topic, configs={"compression.type": codec})])
    assert produce([kafka.bootstrap], topic, [Record(value=b"x" * 10_000, partition=0)]) == 1
    segment = kafka.data_dir / "data" / f"{topic}-0" / f"{0:020}.log"
    # The lowest three bits of a batch's attributes name its codec; format: Kafka's message format, version 2.
    attributes = segment.read_bytes()[_HEADER_BEFORE_ATTRIBUTES : _HEADER_BEFORE_ATTRIBUTES + 2]
    assert int.from_bytes(attributes) & 0b111 == number


def test_topics_are_not_made_by_asking_for_them(kafka: EmbeddedKafka) -> None:
    with pytest.raises(ServiceError, match="there is no topic no-such-topic"):
        produce([kafka.bootstrap], "no-such-topic", [Record(value=b"x", partition=0)])


def test_suspended_broker_keeps_its_port_and_says_nothing(kafka: EmbeddedKafka) -> None:
    kafka.suspend()
    try:
        with socket.create_connection(("127.0.0.1", kafka.port), timeout=5):
            assert not answers(kafka.port)
    finally:
        kafka.resume()
    eventually(lambda: answers(kafka.port), "the broker answers again")


def test_broker_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path):
        pass
    meta = tmp_path / "data" / "meta.properties"
    meta.write_text(meta.read_text().replace("node.id=1", "node.id=7"))
    with pytest.raises(ServiceError) as error:
        EmbeddedKafka(tmp_path).start()
    assert "the embedded Kafka ended with exit code" in str(error.value)
    assert str(tmp_path / "kafka.log") in str(error.value)
    assert "node" in str(error.value)
    assert running_on(tmp_path) == []
