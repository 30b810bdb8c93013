"""Who may talk to ddpm."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from ddpm.config.model import Role, Secret, Server
from ddpm.errors import ConfigError
from ddpm.server.guard import AccessPolicy, Guard, Key, access_policy

TOKEN = "a-token-of-sixteen"
JSON = {"Content-Type": "application/json"}


def client(policy: AccessPolicy, host: str = "127.0.0.1:4195") -> TestClient:
    app = FastAPI()

    @app.get("/v1/pipelines")
    @app.get("/metrics")
    def read() -> str:
        return "read"

    @app.post("/v1/pipelines/orders/pause")
    def write() -> str:
        return "written"

    app.add_middleware(Guard, policy=policy)
    return TestClient(app, base_url=f"http://{host}")


@pytest.mark.parametrize("host", ["127.0.0.1:4195", "localhost:4195", "LOCALHOST", "[::1]:4195", "ddpm.example"])
def test_addresses_localhost_and_named_hosts_may_call(host: str) -> None:
    assert client(AccessPolicy(names=frozenset({"ddpm.example"})), host).get("/v1/pipelines").status_code == 200


@pytest.mark.parametrize("path", ["/v1/pipelines", "/metrics"])
def test_a_name_that_was_bent_to_loopback_is_refused(path: str) -> None:
    answer = client(AccessPolicy(), "evil.example:4195").get(path)
    assert answer.status_code == 403
    assert answer.json()["error"]["message"] == "this ddpm is not called evil.example"
    assert "allowed_hosts" in answer.json()["error"]["hint"]


def test_on_a_network_probes_and_scrapes_may_use_any_name_and_the_api_may_not() -> None:
    inside = client(AccessPolicy(token=TOKEN, loopback=False), "ddpm.monitoring.svc:4195")
    assert inside.get("/metrics").status_code == 200
    assert inside.get("/v1/pipelines", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:9999"])
def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    answer = client(AccessPolicy()).post("/v1/pipelines/orders/pause", json={}, headers={"Origin": origin})
    assert answer.status_code == 403


def test_a_page_of_another_site_may_not_even_ask() -> None:
    """A browser sends no origin with what a page only asks for, such as a plan, which takes work."""
    here = client(AccessPolicy())
    assert here.get("/v1/pipelines", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    for site in ("same-origin", "same-site", "none"):
        assert here.get("/v1/pipelines", headers={"Sec-Fetch-Site": site}).status_code == 200


def test_the_console_of_this_ddpm_is_no_stranger() -> None:
    answer = client(AccessPolicy()).post(
        "/v1/pipelines/orders/pause", json={}, headers={"Origin": "http://127.0.0.1:4195"}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonish", ""])
def test_a_body_that_a_plain_form_could_send_is_refused(kind: str) -> None:
    answer = client(AccessPolicy()).post("/v1/pipelines/orders/pause", content="{}", headers={"Content-Type": kind})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "given",
    [None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", "Basic /w==", f"Bearer {TOKEN}x", "Bearer tökén"],
)
def test_without_the_token_the_api_is_closed(given: str | None) -> None:
    headers = {"Authorization": given.encode()} if given else {}
    answer = client(AccessPolicy(token=TOKEN)).get("/v1/pipelines", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_with_the_token_it_is_open() -> None:
    answer = client(AccessPolicy(token=TOKEN)).get("/v1/pipelines", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("user", "password", "status"),
    [
        ("grafana", "token-of-grafana", 200),
        ("anyone at all", TOKEN, 200),
        ("alice", "token-of-grafana", 401),
        ("grafana", "another", 401),
        ("grafana", "", 401),
    ],
)
def test_a_token_is_taken_as_the_password_of_its_name(user: str, password: str, status: int) -> None:
    policy = AccessPolicy(token=TOKEN, keys=(Key("grafana", Role.READ, "token-of-grafana"),))
    answer = client(policy).get("/v1/pipelines", auth=(user, password))
    assert answer.status_code == status


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 -- it is the danger that is tested
def test_beyond_loopback_a_token_or_a_word_is_needed(host: str) -> None:
    with pytest.raises(ConfigError, match="could stop and restart pipelines"):
        access_policy(Server(host=host))
    assert access_policy(Server(host=host, token=Secret(TOKEN))).token == TOKEN
    assert access_policy(Server(host=host, insecure=True)).token is None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    assert access_policy(Server(host=host)).loopback


def test_a_door_does_not_show_its_token() -> None:
    assert TOKEN not in repr(access_policy(Server(token=Secret(TOKEN))))
