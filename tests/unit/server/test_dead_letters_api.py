"""The API's part about dead letters, on a store that is only a list."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ddpm.deadletters.letter import DeadLetter
from ddpm.deadletters.replay import Fed as HowFar
from ddpm.deadletters.replay import Reinject
from ddpm.deadletters.service import DeadLetterService
from ddpm.errors import EngineError
from ddpm.orchestrator.redrive.reinject import Fed
from ddpm.server.app import create
from ddpm.server.guard import AccessPolicy
from harness.waiting import eventually
from unit.deadletters.letters import FakeStore, letter
from unit.server.pictures import ORDERS, RETURNS, FakeSupervisor, dead_letter_service, sources

ADDRESS = "/v1/pipelines/orders/dead-letters"


def store() -> FakeStore:
    return FakeStore(
        letter(0, pipeline="orders"),
        letter(1, pipeline="orders", stage="sink", code="22P02"),
        letter(2, pipeline="returns"),
        letter(3, pipeline="orders", attempt="3"),
    )


def client(
    on: FakeStore,
    reinject: Reinject = lambda letters, _told: None,
    policy: AccessPolicy | None = None,
    supervisor: FakeSupervisor | None = None,
) -> TestClient:
    behind = sources(
        supervisor or FakeSupervisor(ORDERS, RETURNS),
        letters=dead_letter_service(on, "orders", "returns", reinject=reinject),
    )
    return TestClient(
        create(behind, tuple, policy or AccessPolicy()), base_url="http://localhost", raise_server_exceptions=False
    )


def test_reasons_and_letters_of_one_pipeline() -> None:
    body = client(store()).get(ADDRESS, params={"letters": 2}).json()
    assert (body["pipeline"], body["topic"], body["open"], body["complete"]) == ("orders", "dead", 3, True)
    assert [(each["code"], each["count"]) for each in body["reasons"]] == [("not_json", 2), ("22P02", 1)]
    assert [each["id"] for each in body["letters"]] == ["0:3", "0:1"], "the newest, and nobody else's"
    assert body["oldest"] == "2025-11-13T02:13:20.000Z"
    assert body["replay"] is None
    only = client(store()).get(ADDRESS, params={"letters": 9, "reason": "sink"}).json()
    assert [each["id"] for each in only["letters"]] == ["0:1"]
    assert only["open"] == 3, "the depth is that of the pipeline"


def test_a_letter_with_its_record() -> None:
    body = client(store()).get(f"{ADDRESS}/0:1").json()
    assert (body["code"], body["value"]["text"], body["key"]["base64"]) == ("22P02", "{bad", "a2V5")
    assert body["origin"] == {"topic": "orders", "partition": 1, "offset": 101, "index": None, "source": None}


@pytest.mark.parametrize("letter_id", ["0:2", "0:99"])
def test_a_letter_that_is_not_the_pipelines_is_not_found(letter_id: str) -> None:
    answer = client(store()).get(f"{ADDRESS}/{letter_id}")
    assert answer.status_code == 404
    assert letter_id in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["x", "0:x", "0"])
def test_what_is_no_id_is_told(path: str) -> None:
    assert client(store()).get(f"{ADDRESS}/{path}").status_code == 422


def test_discarding_says_how_many_and_is_remembered() -> None:
    on = store()
    answer = client(on).post(f"{ADDRESS}/discard", json={"reasons": ["not_json"]})
    assert answer.status_code == 200
    assert answer.json()["discarded"] == 2
    assert {mark.run for mark in on.marks} == {answer.json()["run"]}
    body = client(on).get(ADDRESS, params={"handled": True, "letters": 9}).json()
    assert (body["open"], body["discarded"]) == (1, 2)
    assert [each["handled"]["deed"] if each["handled"] else None for each in body["letters"]] == [
        "discarded",
        None,
        "discarded",
    ]


def test_a_replay_runs_in_the_background_one_at_a_time() -> None:
    on, may_end = store(), threading.Event()

    def slow(letters: Iterator[DeadLetter], told: Callable[[HowFar], None]) -> None:
        told(Fed(acknowledged=len(list(letters)), waiting="connect"))
        may_end.wait(30)

    asking = client(on, slow)
    begun = asking.post(f"{ADDRESS}/replay", json={})
    assert begun.status_code == 202
    assert (begun.json()["left_out"], begun.json()["replay"]["total"]) == (1, 2)
    again = asking.post(f"{ADDRESS}/replay", json={})
    assert again.status_code == 409
    assert "runs already" in again.json()["error"]["message"]
    assert asking.post("/v1/pipelines/returns/dead-letters/replay", json={}).status_code == 202, "another pipeline may"
    eventually(lambda: asking.get(ADDRESS).json()["replay"]["done"] == 2, "its progress can be read")
    running = asking.get(ADDRESS).json()["replay"]
    assert (running["state"], running["waiting"]) == ("running", "connect")
    may_end.set()
    ended = eventually(lambda: over(asking), "it ends")
    assert (ended["state"], ended["landed"], ended["failed_again"]) == ("done", 2, 0)
    assert asking.get(ADDRESS).json()["open"] == 1
    assert asking.post(f"{ADDRESS}/replay", json={"force": True}).json()["replay"]["total"] == 1


def test_a_replay_that_fails_says_why_and_leaves_the_letters_open() -> None:
    def dying(_letters: Iterator[DeadLetter], _told: Callable[[HowFar], None]) -> None:
        raise EngineError("the engine died", hint="look at its log")

    asking = client(store(), dying)
    asking.post(f"{ADDRESS}/replay", json={})
    ended = eventually(lambda: over(asking), "it ends")
    assert ended["state"] == "failed"
    assert "the engine died" in ended["message"]
    assert asking.get(ADDRESS).json()["open"] == 3


def over(asking: TestClient) -> dict[str, Any] | None:
    found: dict[str, Any] = asking.get(ADDRESS).json()["replay"]
    return found if found["state"] != "running" else None


@pytest.mark.parametrize(
    "body", [{"reason": "x"}, {"ids": ["x"]}, {"ids": "0:1"}, {"since": "yesterday"}, {"rate": 0}, {"rate": "fast"}, []]
)
def test_what_is_no_selection_is_told_and_nothing_is_done(body: Any) -> None:
    on = store()
    answer = client(on).post(f"{ADDRESS}/replay", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]
    assert not on.marks


@pytest.mark.parametrize("action", ["discard", "replay"])
class TestWhoMayAsk:
    def test_not_a_page_of_another_origin(self, action: str) -> None:
        on = store()
        answer = client(on).post(f"{ADDRESS}/{action}", json={}, headers={"Origin": "http://evil.example"})
        assert (answer.status_code, on.marks) == (403, [])

    def test_not_under_another_name(self, action: str) -> None:
        answer = client(store()).post(f"{ADDRESS}/{action}", json={}, headers={"Host": "evil.example"})
        assert answer.status_code == 403

    def test_not_without_the_token(self, action: str) -> None:
        on = store()
        answer = client(on, policy=AccessPolicy(token="a-token-of-some-length")).post(f"{ADDRESS}/{action}", json={})
        assert (answer.status_code, on.marks) == (401, [])

    def test_not_as_a_form(self, action: str) -> None:
        answer = client(store()).post(f"{ADDRESS}/{action}", data={"a": "b"})
        assert answer.status_code == 415

    def test_not_while_ddpm_stops(self, action: str) -> None:
        on, supervisor = store(), FakeSupervisor(ORDERS)
        supervisor.draining = True
        assert client(on, supervisor=supervisor).post(f"{ADDRESS}/{action}", json={}).status_code == 409
        assert not on.marks

    def test_not_of_an_unknown_pipeline(self, action: str) -> None:
        answer = client(store()).post(f"/v1/pipelines/other/dead-letters/{action}", json={})
        assert answer.status_code == 404


def test_before_the_servers_are_there_it_says_so() -> None:
    behind = sources(FakeSupervisor(ORDERS), letters=DeadLetterService())
    asking = TestClient(create(behind, tuple, AccessPolicy()), base_url="http://localhost")
    answer = asking.get(ADDRESS)
    assert answer.status_code == 503
    assert "still being prepared" in answer.json()["error"]["message"]
