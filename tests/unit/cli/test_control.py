"""Asking for something and waiting until it is so."""

import json
from dataclasses import replace

import pytest

from ddpm.errors import ExitCode
from ddpm.supervisor.states import DesiredState, State
from unit.cli.fake_ddpm import Deaf, Obedient, call, error_of, running
from unit.server.pictures import ORDERS, RETURNS

PAUSED = replace(ORDERS, state=State.PAUSED, reason="paused on request", wish=DesiredState.PAUSE, replicas=())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pause", "orders"), "orders is paused: paused on request"),
        (("drain", "orders"), "orders is stopped: drain requested"),
        (("restart", "orders"), "orders is running: input and outputs are connected"),
        (("scale", "orders", "2"), "orders is running: input and outputs are connected"),
        (("scale", "orders", "auto"), "orders is running: input and outputs are connected"),
    ],
)
def test_it_returns_when_what_was_asked_is_so(arguments: tuple[str, ...], said: str) -> None:
    with running(ORDERS, RETURNS) as fake:
        result = call(*arguments, "--url", fake.url)
    assert (result.exit_code, result.stdout) == (0, f"{said}\n")


@pytest.mark.parametrize(
    "arguments", [("pause",), ("resume",), ("restart",), ("drain",), ("scale", "2"), ("scale", "auto")], ids=" ".join
)
def test_the_name_of_an_only_pipeline_may_be_omitted(arguments: tuple[str, ...]) -> None:
    with running(ORDERS) as fake:
        result = call(*arguments, "--url", fake.url)
    assert (result.exit_code, result.stdout.partition(" ")[0]) == (0, "orders")


def test_where_there_are_several_pipelines_they_are_named() -> None:
    with running(ORDERS, RETURNS) as fake:
        error = error_of(call("pause", "--url", fake.url))
    assert (error.message, error.hint) == ("there are several pipelines: orders, returns", "name one of them")


def test_a_paused_pipeline_is_resumed() -> None:
    with running(PAUSED) as fake:
        result = call("resume", "orders", "--url", fake.url)
    assert (result.exit_code, result.stdout) == (0, "orders is running: input and outputs are connected\n")


def test_to_resume_what_runs_succeeds_and_says_that_it_runs() -> None:
    with running(ORDERS) as fake:
        result = call("resume", "orders", "--url", fake.url)
    assert (result.exit_code, result.stdout) == (0, "orders is running: input and outputs are connected\n")


def test_scaling_a_paused_pipeline_takes_effect_later() -> None:
    with running(PAUSED) as fake:
        result = call("scale", "orders", "2", "--url", fake.url)
    assert result.exit_code == 0
    assert "2 replicas will run when it is resumed" in result.stdout


@pytest.mark.parametrize("arguments", [("pause",), ("drain",), ("restart",), ("scale", "2")])
def test_what_does_not_come_true_in_time_is_an_error_with_state_and_reason(arguments: tuple[str, ...]) -> None:
    verb, *more = arguments
    with running(ORDERS, kind=Deaf) as fake:
        result = call(verb, "orders", *more, "--timeout", "300ms", "--url", fake.url)
    error = error_of(result)
    assert error.exit_code is ExitCode.RUNTIME
    assert "orders is running and not" in str(error)
    assert "after 0.3 s: input and outputs are connected" in str(error)
    assert "ddpm logs orders" in str(error)
    assert "orders is running: input" in result.stderr, "what happens meanwhile is shown"


class Failing(Obedient):
    def _run(self, name: str) -> None:
        self.change(name, State.FAILED, "the engine refuses its configuration", wish=DesiredState.RUN, replicas=())


def test_a_failure_ends_the_waiting_at_once() -> None:
    with running(ORDERS, kind=Failing) as fake:
        error = error_of(call("restart", "orders", "--timeout", "1h", "--url", fake.url))
    assert "orders is failed and not running again: the engine refuses its configuration" in str(error)


def test_that_it_had_failed_before_does_not_end_the_waiting() -> None:
    failed = replace(ORDERS, state=State.FAILED, reason="the engine refuses its configuration", replicas=())
    with running(failed, kind=Deaf) as fake:
        fake.supervisor.events.add("orders", "state", "the engine refuses its configuration", "failed")
        error = error_of(call("restart", "orders", "--timeout", "300ms", "--url", fake.url))
    assert "after 0.3 s" in str(error)


def test_it_need_not_wait() -> None:
    with running(ORDERS, kind=Deaf) as fake:
        result = call("pause", "orders", "--no-wait", "--url", fake.url)
        assert fake.supervisor.asked == [("pause", "orders")]
    assert result.exit_code == 0
    assert result.stdout == "orders: it drains and stays paused until it is resumed\n"


def test_json_is_the_status_that_was_reached() -> None:
    with running(ORDERS) as fake:
        result = call("pause", "orders", "--json", "--url", fake.url)
        asked = call("drain", "orders", "--json", "--no-wait", "--url", fake.url)
    assert json.loads(result.stdout)["state"] == "paused"
    assert json.loads(asked.stdout)["accepted"] == "drain"


@pytest.mark.parametrize("replicas", ["0", "-1", "two", "1.5", "", "²", "AUTO"])
def test_what_is_no_number_of_replicas_is_refused_before_anyone_is_asked(replicas: str) -> None:
    result = call("scale", "orders", "--", replicas)
    assert result.exit_code == 2


def test_more_replicas_than_partitions_are_refused_with_the_way_out() -> None:
    with running(ORDERS) as fake:
        error = error_of(call("scale", "orders", "5", "--url", fake.url))
        too_many = error_of(call("scale", "orders", "1000", "--url", fake.url))
    assert "more than the 2 partitions" in str(error)
    assert "min_partitions" in str(error)
    assert too_many.exit_code is ExitCode.CONFIG


@pytest.mark.parametrize("timeout", ["soon", "0s", "-1", "inf", "nan"])
def test_what_is_no_duration_is_refused(timeout: str) -> None:
    assert call("pause", "orders", f"--timeout={timeout}").exit_code == 2


CHANGED = "app-config.yaml changed since it was read; `ddpm reload` applies it"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("restart", "orders"), True),
        (("restart", "orders", "--no-wait"), True),
        (("status",), True),
        (("status", "orders"), True),
        (("pause", "orders"), False),
    ],
)
def test_an_edit_that_has_no_effect_yet_is_told(arguments: tuple[str, ...], told: bool) -> None:
    with running(ORDERS, RETURNS) as fake:
        fake.supervisor.config_changed = CHANGED
        result = call(*arguments, "--url", fake.url)
    assert result.exit_code == 0
    assert (CHANGED in " ".join(result.output.split())) is told
