"""What a command says when the answer is not the one it asked for."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI, Response

from ddpm.errors import ConfigError, ExitCode
from ddpm.server.serve import listen
from unit.cli.fake_ddpm import FakeDdpm, call, error_of, running, served
from unit.config.folder import MINIMAL
from unit.server.pictures import ORDERS

TOKEN = "a-token-of-some-length"
READING = (["status"], ["status", "orders"], ["logs"], ["logs", "-f"], ["events"], ["events", "-f"])
ASKING = (*([verb, "orders"] for verb in ("pause", "resume", "restart", "drain")), ["scale", "orders", "2"])


def free_url() -> str:
    with listen("127.0.0.1", 0) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def orders() -> Iterator[FakeDdpm]:
    with running(ORDERS) as fake:
        yield fake


@pytest.fixture(scope="module")
def guarded() -> Iterator[FakeDdpm]:
    with running(ORDERS, token=TOKEN) as fake:
        yield fake


def test_who_does_not_answer_in_time_is_not_taken_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddpm.cli.plan.DEFAULT_TIMEOUT", 0.1)
    with listen("127.0.0.1", 0) as silent:
        port = silent.getsockname()[1]
        config = tmp_path / "app-config.yaml"
        config.write_text(f"{MINIMAL}  server: {{port: {port}}}\n")
        error = error_of(call("plan", "--config", str(config)))
        assert str(error).startswith(f"http://127.0.0.1:{port} does not answer in time")


@pytest.mark.parametrize("command", READING + ASKING)
def test_when_nobody_answers_it_says_where_and_what_to_do(command: list[str]) -> None:
    url = free_url()
    error = error_of(call(*command, "--url", url))
    assert error.exit_code is ExitCode.ENVIRONMENT
    assert url in str(error)
    assert "ddpm run" in str(error)


@pytest.mark.parametrize("command", READING + ASKING)
def test_a_token_is_needed_and_never_shown(guarded: FakeDdpm, command: list[str]) -> None:
    without = error_of(call(*command, DDPM_URL=guarded.url))
    wrong = error_of(call(*command, DDPM_URL=guarded.url, DDPM_TOKEN="the-wrong-token"))
    assert without.exit_code is wrong.exit_code is ExitCode.RUNTIME
    assert "asks for a token" in str(without)
    assert "DDPM_TOKEN" in str(wrong)
    assert "the-wrong-token" not in str(wrong)


def test_with_its_token_it_answers(guarded: FakeDdpm) -> None:
    assert call("status", DDPM_URL=guarded.url, DDPM_TOKEN=TOKEN).exit_code == 0
    assert call("pause", "orders", DDPM_URL=guarded.url, DDPM_TOKEN=TOKEN).exit_code == 0


@pytest.mark.parametrize(
    "name", ["order", "../orders", "or/ders", "a b", "ü", "..", "\x1b[2J", "%6frders", "?", "\udcff"]
)
@pytest.mark.parametrize("command", ["status", "logs", "events", "pause"])
def test_an_unknown_name_is_named_with_those_that_there_are(orders: FakeDdpm, command: str, name: str) -> None:
    error = error_of(call(command, name, "--url", orders.url))
    assert error.exit_code is ExitCode.CONFIG
    assert "has no pipeline" in str(error)
    assert "\x1b" not in str(error)
    if "/" not in name and name != "..":
        assert "there are: orders" in str(error)


def test_an_empty_name_is_refused(orders: FakeDdpm) -> None:
    assert isinstance(error_of(call("pause", "", "--url", orders.url)), ConfigError)


def test_a_refusal_comes_with_the_servers_hint() -> None:
    with running(ORDERS) as fake:
        fake.supervisor.draining = True
        error = error_of(call("pause", "orders", "--url", fake.url))
    assert error.exit_code is ExitCode.RUNTIME
    assert (error.message, error.hint) == ("ddpm is stopping", "start it again first")


FOREIGN = (
    Response(b"<html>", 200, media_type="text/html"),
    Response(b"[]", 200, media_type="application/json"),
    Response(b'{"pipelines": [{"name": 1}]}', 200, media_type="application/json"),
    Response(b'{"detail": "Not Found"}', 404, media_type="application/json"),
    Response(b"", 307),
    Response(b'{"error": "\\u001b[2J"}', 500, media_type="application/json"),
    Response(b"bad gateway", 502, media_type="text/plain"),
)


@pytest.fixture(scope="module")
def stranger() -> Iterator[str]:
    """A server that has each of the answers below a folder of its number."""
    application = FastAPI()

    @application.get("/{number}/{path:path}")
    def anything(number: int, path: str) -> Response:
        return FOREIGN[number]

    with served(application) as url:
        yield url


@pytest.mark.parametrize("number", range(len(FOREIGN)))
@pytest.mark.parametrize("command", [["status"], ["logs"], ["events", "-f"]])
def test_what_is_no_ddpm_is_told_apart(stranger: str, command: list[str], number: int) -> None:
    error = error_of(call(*command, "--url", f"{stranger}/{number}"))
    assert error.exit_code is ExitCode.ENVIRONMENT
    assert f"{stranger}/{number}" in str(error)
    assert "\x1b" not in str(error)


def test_a_ddpm_behind_a_path_of_another_server_is_found() -> None:
    application = FastAPI()
    seen = threading.Event()

    @application.get("/tools/ddpm/v1/pipelines")
    def pipeline_type() -> dict[str, object]:
        seen.set()
        return {"version": "1", "pipelines": []}

    with served(application) as url:
        assert call("status", "--url", f"{url}/tools/ddpm/").exit_code == 0
    assert seen.is_set()


def test_a_hash_that_is_none_is_told_before_anyone_is_asked() -> None:
    ran = call("apply", "--plan", "wrong", "--url", free_url())
    assert ran.exit_code == ExitCode.CONFIG
    assert "a hash has 12 hexadecimal digits" in ran.output
