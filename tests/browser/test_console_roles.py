"""What the console lets one do and see who has a token with a role, and the audit log."""

from collections.abc import Iterator

import pytest

from browser.fake import NASTY, FakeDdpm, Json, ago, dead_letters, letter, pipeline
from browser.page import Page


@pytest.fixture
def ddpm() -> Iterator[FakeDdpm]:
    with FakeDdpm(pipeline("orders")) as fake:
        fake.letters["orders"] = dead_letters(letter(17))
        yield fake


def record(number: int, **changes: object) -> Json:
    good: Json = {
        "id": number,
        "at": ago(600 - number),
        "who": "night-shift",
        "kind": "token",
        "role": "operate",
        "address": "10.0.3.7",
        "certificate": None,
        "forwarded": None,
        "action": "scale",
        "pipeline": "orders",
        "parameters": {"replicas": 3},
        "outcome": "ok",
        "reason": "3 replicas",
        "omitted": 0,
    }
    return good | changes


def test_an_admin_sees_who_changed_what(ddpm: FakeDdpm, page: Page) -> None:
    ddpm.who |= {"name": "alice", "kind": "token"}
    tried: Json = {"outcome": "refused", "reason": NASTY, "omitted": 7}
    ddpm.audit = [
        record(1),
        record(2, who="grafana", role="read", action="pause", parameters={}, **tried),
        record(3, who="file watcher", kind="file watcher", address=None, pipeline=None, action="take configuration"),
    ]
    page.open(ddpm.url)
    page.sees("alice · admin", "header")
    page.sees("ok night-shift (token from 10.0.3.7) scale orders replicas=3 3 replicas", ".card-audit")
    page.sees(f"refused grafana (token from 10.0.3.7) pause orders {NASTY} and 7 more before it", ".card-audit")
    page.sees("file watcher (file watcher) take configuration", ".card-audit")
    assert page.audit("contrast") + page.audit("names") == []
    page.leave()


EVERY = {"Pause", "Replay all", "Discard all"}


@pytest.mark.parametrize(("role", "disabled"), [("read", EVERY), ("operate", {"Discard all"})])
def test_what_a_role_may_not_do_is_disabled_and_says_why(
    role: str, disabled: set[str], ddpm: FakeDdpm, page: Page
) -> None:
    ddpm.who = {"name": "grafana", "kind": "token", "role": role, "address": "127.0.0.1"}
    page.open(ddpm.url)
    page.sees(f"grafana · {role}", "header")
    assert not page.all(".card-audit")
    page.open(f"{ddpm.url}/#/pipelines/orders")
    page.sees("1 open", ".card-letters")
    buttons = {name: page.button(name) for name in EVERY}
    assert {name for name, button in buttons.items() if not button.is_enabled()} == disabled
    needed = buttons["Discard all"].get_attribute("title")
    assert needed == f"needs the role admin; grafana has {role}"
