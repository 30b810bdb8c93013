"""When files that have changed are read again by themselves, and in which order what was asked for is done."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from ddpm.components.registry import pipeline_type
from ddpm.config import load as load_config
from ddpm.config.model import Config
from ddpm.errors import ConfigError
from ddpm.observability.audit_log import Actor, AuditLog
from ddpm.orchestrator.run import reloads
from ddpm.orchestrator.run.comparing import Changes
from ddpm.orchestrator.run.fleet import Fleet
from ddpm.orchestrator.run.reloads import Reloads
from ddpm.supervisor.runner import Supervisor
from harness.waiting import eventually
from unit.config.folder import Folder

TEXT = """\
app:
  kafka: {brokers: ["b:1"], topics: [orders], consumer_group: g}
  postgres: {url: "postgresql://u:${file:password}@h/d", table: orders}
"""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloads, "SETTLED_SECONDS", 0.0)
    monkeypatch.setattr(reloads, "SETTLED_SECRET_SECONDS", 0.0)
    monkeypatch.setattr(reloads, "LOOK_SECONDS", 0.0)


@pytest.fixture
def config(folder: Folder) -> Config:
    folder.write("first", "password")
    return folder.load(TEXT).config


def reloads_of(
    config: Config,
    *,
    by_itself: bool = False,
    load: Callable[[], Config] | None = None,
    admit: Callable[[Config], Callable[[], bool]] = lambda _: lambda: False,
) -> Reloads:
    return Reloads(
        config,
        load,
        supervisor=Supervisor([]),
        log_as=lambda _: None,
        admit=admit,
        audit=AuditLog(config.path.parent),
        by_itself=by_itself,
    )


def asked_after(config: Config, *, by_itself: bool) -> int:
    """How many reloads are asked for in some looks."""
    found = reloads_of(config, by_itself=by_itself)
    for _ in range(4):
        found.ticked()
    return found.request() - 1


class Recorded:
    """In place of the pipelines: the plans that were carried out, each refused."""

    def __init__(self) -> None:
        self.plans: list[str | None] = []

    def exchange(self, _: object, plan: str | None) -> None:
        self.plans.append(plan)
        raise ConfigError(f"refused {plan}")


def test_requests_are_carried_out_together_but_a_plan_by_itself(config: Config) -> None:
    found, fleet = reloads_of(config), Recorded()
    someone = Actor("someone", "token")
    numbers = [found.request(), found.request(), found.request_plan("abc", someone), found.request()]

    def all_done() -> bool:
        found.ticked()
        return len(fleet.plans) == 3

    with found.of(cast("Fleet", fleet)):
        eventually(all_done, "all are carried out")
    assert fleet.plans == [None, "abc", None]
    ended = [found.of_number(number) for number in numbers]
    assert [each and each.message for each in ended] == [
        f"the former configuration runs on: refused {plan}" for plan in (None, None, "abc", None)
    ]
    assert ended[0] is ended[1]
    assert ended[0] is not ended[3]
    assert found.of_number(numbers[-1] + 1) is None


def test_an_edit_while_pipelines_are_exchanged_is_one_that_nobody_has_read(folder: Folder) -> None:
    template = folder.write("first", "template.yaml")
    config = folder.load(TEXT.replace("${file:password}", "p") + "  pipeline_template: template.yaml\n").config

    class Edited:
        def __init__(self) -> None:
            self.config, self.config_hash = config, ""

        def exchange(self, load: Callable[[], Config], _plan: str | None) -> Changes:
            load()
            template.write_text("second")
            return Changes()

    found = reloads_of(config, load=lambda: config)

    def taken() -> bool:
        found.ticked()
        return found.last is not None and found.last.state == "done"

    with found.of(cast("Fleet", Edited())):
        found.request()
        eventually(taken, "it is taken")
    assert "template.yaml changed since it was read" in (found.changed() or "")


def test_what_would_lock_everybody_out_is_not_planned(config: Config) -> None:
    class Planning:
        def __init__(self) -> None:
            self.config = config

        def plan(self, load: Callable[[], Config]) -> None:
            load()

    def refuse(_: Config) -> Callable[[], bool]:
        raise ConfigError("anyone could come in")

    found = reloads_of(config, load=lambda: config, admit=refuse)
    with found.of(cast("Fleet", Planning())), pytest.raises(ConfigError, match="anyone could come in"):
        found.plan()


@pytest.mark.parametrize("by_itself", [True, False])
def test_nothing_is_asked_for_while_nothing_has_changed(config: Config, *, by_itself: bool) -> None:
    assert asked_after(config, by_itself=by_itself) == 0


@pytest.mark.parametrize("by_itself", [True, False])
def test_a_secret_that_was_rotated_is_read_once(config: Config, folder: Folder, *, by_itself: bool) -> None:
    folder.write("second", "password")
    assert asked_after(config, by_itself=by_itself) == 1


def test_an_edit_is_read_by_itself_only_where_that_was_asked_for(config: Config, folder: Folder) -> None:
    config.path.write_text(TEXT + "  replicas: 2\n")
    assert asked_after(config, by_itself=False) == 0
    assert asked_after(config, by_itself=True) == 1


def test_a_secret_takes_no_edit_along_that_was_not_asked_for(config: Config, folder: Folder) -> None:
    config.path.write_text(TEXT + "  replicas: 2\n")
    folder.write("second", "password")
    assert asked_after(config, by_itself=False) == 0


def test_a_file_that_was_added_and_cannot_be_read_is_looked_at_again_when_it_is_edited(folder: Folder) -> None:
    folder.write("first", "password")
    folder.write(TEXT, "conf/app.yaml")
    config = load_config(Path("conf"), {}, model=pipeline_type()).config
    found = reloads_of(config, by_itself=True)

    def asked() -> int:
        for _ in range(4):
            found.ticked()
        return len(found._waiting)

    assert asked() == 0
    for count, text in enumerate(("app: [", "app: ]", "pipelines: {a: {}}"), start=1):
        folder.write(text, "conf/new.yaml")
        assert asked() == count
    assert asked() == count, "and no more often"
