"""The HTTP endpoints with statuses of the test's making."""

import itertools
import json
import threading
from dataclasses import replace
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from ddpm.errors import MissingToolError
from ddpm.server.app import create
from ddpm.server.guard import AccessPolicy
from ddpm.server.serve import listen, serving
from ddpm.supervisor.states import DesiredState, State
from ddpm.supervisor.status import Status
from unit.server.pictures import ORDERS, RETURNS, FakeSupervisor, sources


def client(*statuses: Status, supervisor: FakeSupervisor | None = None) -> TestClient:
    app = create(sources(supervisor or FakeSupervisor(*statuses)), tuple, AccessPolicy())
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


@pytest.mark.parametrize("path", ["/health", "/readyz"])
class TestReadiness:
    def test_it_is_200_while_every_pipeline_runs(self, path: str) -> None:
        answer = client(ORDERS, RETURNS).get(path)
        assert answer.status_code == 200
        body = answer.json()
        assert (body["status"], body["culprits"]) == ("ok", [])
        first = body["pipelines"][0]
        assert (first["name"], first["state"], first["restarts"]) == ("orders", "running", 2)
        assert first["since"] == "2023-11-14T22:13:20.000Z"
        assert first["replicas"] == [{"index": 0, "state": "running", "ready": True, "pid": 41}]
        assert [(each["name"], each["ok"]) for each in first["probes"]] == [
            ("engine 0", True),
            ("kafka", True),
            ("postgres", True),
        ]
        assert first["probes"][0]["age_seconds"] > 0
        assert first["probes"][2]["age_seconds"] is None

    @pytest.mark.parametrize("state", [each for each in State if each not in (State.RUNNING, State.PAUSED)])
    def test_it_is_503_and_names_the_culprit_in_any_other_state(self, path: str, state: State) -> None:
        away = replace(RETURNS, state=state, reason="kafka: cannot be reached")
        answer = client(ORDERS, away).get(path)
        assert answer.status_code == 503
        assert answer.json()["culprits"] == [f"returns is {state.value}: kafka: cannot be reached"]

    def test_paused_on_purpose_is_well_and_says_so(self, path: str) -> None:
        answer = client(ORDERS, replace(RETURNS, state=State.PAUSED, reason="paused on request")).get(path)
        assert answer.status_code == 200
        assert answer.json()["pipelines"][1]["reason"] == "paused on request"

    def test_bounded_work_that_is_done_is_well(self, path: str) -> None:
        done = replace(RETURNS, state=State.STOPPED, reason="read to the end", finished=True)
        assert client(ORDERS, done).get(path).status_code == 200

    def test_a_loop_that_does_not_tick_is_not_ready(self, path: str) -> None:
        supervisor = FakeSupervisor(ORDERS)
        supervisor.alive = False
        assert client(supervisor=supervisor).get(path).status_code == 503


def test_liveness_depends_on_the_loop_alone() -> None:
    supervisor = FakeSupervisor(replace(ORDERS, state=State.FAILED))
    assert client(supervisor=supervisor).get("/livez").status_code == 200
    supervisor.alive = False
    assert client(supervisor=supervisor).get("/livez").status_code == 503


