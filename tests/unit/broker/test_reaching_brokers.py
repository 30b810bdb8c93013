import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kafka.errors import InvalidConfigurationError, KafkaError, TopicAuthorizationFailedError

from ddpm.broker.connection import admin, translate_errors
from ddpm.errors import DdpmError, ServiceError


@contextmanager
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed_port() -> str:
    with listening() as address:
        return address


def test_a_refused_connection_names_the_address_and_the_reason(closed_port: str) -> None:
    with pytest.raises(ServiceError) as caught, admin([closed_port], 2.0):
        pass
    assert caught.value.message == f"the Kafka broker cannot be reached: {closed_port}: connection refused"
    assert "app.kafka.brokers" in str(caught.value)
    assert caught.value.retryable


def test_every_address_is_named(closed_port: str) -> None:
    named = [closed_port, "no-such-host.invalid:9092", "x" * 70 + ":9092"]
    with pytest.raises(ServiceError) as caught, admin(named, 2.0):
        pass
    assert f"{closed_port}: connection refused; no-such-host.invalid:9092: name not known" in caught.value.message
    assert "not the name of a host" in caught.value.message


def test_something_that_is_no_broker_is_told_apart_within_the_time() -> None:
    before = set(threading.enumerate())
    started = time.monotonic()
    refused = pytest.raises(ServiceError, match="does not answer as a Kafka broker")
    with listening() as address, refused as caught, admin([address], 1.0):
        pass
    assert time.monotonic() - started < 5
    assert address in caught.value.message
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TopicAuthorizationFailedError("orders"), "does not allow this: TOPIC_AUTHORIZATION_FAILED: orders"),
        (InvalidConfigurationError("Request 'x' failed with response 'y'"), "answers: INVALID_CONFIG"),
        (KafkaError("odd"), "answers: odd"),
    ],
)
def test_no_error_of_the_library_gets_out(error: KafkaError, words: str) -> None:
    with pytest.raises(DdpmError) as caught, translate_errors(["broker:9092"]):
        raise error
    assert words in caught.value.message
    assert "broker:9092" in caught.value.message
    assert "Request '" not in caught.value.message
    assert caught.value.__cause__ is error
