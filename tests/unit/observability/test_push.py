"""Pushing metrics to a server that speaks a PushGateway's protocol, and to none."""

import base64
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from structlog.testing import capture_logs

from ddpm.observability.push import push

PAGE = b"# TYPE ddpm_pipeline_up gauge\nddpm_pipeline_up 1\n"
PASSWORD = "s3cret/with@odd:signs"


@dataclass
class Gateway:
    """What it will answer, one after the other (the last one for good), and what it was sent."""

    answers: list[int]
    port: int = 0
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    state = Gateway([200])

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests.append((self.command, self.path, dict(self.headers), body))
            self.send_response(state.answers.pop(0) if len(state.answers) > 1 else state.answers[0])
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"well")

        def log_message(self, format: str, *args: object) -> None:
            """Keep standard error clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        server.shutdown()
        thread.join()


def test_the_page_replaces_its_group(gateway: Gateway) -> None:
    with capture_logs() as logs:
        push(f"{gateway.url}/behind/", PAGE, {"job": "nightly load", "instance": "a"}, 5)
    ((method, path, headers, body),) = gateway.requests
    job = base64.urlsafe_b64encode(b"nightly load").decode()
    assert (method, path, body) == ("PUT", f"/behind/metrics/job@base64/{job}/instance/a", PAGE)
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "Authorization" not in headers
    assert [entry["log_level"] for entry in logs] == ["info"]


def test_credentials_are_used_and_never_shown(gateway: Gateway) -> None:
    gateway.answers = [401]
    with capture_logs() as logs:
        push(f"http://me:s3cret%2Fwith%40odd%3Asigns@127.0.0.1:{gateway.port}", PAGE, {}, 5)
    ((_, path, headers, _),) = gateway.requests
    assert path == "/metrics/job/ddpm"
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode() == f"me:{PASSWORD}"
    assert logs == [
        {
            "event": "the metrics could not be pushed",
            "log_level": "warning",
            "gateway": gateway.url,
            "error": "it answered 401: well",
        }
    ]


def test_a_busy_gateway_is_tried_again(gateway: Gateway) -> None:
    gateway.answers = [503, 500, 200]
    with capture_logs() as logs:
        push(gateway.url, PAGE, {}, 5, pauses=(0, 0, 0))
    assert len(gateway.requests) == 3
    assert [entry["event"] for entry in logs] == ["metrics pushed"]


def test_a_gateway_that_refuses_is_not_asked_again(gateway: Gateway) -> None:
    gateway.answers = [400]
    push(gateway.url, PAGE, {}, 5, pauses=(0, 0, 0))
    assert len(gateway.requests) == 1


def test_a_gateway_that_is_away_is_a_warning_and_nothing_else(gateway: Gateway) -> None:
    gateway.answers = [503]
    with capture_logs() as logs:
        push(gateway.url, PAGE, {}, 5, pauses=(0, 0))
        push("http://user:hunter2@127.0.0.1:1", PAGE, {}, 5, pauses=(0, 0))
        push("http://127.0.0.1:99999", PAGE, {}, 5, pauses=(0, 0))
    assert len(gateway.requests) == 3
    assert [entry["log_level"] for entry in logs] == ["warning"] * 3
    assert "hunter2" not in str(logs)
