"""Clients that keep the server waiting, and bodies that are too long, on the real server."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from fastapi import Response

from ddpm.server import api, connections
from ddpm.server.app import create
from ddpm.server.guard import MOST_OF_BODY, AccessPolicy
from ddpm.server.serve import listen, serving
from harness.waiting import eventually
from unit.server.pictures import ORDERS, FakeSupervisor, sources

TOKEN = "a-token-of-sixteen"
PAUSE = b"POST /v1/pipelines/orders/pause HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
LARGE = 40_000_000


@contextmanager
def server(policy: AccessPolicy | None = None) -> Iterator[str]:
    app = create(sources(FakeSupervisor(ORDERS)), tuple, policy or AccessPolicy())

    @app.get("/large")
    def large() -> Response:
        return Response(b"x" * LARGE)

    with serving(app, listen("127.0.0.1", 0), threading.Event()) as url:
        yield url


def opened(url: str, sent: bytes) -> socket.socket:
    parts = urlsplit(url)
    made = socket.create_connection((parts.hostname, parts.port), timeout=20)
    made.sendall(sent)
    return made


def closed(connection: socket.socket) -> bool:
    """Whether the server has closed it, after reading what came."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def healthy(url: str) -> bool:
    return httpx.get(f"{url}/health", trust_env=False, timeout=5).status_code == httpx.codes.OK


def test_small_answers_are_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    undelayed: list[int] = []

    real = connections.protocol

    def observed(most: int, certificates: Any) -> Any:
        made = real(most, certificates)
        begin = made.connection_made

        def connection_made(self: Any, transport: Any) -> None:
            accepted = transport.get_extra_info("socket")
            undelayed.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            begin(self, transport)

        monkeypatch.setattr(made, "connection_made", connection_made)
        return made

    monkeypatch.setattr("ddpm.server.serve.protocol", observed)
    with server() as url:
        assert healthy(url)
    assert undelayed == [1]


@pytest.mark.parametrize("sent", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_many_half_requests_leave_the_server_open_for_others(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr("ddpm.server.serve.most_connections", lambda: 16)
    with server() as url, ExitStack() as stack:
        half = [stack.enter_context(opened(url, sent)) for _ in range(100)]
        assert healthy(url)
        assert all(closed(each) for each in half[:80])


@pytest.mark.parametrize(
    ("limit", "sent"),
    [
        ("HEADER_SECONDS", b"GET /health HT"),
        ("HEADER_SECONDS", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea"),
        ("BODY_SECONDS", PAUSE + b'Content-Length: 50\r\n\r\n{"a'),
        ("BODY_SECONDS", PAUSE + b'Transfer-Encoding: chunked\r\n\r\n3\r\n{"a'),
        ("READER_SECONDS", b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ],
)
def test_a_client_that_keeps_it_waiting_is_let_go(monkeypatch: pytest.MonkeyPatch, limit: str, sent: bytes) -> None:
    let_go = threading.Event()
    drop = connections._Limited.drop

    def dropped(self: connections._Limited) -> None:
        let_go.set()
        drop(self)

    monkeypatch.setattr(connections._Limited, "drop", dropped)
    monkeypatch.setattr(connections, limit, 0.2)
    with server() as url, opened(url, sent) as connection:
        assert let_go.wait(20)
        assert closed(connection)
        assert healthy(url)


def test_what_a_slow_client_sends_in_between_does_not_prolong_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    with server() as url, opened(url, b"GET /health HTTP/1.1\r\n") as connection:

        def send() -> bool:
            try:
                connection.sendall(b"X: y\r\n")
            except OSError:
                return True
            return False

        eventually(send, "it is closed", 10)


def test_an_answer_that_is_read_slowly_but_read_is_sent_whole() -> None:
    with server() as url, httpx.stream("GET", f"{url}/large", trust_env=False, timeout=20) as answer:
        assert sum(map(len, answer.iter_bytes())) == LARGE


def test_connections_are_a_part_of_the_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_limit(soft: int) -> int:
        monkeypatch.setattr("resource.getrlimit", lambda _: (soft, soft))
        return connections.most_connections()

    assert [with_limit(soft) for soft in (-1, 1024, 400, 20)] == [256, 256, 100, 16]


def test_streams_are_limited_and_a_closed_one_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "MOST_STREAMS", 2)
    with server() as url:

        def status() -> int:
            with httpx.stream("GET", f"{url}/v1/events", trust_env=False, timeout=10) as stream:
                return stream.status_code

        with ExitStack() as stack:
            for path in ("events", "logs/stream"):
                stream = opened(url, f"GET /v1/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                assert stack.enter_context(stream).recv(12) == b"HTTP/1.1 200"
            assert status() == 503, "the third is refused"
            assert healthy(url)
        eventually(lambda: status() == 200, "there is room again")


def chunks() -> Iterator[bytes]:
    for _ in range(2 * MOST_OF_BODY // 65_536):
        yield b" " * 65_536


@pytest.mark.parametrize(("token", "status"), [(None, 413), (TOKEN, 413), ("wrong", 401)])
def test_a_long_body_is_refused_before_it_is_read(token: str | None, status: int) -> None:
    door = AccessPolicy(TOKEN if token else None)
    sent = (
        PAUSE + (f"Authorization: Bearer {token}\r\n".encode() if token else b"") + b"Content-Length: 300000000\r\n\r\n"
    )
    with server(door) as url, opened(url, sent) as connection:
        # Nothing of the body was sent.
        assert connection.recv(20).startswith(f"HTTP/1.1 {status}".encode())
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        answer = httpx.post(f"{url}/v1/pipelines/orders/pause", content=chunks(), headers=headers, trust_env=False)
        assert answer.status_code == status
        assert "message" in answer.json()["error"]


@pytest.mark.parametrize("made", [lambda: b"{}", lambda: iter([b"{", b"}"])])
def test_a_body_of_any_framing_arrives(made: Callable[[], bytes | Iterator[bytes]]) -> None:
    with server() as url:
        headers = {"Content-Type": "application/json"}
        answer = httpx.post(f"{url}/v1/pipelines/orders/pause", content=made(), headers=headers, trust_env=False)
        assert answer.status_code == 202
