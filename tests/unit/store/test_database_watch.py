import socket
import threading
import time
import traceback
from collections.abc import Iterator

import pytest

from ddpm.errors import ServiceError
from ddpm.store.watch import DatabaseWatch

SECRET = "s3cret-word"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Something that accepts connections and never answers, as a frozen Postgres does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def failure(watch: DatabaseWatch) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        watch.look()
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return caught.value


def url(port: int) -> str:
    return f"postgresql://user:{SECRET}@127.0.0.1:{port}/db"


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    watch = DatabaseWatch(url(port), timeout=1.0)
    assert failure(watch).message == f"Postgres at 127.0.0.1:{port}/db cannot be reached: Connection refused"


def test_what_does_not_answer_is_noticed_in_time_every_time(silent_port: int) -> None:
    watch = DatabaseWatch(url(silent_port), timeout=0.5)
    for _ in range(3):
        begun = time.monotonic()
        assert failure(watch).message == f"Postgres at 127.0.0.1:{silent_port}/db has not answered for 0.5 s"
        assert time.monotonic() - begun < 1.5
    watch.close()


def test_attempts_that_hang_do_not_pile_up(silent_port: int) -> None:
    watch = DatabaseWatch(url(silent_port), timeout=0.1)
    before = set(threading.enumerate())
    for _ in range(10):
        failure(watch)
    assert len(set(threading.enumerate()) - before) <= 1
    watch.close()


def test_a_url_that_makes_no_sense_is_not_quoted() -> None:
    watch = DatabaseWatch(f"postgresql://user:{SECRET}@127.0.0.1:1/db?no_such_option=1", timeout=1.0)
    assert failure(watch).retryable


def test_closing_what_was_never_opened_is_no_error() -> None:
    DatabaseWatch(url(1)).close()
