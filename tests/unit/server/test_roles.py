"""Which role may call what: every route of the application, with every token."""

from itertools import product
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.routing import Route

from ddpm.config.model import Role
from ddpm.server.app import create
from ddpm.server.guard import AccessPolicy, Key
from ddpm.server.roles import READING, RULES, asked
from unit.server.pictures import ORDERS, FakeSupervisor, sources

KEYS = tuple(Key(f"the-{role}", role, f"token-of-{role}-0123456789") for role in Role)
OPEN = "none"


def application() -> FastAPI:
    # Streams end at once: their server is closing.
    return create(sources(FakeSupervisor(ORDERS), closing=True), tuple, AccessPolicy(keys=KEYS))


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of every route; HEAD stands for GET."""
    found = [
        (method, route.path)
        for route in app.routes
        if isinstance(route, APIRoute | Route)
        for method in sorted(route.methods or ())
        if method != "HEAD"
    ]
    # What is included later is flattened into the application's own routes, or kept as routers: either way, all of it.
    paths = app.openapi()["paths"]
    found += [(method.upper(), path) for path, operations in paths.items() for method in operations]
    return list(dict.fromkeys(found))


ROUTES = routes(application())
API = [each for each in ROUTES if each[1].startswith("/v1/")]


def test_there_are_routes_to_walk_through() -> None:
    assert {"GET /v1/pipelines", "POST /v1/pipelines/{name}/pause", "GET /v1/events", "GET /v1/audit"} <= {
        " ".join(each) for each in API
    }


@pytest.mark.parametrize(("route", "key"), list(product(API, (*KEYS, None))))
def test_every_route_is_open_to_the_roles_that_cover_it_alone(route: tuple[str, str], key: Key | None) -> None:
    method, path = route
    named = path.replace("{name}", "orders").replace("{letter_id}", "0:1")
    headers = {} if key is None else {"Authorization": f"Bearer {key.token}"}
    client = TestClient(application(), base_url="http://localhost", raise_server_exceptions=False)
    answer = client.request(method, named, headers=headers, json=None if method == "GET" else {})
    if key is None:
        assert answer.status_code == 401
    elif key.role.covers(asked(method, named).role):
        assert answer.status_code not in (401, 403, 500)
    else:
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["role_needed"] == asked(method, named).role
        assert (problem["status"], problem["error"]["message"]) == (403, problem["detail"])


def test_a_route_that_changes_something_is_named_with_its_role() -> None:
    named = {(rule.method, rule.path) for rule in RULES}
    assert [each for each in API if each[0] not in READING and each not in named] == []
    assert [each for each in named if each not in API] == [], "a rule for a route that is not there"


def test_what_nobody_has_thought_of_is_for_admins() -> None:
    assert asked("DELETE", "/v1/pipelines/orders").role is Role.ADMIN
    assert asked("POST", "/v1/pipelines/orders/pause/more").role is Role.ADMIN
    assert asked("POST", "/v1/pipelines//pause").role is Role.ADMIN
    assert asked("GET", "/v1/anything").role is Role.READ


def test_the_documents_have_the_same_table() -> None:
    outside = ", ".join(f"`{path}`" for method, path in ROUTES if not path.startswith("/v1/") and path != "/metrics")
    rows = [f"| {outside} | {OPEN} |", f"| `GET /metrics` | {OPEN}; `read` with `protect_metrics` |"]
    rows += [f"| `{method} {path}` | `{asked(method, path).role}` |" for method, path in sorted(API, key=_order)]
    text = (Path(__file__).parents[3] / "docs" / "security.md").read_text(encoding="utf-8")
    assert "\n".join(rows) in text, "docs/security.md, Roles: the table is another one"


def _order(route: tuple[str, str]) -> tuple[int, str, str]:
    method, path = route
    return list(Role).index(asked(method, path).role), method, path


def test_the_api_describes_its_tokens_and_roles() -> None:
    document = application().openapi()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    discard = document["paths"]["/v1/pipelines/{name}/dead-letters/discard"]["post"]
    assert (discard["x-ddpm-role"], discard["security"]) == ("admin", [{"token": []}, {"basic": []}, {}])
    assert "security" not in document["paths"]["/livez"]["get"]