class TestApi:
    def test_it_lists_every_pipeline_with_what_a_person_asks_first(self) -> None:
        body = client(ORDERS, RETURNS).get("/v1/pipelines").json()
        assert [each["name"] for each in body["pipelines"]] == ["orders", "returns"]
        first = body["pipelines"][0]
        assert first["lag"] == {"records": 5, "seconds": 1.5}
        assert first["rates"] == {"read": 5.0, "written": 4.0, "dead": 1.0}
        assert first["last_exit"]["signal"] == "SIGKILL"
        assert first["last_exit"]["log"] == ["error: oh"]
        assert first["history"] == {"step": 5.0, "lag": [0.0, 5.0], "rate": [1.0, 4.0], "dead": [0.0, 1.0]}
        assert body["pipelines"][1]["lag"] is None

    def test_one_pipeline_comes_with_its_flow_partitions_and_events(self) -> None:
        supervisor = FakeSupervisor(ORDERS)
        for number in range(60):
            supervisor.events.add("orders", "state", f"event {number}", "running")
        supervisor.events.add("another", "state", "not mine", "running")
        body = client(supervisor=supervisor).get("/v1/pipelines/orders").json()
        assert body["source"]["topics"] == ["orders"]
        assert body["sinks"] == [{"kind": "postgres", "name": "orders", "icon": []}]
        assert body["partitions"][1]["committed"] is None
        assert [event["message"] for event in body["events"][:2]] == ["event 59", "event 58"]
        assert len(body["events"]) == 50

    @pytest.mark.parametrize("path", ["/v1/pipelines/nobody", "/v1/events?pipeline=nobody", "/v1/logs?pipeline=nobody"])
    def test_an_unknown_pipeline_is_told_with_the_known_ones(self, path: str) -> None:
        answer = client(ORDERS).get(path)
        assert answer.status_code == 404
        assert answer.json()["error"]["hint"] == "there are: orders"

    @pytest.mark.parametrize(
        ("request_", "body", "noted"),
        [
            ("pause", {}, ("pause", "orders")),
            ("drain", {}, ("drain_one", "orders")),
            ("restart", {}, ("restart", "orders", "restarted on request")),
            ("scale", {"replicas": 2}, ("scale", "orders", 2)),
            ("scale", {"replicas": None}, ("scale", "orders", None)),
        ],
    )
    def test_a_request_is_handed_on(self, request_: str, body: dict[str, Any], noted: tuple[Any, ...]) -> None:
        supervisor = FakeSupervisor(ORDERS)
        answer = client(supervisor=supervisor).post(f"/v1/pipelines/orders/{request_}", json=body)
        assert answer.status_code == 202
        assert answer.json()["accepted"] == request_
        assert supervisor.asked == [noted]

    def test_a_resume_is_never_refused_for_a_picture_that_may_be_old(self) -> None:
        supervisor = FakeSupervisor(ORDERS, replace(RETURNS, state=State.PAUSED, wish=DesiredState.PAUSE))
        calling = client(supervisor=supervisor)
        assert calling.post("/v1/pipelines/orders/resume", json={}).status_code == 202
        assert calling.post("/v1/pipelines/returns/resume", json={}).status_code == 202

    @pytest.mark.parametrize("request_", ["resume", "restart"])
    def test_bounded_work_that_is_done_is_not_begun_again(self, request_: str) -> None:
        supervisor = FakeSupervisor(replace(ORDERS, state=State.STOPPED, finished=True))
        answer = client(supervisor=supervisor).post(f"/v1/pipelines/orders/{request_}", json={})
        assert answer.status_code == 409
        assert supervisor.asked == []

    def test_what_has_failed_cannot_be_drained(self) -> None:
        ended = tuple(replace(each, pid=None) for each in ORDERS.replicas)
        answer = client(replace(ORDERS, state=State.FAILED, replicas=ended)).post("/v1/pipelines/orders/drain", json={})
        assert answer.status_code == 409

    def test_an_origin_that_is_no_address_is_refused(self) -> None:
        answer = client(ORDERS).get("/v1/pipelines", headers={"Origin": "http://[::1"})
        assert answer.status_code == 403

    def test_more_replicas_than_partitions_are_refused_with_the_way_out(self) -> None:
        answer = client(ORDERS).post("/v1/pipelines/orders/scale", json={"replicas": 3})
        assert answer.status_code == 409
        assert "2 partitions" in answer.json()["error"]["message"]

    @pytest.mark.parametrize("body", [{}, {"replicas": 0}, {"replicas": "2"}, {"replicas": 1.5}, {"more": 1}, []])
    def test_what_is_no_number_of_replicas_is_told(self, body: Any) -> None:
        supervisor = FakeSupervisor(ORDERS)
        answer = client(supervisor=supervisor).post("/v1/pipelines/orders/scale", json=body)
        assert answer.status_code == 422
        assert answer.json()["error"]["message"]
        assert supervisor.asked == []

    def test_a_body_that_is_not_json_is_told(self) -> None:
        answer = client(ORDERS).post(
            "/v1/pipelines/orders/pause", content="{", headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 400

    def test_nothing_is_asked_of_a_ddpm_that_stops(self) -> None:
        supervisor = FakeSupervisor(ORDERS)
        supervisor.draining = True
        assert client(supervisor=supervisor).post("/v1/pipelines/orders/pause", json={}).status_code == 409

    def test_an_edited_configuration_is_told_wherever_it_matters(self) -> None:
        changed = "app-config.yaml changed since it was read; `ddpm reload` applies it"
        supervisor = FakeSupervisor(ORDERS)
        supervisor.config_changed = changed
        api = client(supervisor=supervisor)
        assert api.get("/v1/pipelines").json()["config_changed"] == changed
        assert api.get("/v1/pipelines/orders").json()["config_changed"] == changed
        for request in ("restart", "resume"):
            assert changed in api.post(f"/v1/pipelines/orders/{request}", json={}).json()["message"]
        assert client(ORDERS).get("/v1/pipelines").json()["config_changed"] is None
        assert "as it was" not in client(ORDERS).post("/v1/pipelines/orders/restart", json={}).json()["message"]

    def test_refusals_of_unknown_paths_and_methods_have_the_same_shape(self) -> None:
        assert client(ORDERS).get("/v1/nothing").json()["error"]["message"] == "Not Found"
        assert client(ORDERS).put("/v1/pipelines").json()["error"]["message"] == "Method Not Allowed"


def test_events_are_streamed_after_the_one_that_was_seen_last() -> None:
    supervisor = FakeSupervisor(ORDERS)
    ids = [supervisor.events.add("orders", "state", f"event {number}", "running").id for number in range(3)]
    app = create(sources(supervisor), tuple, AccessPolicy())
    closing = threading.Event()
    with serving(app, listen("127.0.0.1", 0), closing) as url:
        headers = {"Last-Event-ID": str(ids[1])}
        with httpx.stream("GET", f"{url}/v1/events", headers=headers, trust_env=False, timeout=10) as stream:
            seen = list(itertools.takewhile(bool, stream.iter_lines()))
    assert "event: state" in seen
    assert f"id: {ids[2]}" in seen
    (data,) = [json.loads(line.removeprefix("data:")) for line in seen if line.startswith("data:")]
    assert data["message"] == "event 2"


def test_a_port_in_use_is_named() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MissingToolError, match=f"cannot listen on 127.0.0.1:{port}: the port is in use"):
            listen("127.0.0.1", port)


def test_the_server_answers_on_a_socket_bound_before() -> None:
    app = create(sources(FakeSupervisor(ORDERS)), tuple, AccessPolicy())
    with serving(app, listen("127.0.0.1", 0), threading.Event()) as url:
        assert httpx.get(f"{url}/health", trust_env=False).json()["status"] == "ok"
