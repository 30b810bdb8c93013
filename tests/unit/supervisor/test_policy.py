"""The supervisor's decisions, replayed as histories with a clock of their own."""

import dataclasses

import pytest

from ddpm.supervisor.policy import Action, Snapshot, backoff, decide, describe_exit
from ddpm.supervisor.states import State

STARTING = Snapshot(
    state=State.STARTING,
    since=0.0,
    alive=False,
    exit_code=None,
    ready=False,
    stop_requested=False,
    kill_requested=False,
    failures=0,
    retry_at=0.0,
    drain=20.0,
)


def seen(**changes: object) -> Snapshot:
    return dataclasses.replace(STARTING, **changes)  # type: ignore[arg-type]


RUNNING = {"state": State.RUNNING, "alive": True, "ready": True}


def test_a_new_pipeline_is_launched() -> None:
    decision = decide(seen(), now=0.0)
    assert decision is not None
    assert (decision.action, decision.state) == (Action.LAUNCH, State.STARTING)


def test_a_starting_engine_runs_once_its_ends_are_connected() -> None:
    assert decide(seen(alive=True), now=1.0) is None
    decision = decide(seen(alive=True, ready=True), now=2.0)
    assert decision is not None
    assert decision.state is State.RUNNING


def test_an_engine_that_died_is_started_again_after_the_backoff_and_not_before() -> None:
    decision = decide(seen(**RUNNING | {"alive": False, "exit_code": -9}), now=100.0)
    assert decision is not None
    assert (decision.state, decision.failures, decision.retry_at) == (State.RECOVERING, 1, 101.0)
    assert decision.reason == "engine was ended by signal 9; starting again in 1 s"
    waiting = seen(state=State.RECOVERING, exit_code=-9, failures=1, retry_at=101.0)
    assert decide(waiting, now=100.9) is None
    again = decide(waiting, now=101.0)
    assert again is not None
    assert again.action is Action.LAUNCH


def test_five_healthy_minutes_forget_earlier_failures() -> None:
    assert decide(seen(**RUNNING, since=0.0, failures=4), now=299.0) is None
    decision = decide(seen(**RUNNING, since=0.0, failures=4), now=300.0)
    assert decision is not None
    assert decision.failures == 0


def test_stopping_drains_first_and_forces_when_the_budget_is_spent() -> None:
    first = decide(seen(**RUNNING, stop_requested=True), now=10.0)
    assert first is not None
    assert (first.action, first.state) == (Action.TERMINATE, State.DRAINING)
    draining = {"state": State.DRAINING, "alive": True, "stop_requested": True, "since": 10.0}
    assert decide(seen(**draining), now=34.9) is None
    late = decide(seen(**draining), now=35.0)
    assert late is not None
    assert late.action is Action.KILL


def test_a_second_request_forces_at_once() -> None:
    draining = seen(state=State.DRAINING, alive=True, stop_requested=True, kill_requested=True, since=10.0)
    decision = decide(draining, now=10.1)
    assert decision is not None
    assert decision.action is Action.KILL


@pytest.mark.parametrize(("exit_code", "reason"), [(0, "drained"), (1, "engine exited with code 1"), (None, "stopped")])
def test_a_stopped_pipeline_says_how_it_ended(exit_code: int | None, reason: str) -> None:
    decision = decide(seen(state=State.DRAINING, stop_requested=True, exit_code=exit_code), now=1.0)
    assert decision is not None
    assert (decision.state, decision.reason) == (State.STOPPED, reason)


@pytest.mark.parametrize("state", [State.STOPPED, State.FAILED])
def test_nothing_is_decided_about_a_pipeline_that_has_ended(state: State) -> None:
    assert decide(seen(state=state), now=1e6) is None


def test_backoff_doubles_up_to_five_minutes_and_jitter_only_adds() -> None:
    assert [backoff(n, 0.0) for n in range(5)] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert backoff(1_000_000, 1.0) == 300.0
    assert 4.0 <= backoff(2, 0.999) < 5.0


def test_exits_are_described_for_people() -> None:
    assert describe_exit(-15) == "was ended by signal 15"
    assert describe_exit(None) == "runs"
