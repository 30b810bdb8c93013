"""`ddpm parse --serve` with the real engine: the API, who may come in, and its end."""

import base64
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from harness.offline import Served, configure, ddpm, serving
from harness.process import alive
from harness.waiting import eventually

pytestmark = pytest.mark.usefixtures("engine_binary")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving("--config", str(configure(tmp_path)), cwd=tmp_path) as running:
        yield running


def ask(served: Served, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(f"{served.url}v1/parse", json=body, headers=headers, timeout=60, trust_env=False)


def payload(record: bytes) -> dict[str, str]:
    return {"payload": base64.b64encode(record).decode()}


def test_it_answers_as_the_command_does(served: Served, tmp_path: Path) -> None:
    record = b'{"id": 9007199254740993, "total": 1.50}'
    said = ask(served, payload(record))
    ran = ddpm("parse", "--json", "--config", str(tmp_path / "app-config.yaml"), cwd=tmp_path, stdin=record)
    assert (said.status_code, said.text) == (200, ran.stdout.rstrip("\n"))
    assert ask(served, payload(b"nope")).json()["documents"][0]["reason"]["code"] == "not_json"
    assert ask(served, {"payload": None}).json()["documents"][0]["reason"]["code"] == "null_value"


@pytest.mark.parametrize("body", [{}, {"payload": "?"}, {"payload": 1}, {"payload": "", "x": 1}, [], {"headers": {}}])
def test_what_is_no_question_is_refused(served: Served, body: Any) -> None:
    said = ask(served, body)
    assert said.status_code == 400
    assert said.json()["error"]["hint"] == 'send {"payload": BASE64}'


def test_pages_of_others_stay_outside(served: Served) -> None:
    assert ask(served, payload(b"{}"), Host="evil.example").status_code == 403
    assert ask(served, payload(b"{}"), Origin="http://evil.example").status_code == 403
    assert httpx.get(served.url, headers={"Host": "evil.example"}, trust_env=False).status_code == 403
    as_form = httpx.post(
        f"{served.url}v1/parse", content=b"{}", headers={"Content-Type": "text/plain"}, trust_env=False
    )
    assert as_form.status_code == 415
    page = httpx.get(served.url, trust_env=False)
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_its_engine(served: Served, signum: int) -> None:
    ask(served, payload(b"{}"))
    (engine,) = served.engines()
    assert served.stop(signum) == 0
    eventually(lambda: not alive(engine), "the engine has ended")


def test_an_engine_whose_ddpm_is_killed_ends_too(served: Served) -> None:
    ask(served, payload(b"{}"))
    (engine,) = served.engines()
    assert served.stop(signal.SIGKILL) == -signal.SIGKILL
    eventually(lambda: not alive(engine), "the engine has ended")


def test_a_taken_port_is_told(served: Served, tmp_path: Path) -> None:
    port = served.url.rstrip("/").rpartition(":")[2]
    ran = ddpm("parse", "--serve", "--port", port, "--parser", "json", cwd=tmp_path)
    assert ran.returncode == 3
    assert f"cannot listen on 127.0.0.1:{port}: the port is in use" in ran.stderr
    assert "--port" in ran.stderr
