"""What requests leave in the audit log, and who may read it."""

import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ddpm.config.model import Role
from ddpm.observability.audit_log import AuditLog, Record
from ddpm.server.app import create
from ddpm.server.guard import SINGLE, AccessPolicy, Key
from unit.server.pictures import ORDERS, FakeSupervisor, sources

ADMIN, READER = "token-of-the-admin-0123", "token-of-the-reader-0123"
POLICY = AccessPolicy(token=ADMIN, keys=(Key("grafana", Role.READ, READER),))


class Api:
    """An application with an audit log in a folder, and the policy that is in force."""

    def __init__(self, folder: Path, policy: AccessPolicy = POLICY) -> None:
        self.log = AuditLog(folder)
        self.policy = policy
        self.supervisor = FakeSupervisor(ORDERS)
        given = sources(self.supervisor)
        app = create(
            type(given)(**{name: getattr(given, name) for name in given.__slots__} | {"audit": self.log}),
            tuple,
            lambda: self.policy,
        )
        self.client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)

    def ask(self, path: str, token: str | None = ADMIN, body: Any = None, **headers: str) -> Any:
        sent = headers if token is None else {"Authorization": f"Bearer {token}", **headers}
        if body is None:
            return self.client.get(path, headers=sent)
        return self.client.post(path, headers=sent, json=body)

    @property
    def records(self) -> list[Record]:
        return self.log.newest(100)


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path)


def test_a_change_is_recorded_with_all_that_was_said(api: Api) -> None:
    api.ask("/v1/pipelines/orders/scale", body={"replicas": 2}, **{"X-Forwarded-For": "10.1.2.3"})
    (record,) = api.records
    assert (record.actor.name, record.actor.kind, record.actor.role) == (SINGLE, "token", "admin")
    assert (record.actor.address, record.actor.forwarded) == ("testclient", "10.1.2.3")
    assert (record.action, record.pipeline, record.parameters) == ("scale", "orders", {"replicas": 2})
    assert (record.outcome, record.reason) == ("ok", "2 replicas")


def test_a_change_that_was_refused_says_why(api: Api) -> None:
    assert api.ask("/v1/pipelines/orders/scale", body={"replicas": 3}).status_code == 409
    assert api.ask("/v1/pipelines/nobody/pause", body={}).status_code == 404
    many, unknown = api.records
    assert (many.outcome, unknown.outcome, unknown.pipeline) == ("refused", "refused", "nobody")
    assert many.reason is not None
    assert "2 partitions" in many.reason


def test_an_error_within_ddpm_is_recorded_too(api: Api) -> None:
    del api.supervisor.pictures["orders"]
    api.supervisor.statuses = lambda: (ORDERS,)  # type: ignore[method-assign]
    assert api.ask("/v1/pipelines/orders/pause", body={}).status_code == 500
    assert [(record.action, record.outcome) for record in api.records] == [("pause", "failed")]


def test_reading_leaves_nothing_and_attempts_do(api: Api) -> None:
    api.ask("/v1/pipelines")
    api.ask("/v1/pipelines", None)
    api.ask("/v1/pipelines/orders/pause", READER, {})
    api.ask("/v1/pipelines/orders/pause", ADMIN, {}, Origin="https://evil.example")
    api.ask("/v1/pipelines", "a-wrong-token-012345")
    said = [(record.actor.name, record.action, record.outcome) for record in api.records]
    assert said == [
        ("anyone", "GET /v1/pipelines", "refused"),
        ("grafana", "pause", "refused"),
        (SINGLE, "pause", "refused"),
        ("anyone", "GET /v1/pipelines", "refused"),
    ]
    assert api.supervisor.asked == []
    assert not [record for record in api.records if "a-wrong-token" in repr(record)]


def test_the_api_shows_it_and_who_one_is(api: Api) -> None:
    api.ask("/v1/pipelines/orders/pause", body={})
    body = api.ask("/v1/audit").json()
    assert [(each["who"], each["action"]) for each in body["records"]] == [(SINGLE, "pause")]
    assert body["trouble"] is None
    assert api.ask(f"/v1/audit?after={body['records'][0]['id']}").json()["records"] == []
    assert api.ask("/v1/whoami", READER).json() == {
        "name": "grafana", "kind": "token", "role": "read", "address": "testclient",
    }  # fmt: skip


def test_a_log_that_cannot_be_written_stops_nothing_and_is_told(api: Api, tmp_path: Path) -> None:
    assert "\nddpm_audit_log_fails 0\n" in api.ask("/metrics", None).text
    (tmp_path / "audit").touch()
    assert api.ask("/v1/pipelines/orders/pause", body={}).status_code == 202
    assert api.supervisor.asked == [("pause", "orders")]
    health = api.ask("/health", None)
    assert (health.status_code, health.json()["status"]) == (200, "ok")
    assert health.json()["warnings"][0].startswith("the audit log cannot be written: ")
    assert "\nddpm_audit_log_fails 1\n" in api.ask("/metrics", None).text


def test_another_policy_counts_from_then_on(api: Api) -> None:
    assert api.ask("/v1/pipelines", READER).status_code == 200
    api.policy = AccessPolicy(token=ADMIN)
    assert api.ask("/v1/pipelines", READER).status_code == 401


def test_without_tokens_everyone_is_an_admin(tmp_path: Path) -> None:
    api = Api(tmp_path, AccessPolicy())
    assert api.ask("/v1/whoami", None).json()["role"] == "admin"
    assert api.ask("/v1/pipelines/orders/pause", None, {}).status_code == 202
    assert [(record.actor.name, record.actor.kind) for record in api.records] == [("anyone", "anyone")]


def test_a_client_without_the_certificate_that_is_wanted_sees_probes_alone(tmp_path: Path) -> None:
    api = Api(tmp_path, AccessPolicy(certificates=True))
    assert api.ask("/readyz", None).status_code == 200
    assert [api.ask(path, None).status_code for path in ("/", "/metrics", "/v1/pipelines")] == [403, 403, 403]


def test_whatever_a_body_holds_can_be_shown(api: Api) -> None:
    for body in (b'{"replicas": NaN}', b'{"replicas": "\\ud800"}', b"[" * 100_000, b"\xff", b'{"a": ' * 5_000):
        sent = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"}
        api.client.post("/v1/pipelines/orders/scale", headers=sent, content=body)
    assert len(api.records) == 5
    assert api.ask("/v1/audit").status_code == 200


def test_a_stream_ends_when_its_token_is_taken_away(tmp_path: Path) -> None:
    api = Api(tmp_path)
    api.supervisor.events.add("orders", "state", "it runs", "running")

    def take_away() -> None:
        api.policy = AccessPolicy(token=ADMIN)

    # The first request of an application takes a while.
    assert api.ask("/v1/whoami", READER).status_code == 200
    timer = threading.Timer(0.3, take_away)
    timer.start()
    # It would go on for ever.
    assert "it runs" in api.ask("/v1/events", READER).text
    timer.join()


@pytest.mark.parametrize(("tls", "told"), [(True, "max-age=86400"), (False, None)])
def test_browsers_are_told_to_come_back_in_tls(tls: bool, told: str | None, tmp_path: Path) -> None:
    api = Api(tmp_path, AccessPolicy(tls=tls))
    assert api.ask("/", None).headers.get("Strict-Transport-Security") == told
