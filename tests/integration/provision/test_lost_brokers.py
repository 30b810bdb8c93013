import gc
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ddpm.broker.connection import admin, kept_open
from ddpm.broker.offsets import watermarks
from ddpm.broker.produce import Record, producing
from ddpm.broker.topics import TopicSpec, ensure_topics
from ddpm.devstack import EmbeddedKafka
from ddpm.errors import ServiceError

# kafka-python does not close the socket of a connection that is refused; the garbage collector does.
leaves_a_socket = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def own_kafka(data_dir: Path, tag: str) -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(data_dir / f"kafka-{tag}") as server:
        yield server


@contextmanager
def renaming(target: str, before: bytes, after: bytes) -> Iterator[str]:
    """A relay to `target` on whose way back the broker calls itself differently."""
    host, _, port = target.rpartition(":")
    with socket.create_server(("127.0.0.1", 0)) as server:
        threads: list[threading.Thread] = []
        sockets: list[socket.socket] = []

        def start(job: threading.Thread) -> None:
            threads.append(job)
            job.start()

        def relay(source: socket.socket, sink: socket.socket, *, rename: bool) -> None:
            with suppress(OSError):
                while data := source.recv(65536):
                    sink.sendall(data.replace(before, after) if rename else data)
            # Wakes the thread of the other direction as well, which closing alone does not.
            for each in (source, sink):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    near, _ = server.accept()
                    far = socket.create_connection((host, int(port)))
                    sockets.extend((near, far))
                    start(threading.Thread(target=relay, args=(near, far), kwargs={"rename": False}))
                    start(threading.Thread(target=relay, args=(far, near), kwargs={"rename": True}))

        start(threading.Thread(target=serve))
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(10)
    for each in sockets:
        each.close()


def test_a_broker_that_answers_is_reachable(brokers: list[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        with admin(brokers):
            pass
        with admin(["127.0.0.1:1", *brokers]):
            pass
    assert not [record for record in caplog.records if record.name.startswith("kafka")]


@leaves_a_socket
@pytest.mark.usefixtures("collected")
def test_a_broker_that_calls_itself_by_an_unreachable_name_is_told(brokers: list[str]) -> None:
    with renaming(brokers[0], b"127.0.0.1", b"127.0.0.9") as address:
        with pytest.raises(ServiceError, match="gives addresses that cannot be reached") as caught:
            watermarks([address], ["any"], 5.0)
        own_name = brokers[0].replace("127.0.0.1", "127.0.0.9")
        assert f"{own_name}: connection refused" in caught.value.message


@leaves_a_socket
@pytest.mark.usefixtures("collected")
def test_records_that_a_dying_broker_did_not_take_are_never_called_delivered(own_kafka: EmbeddedKafka) -> None:
    brokers = [own_kafka.bootstrap]
    ensure_topics(brokers, [TopicSpec("t")])
    threads = set(threading.enumerate())
    with (
        pytest.raises(ServiceError, match="did not get into topic t") as caught,
        producing(brokers, "t", 3.0) as producer,
    ):
        for _ in range(100):
            producer.send(Record(b"before"))
        producer.flush()
        own_kafka.kill()
        for _ in range(100):
            producer.send(Record(b"after"))
    assert producer.delivered == 100
    assert "100 before it did" in caught.value.message
    assert set(threading.enumerate()) <= threads


def test_what_a_thread_asks_while_it_keeps_a_client_open_uses_that_one(brokers: list[str]) -> None:
    with kept_open(brokers):
        with admin(brokers) as first, admin(brokers) as second:
            assert first is second
        with admin(["127.0.0.1:1", *brokers]) as elsewhere:
            assert elsewhere is not first
        assert first.list_topics() is not None, "it stays open for the next one"
    with admin(brokers) as later:
        assert later is not first
