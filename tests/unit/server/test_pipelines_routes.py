"""The routes that make, change and delete pipelines: what they take, what they refuse, and how it is said."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ddpm.config.problems import ConfigProblems, Problem
from ddpm.config.stored import Edit, PipelineStore, StoredPipeline
from ddpm.errors import ConfigError, DdpmError, EngineError
from ddpm.observability.audit_log import Actor, AuditLog
from ddpm.server.app import create
from ddpm.server.guard import AccessPolicy
from unit.server.pictures import ORDERS, FakeSupervisor, sources

TOKEN = "token-of-the-admin-0123"
YAML = {"Content-Type": "application/yaml"}
KEYS = {"kafka": {"topics": ["a"]}, "text": 'ä "1"\n', "postgres": {"url": "postgresql://u:hunter2@h/d"}}


@dataclass(frozen=True)
class Shown:
    file: str
    keys: dict[str, Any]
    stored: bool


@dataclass(frozen=True)
class Changes:
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ("orders",)


@dataclass(frozen=True)
class Done:
    number: int
    state: str = "done"
    began: float = 0.0
    ended: float | None = 1.0
    message: str = "what was done"
    hint: str | None = None
    changes: Changes = field(default_factory=Changes)
    error: DdpmError | None = None


class FakeReloads:
    """Carries changes out at once in a folder, and fails as it is told."""

    def __init__(self, folder: Path) -> None:
        self.store = PipelineStore(folder / "pipelines")
        self.fails: DdpmError | None = None
        self.ended: list[Done] = []

    def stored(self, name: str) -> StoredPipeline | None:
        return self.store.get(name)

    def shown(self, name: str) -> Shown | None:
        if name == "orders":
            return Shown("conf/orders.yaml", {"replicas": 2}, stored=False)
        return Shown("made.yaml", {"replicas": 1}, stored=True) if self.store.get(name) else None

    def request_edit(self, edit: Edit, _actor: Actor) -> int:
        done = Done(len(self.ended) + 1)
        self.store.begin(edit)
        if self.fails is None:
            self.store.keep()
        else:
            self.store.revert()
            said = f"the former configuration runs on: {self.fails.message}"
            done = replace(done, state="failed", message=said, hint=self.fails.hint, error=self.fails)
        self.ended.append(done)
        return done.number

    def of_number(self, number: int) -> Done | None:
        return self.ended[number - 1]

    def configuration(self) -> None:
        return None


class Api:
    def __init__(self, folder: Path, policy: AccessPolicy) -> None:
        self.reloads = FakeReloads(folder)
        self.log = AuditLog(folder)
        given = sources(FakeSupervisor(ORDERS))
        more = {"audit": self.log, "reloads": self.reloads}
        app = create(type(given)(**{name: getattr(given, name) for name in given.__slots__} | more), tuple, policy)
        self.client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
        self.client.headers["Authorization"] = f"Bearer {TOKEN}"

    def ask(self, method: str, path: str, **more: Any) -> Any:
        return self.client.request(method, f"/v1/pipelines{path}", **more)


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path, AccessPolicy(token=TOKEN))


def refused(answer: Any, status: int) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert (said["type"], said["status"], said["title"] != "") == ("about:blank", status, True)
    assert said["error"] == {"message": said["detail"], "hint": said["hint"]}
    return said


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_one_is_made_and_kept_as_it_was_sent(api: Api, kind: str) -> None:
    text = "kafka: {topics: [a]}  # why\n"
    if kind == "json":
        answer = api.ask("POST", "", json={"name": "made", "pipeline": KEYS})
    else:
        answer = api.ask("PUT", "/made", content=text, headers=YAML)
    assert answer.status_code == 201
    assert (answer.json()["message"], answer.json()["unchanged"]) == ("what was done", ["orders"])
    stored = api.reloads.stored("made")
    assert stored is not None
    assert answer.headers["etag"] == f'"{stored.version}"'
    assert stored.text == text if kind == "yaml" else '"ä \\"1\\"\\n"' in stored.text


def test_no_secret_of_one_is_recorded(api: Api) -> None:
    api.ask("POST", "", json={"name": "made", "pipeline": KEYS})
    api.ask("PUT", "/made", json=KEYS)
    api.ask("DELETE", "/made")
    records = api.log.newest(10)
    assert [(each.action, each.pipeline, each.outcome) for each in records] == [
        ("create pipeline", "made", "ok"),
        ("change pipeline", "made", "refused"),
        ("delete pipeline", "made", "ok"),
    ]
    assert "hunter2" not in str(records)


def test_a_change_says_of_what_it_is_one(api: Api) -> None:
    first = api.ask("PUT", "/made", json=KEYS, headers={"If-None-Match": "*"}).headers["etag"]
    assert "If-Match" in refused(api.ask("PUT", "/made", json=KEYS), 428)["hint"]
    refused(api.ask("PUT", "/made", json=KEYS, headers={"If-None-Match": "*"}), 412)
    refused(api.ask("PUT", "/made", json=KEYS, headers={"If-Match": '"another"'}), 412)
    refused(api.ask("PUT", "/made", json=KEYS, headers={"If-Match": f"W/{first}"}), 412)
    refused(api.ask("PUT", "/other", json=KEYS, headers={"If-Match": "*"}), 412)
    second = api.ask("PUT", "/made", json=KEYS, headers={"If-Match": f'"x", {first}'})
    assert (second.status_code, second.headers["etag"] != first) == (200, True)
    refused(api.ask("DELETE", "/made", headers={"If-Match": first}), 412)
    assert api.ask("GET", "/made/config").headers["etag"] == second.headers["etag"]
    assert api.ask("DELETE", "/made", headers={"If-Match": second.headers["etag"]}).status_code == 200
    refused(api.ask("DELETE", "/made"), 404)


def test_one_of_a_file_is_left_alone(api: Api) -> None:
    for answer in (
        api.ask("PUT", "/orders", json=KEYS),
        api.ask("DELETE", "/orders"),
        api.ask("POST", "", json={"name": "orders", "pipeline": KEYS}),
    ):
        assert "stands in conf/orders.yaml" in refused(answer, 409)["detail"]
    shown = api.ask("GET", "/orders/config")
    assert "etag" not in shown.headers
    assert shown.json() == {
        "name": "orders",
        "file": "conf/orders.yaml",
        "editable": False,
        "configuration": {"replicas": 2},
    }
    refused(api.ask("GET", "/none/config"), 404)


@pytest.mark.parametrize(
    ("error", "status"), [(EngineError("it does not run"), 409), (ConfigError("it cannot be", hint="so"), 422)]
)
def test_one_that_does_not_come_up_is_put_back(api: Api, error: DdpmError, status: int) -> None:
    before = api.ask("PUT", "/made", json=KEYS).headers["etag"]
    api.reloads.fails = error
    said = refused(api.ask("PUT", "/made", json={}, headers={"If-Match": before}), status)
    assert (said["detail"], said["hint"]) == (f"the former configuration runs on: {error.message}", error.hint)
    refused(api.ask("PUT", "/other", json={}), status)
    assert api.reloads.stored("other") is None
    assert api.ask("GET", "/made/config").headers["etag"] == before


def test_problems_are_those_of_validate_and_not_endless(api: Api) -> None:
    api.reloads.fails = ConfigProblems([Problem("wrong-type", f"p[{n}]", "no", Path("f"), 1, 2) for n in range(300)])
    said = refused(api.ask("PUT", "/made", json={}), 422)
    assert (len(said["problems"]), said["hint"]) == (100, "200 more are not shown")
    assert said["problems"][0] | {"hint": None} == {
        "severity": "error",
        "code": "wrong-type",
        "path": "p[0]",
        "message": "no",
        "hint": None,
        "file": "f",
        "line": 1,
        "column": 2,
        "source_line": None,
    }


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "is not JSON"),
        (b"[NaN]", 400, "is not JSON"),
        (b"\xff", 400, "is not UTF-8"),
        (b"[]", 422, "must have name and pipeline"),
        (b'{"name": 1, "pipeline": {}}', 422, "must have name and pipeline"),
        (b'{"name": "a", "pipeline": {}, "more": 1}', 422, "must have name and pipeline"),
        (b'{"name": "../a", "pipeline": {}}', 422, "is not the name of a pipeline"),
        (b'{"name": "a", "pipeline": {"x": "\\ud800"}}', 422, "half of a character"),
    ],
)
def test_what_is_no_pipeline_is_refused(api: Api, body: bytes, status: int, said: str) -> None:
    answer = api.ask("POST", "", content=body, headers={"Content-Type": "application/json"})
    assert said in refused(answer, status)["detail"]
    assert api.reloads.ended == []


def test_yaml_of_another_form_is_refused_with_its_place(api: Api) -> None:
    said = refused(api.ask("POST", "", content="name: a\npipeline: [", headers=YAML), 422)
    assert [(each["file"], each["line"]) for each in said["problems"]] == [("body", 2)]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_page_could_send_unasked_is_refused(api: Api, kind: str) -> None:
    for method, path in (("PUT", "/made"), ("POST", "")):
        said = refused(api.ask(method, path, content="a: 1", headers={"Content-Type": kind}), 415)
        assert said["hint"] == "send the header Content-Type: application/json or application/yaml"
    refused(api.ask("POST", "/orders/pause", content="{}", headers=YAML), 415)


def test_without_a_token_only_the_user_of_ddpm_may(tmp_path: Path) -> None:
    open_to_all = Api(tmp_path, AccessPolicy())
    said = refused(open_to_all.ask("PUT", "/made", json=KEYS), 403)
    assert "only the user that ddpm runs as" in said["detail"]
    assert open_to_all.reloads.ended == []
