import socket
import threading
import time

import pytest

from ddpm.broker.watch import ClusterWatch, Group
from ddpm.errors import ServiceError

GROUPS = {"pipeline": Group("group", ("topic",))}


def failure(watch: ClusterWatch) -> str:
    with pytest.raises(ServiceError) as caught:
        watch.look()
    return caught.value.message


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    watch = ClusterWatch([f"127.0.0.1:{port}"], GROUPS, timeout=1.0)
    assert failure(watch) == f"the Kafka broker cannot be reached: 127.0.0.1:{port}: connection refused"


def test_what_does_not_answer_is_noticed_in_time_every_time_and_leaves_nothing_behind() -> None:
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        watch = ClusterWatch([address], GROUPS, timeout=0.5)
        for _ in range(3):
            begun = time.monotonic()
            assert address in failure(watch)
            assert time.monotonic() - begun < 1.5
    assert set(threading.enumerate()) <= before


def test_closing_what_was_never_opened_is_no_error() -> None:
    ClusterWatch(["127.0.0.1:1"], GROUPS).close()
