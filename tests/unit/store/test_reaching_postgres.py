import socket
import time
import traceback

import pytest

from ddpm.errors import ConfigError, DdpmError, ServiceError
from ddpm.store.connection import reachable, where

SECRET = "s3cr%C3%A9t-word"


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def failure(url: str, timeout: float = 2.0) -> DdpmError:
    with pytest.raises(DdpmError) as caught:
        reachable(url, timeout)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert "s3crét-word" not in shown
    return caught.value


def test_nobody_listens(closed_port: int) -> None:
    error = failure(f"postgresql://user:{SECRET}@127.0.0.1:{closed_port}/db")
    assert isinstance(error, ServiceError)
    assert error.message == f"Postgres at 127.0.0.1:{closed_port}/db cannot be reached: Connection refused"
    assert "app.postgres.url" in str(error)


def test_a_host_that_nobody_knows() -> None:
    error = failure(f"postgresql://user:{SECRET}@no-such-host.invalid:5432/db")
    assert isinstance(error, ServiceError)
    assert "no-such-host.invalid" in error.message


def test_something_that_is_silent_is_given_up_in_time() -> None:
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server:
        error = failure(f"postgresql://user:{SECRET}@127.0.0.1:{server.getsockname()[1]}/db", 2.0)
    assert isinstance(error, ServiceError)
    assert time.monotonic() - started < 6


@pytest.mark.parametrize("tail", ["db?sslmode=nonsense", "db?no_such_option=1", "db?connect_timeout=soon"])
def test_a_url_that_makes_no_sense_is_a_mistake_of_the_configuration(tail: str) -> None:
    assert isinstance(failure(f"postgresql://user:{SECRET}@127.0.0.1:1/{tail}"), ConfigError)


def test_a_password_that_cannot_be_decoded_is_not_quoted() -> None:
    error = failure("postgresql://user:hush%zzhush@127.0.0.1:1/db")
    assert isinstance(error, ConfigError)
    assert "hush" not in "".join(traceback.format_exception(error))


def test_a_database_is_named_without_user_and_password() -> None:
    assert where(f"postgresql://user:{SECRET}@db.example:6432/orders?sslmode=disable") == "db.example:6432/orders"
