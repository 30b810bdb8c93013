"""The supervisor's decisions, replayed as histories with a clock of their own."""

import dataclasses
from typing import Any

import pytest

from ddpm.supervisor.policy import (
    Action,
    ProbeView,
    ReplicaView,
    Snapshot,
    Verdict,
    WaitReason,
    backoff,
    decide,
    describe_exit,
    judge,
)
from ddpm.supervisor.states import DesiredState, State

NEW = ReplicaView(
    index=0,
    state=State.STARTING,
    since=0.0,
    alive=True,
    exit_code=None,
    ready=False,
    ready_at=0.0,
    answered_at=0.0,
    failures=0,
    retry_at=0.0,
)
RUNNING = dataclasses.replace(NEW, state=State.RUNNING, ready=True)
KAFKA = ProbeView("kafka", True, "", 0.0)


def replica(base: ReplicaView = RUNNING, **changes: Any) -> ReplicaView:
    return dataclasses.replace(base, **changes)


def seen(*replicas: ReplicaView, **changes: Any) -> Snapshot:
    base = Snapshot(
        DesiredState.RUN, kill_requested=False, desired=max(1, len(replicas)), drain=20.0, replicas=replicas
    )
    return dataclasses.replace(base, **changes)


def fresh(now: float, **changes: Any) -> ReplicaView:
    """A running replica that has just answered."""
    return replica(ready_at=now, answered_at=now, **changes)


class TestDecide:
    def test_a_new_pipeline_launches_every_replica_that_is_wanted(self) -> None:
        steps = decide(seen(desired=3), now=0.0)
        assert [(step.index, step.action) for step in steps] == [(n, Action.LAUNCH) for n in range(3)]

    def test_a_starting_engine_runs_once_its_ends_are_connected(self) -> None:
        assert decide(seen(NEW), now=1.0) == ()
        (step,) = decide(seen(replica(NEW, ready=True, answered_at=2.0)), now=2.0)
        assert step.state is State.RUNNING

    def test_an_engine_that_died_is_started_again_after_the_backoff_and_not_before(self) -> None:
        (step,) = decide(seen(replica(alive=False, exit_code=-9)), now=100.0)
        assert (step.state, step.failures, step.retry_at) == (State.RECOVERING, 1, 100.2)
        assert step.reason == "engine was ended by signal 9; starting again at once"
        waiting = replica(state=State.RECOVERING, alive=False, exit_code=-9, failures=1, retry_at=100.2)
        assert decide(seen(waiting), now=100.1) == ()
        (again,) = decide(seen(waiting), now=100.2)
        assert again.action is Action.LAUNCH

    def test_a_crash_loop_is_called_by_its_name_and_waits_longer_each_time(self) -> None:
        dead = replica(alive=False, exit_code=1, failures=3)
        (step,) = decide(seen(dead), now=0.0)
        assert step.reason == "engine exited with code 1, the 4th time in a row; starting again in 4 s"

    def test_a_replica_that_crash_loops_leaves_the_others_alone(self) -> None:
        broken = replica(index=1, alive=False, exit_code=1)
        steps = decide(seen(fresh(9.0), broken), now=9.0)
        assert [step.index for step in steps] == [1]

    def test_five_healthy_minutes_forget_earlier_failures(self) -> None:
        assert decide(seen(replica(answered_at=299.0, failures=4)), now=299.0) == ()
        (step,) = decide(seen(replica(answered_at=300.0, failures=4)), now=300.0)
        assert step.failures == 0

    def test_an_engine_that_does_not_answer_for_a_minute_is_ended_and_the_reason_survives_its_end(self) -> None:
        assert decide(seen(replica(answered_at=0.0)), now=59.0) == ()
        (step,) = decide(seen(replica(answered_at=0.0)), now=60.0)
        assert (step.action, step.state) == (Action.KILL, State.RUNNING)
        (after,) = decide(seen(replica(alive=False, exit_code=-9, killed=step.reason)), now=61.0)
        assert after.reason == "engine did not answer for 60 s and was ended by force; starting again at once"

    def test_a_restart_drains_first_and_launches_without_a_pause(self) -> None:
        (step,) = decide(seen(fresh(5.0, restart="stalled: no commit")), now=5.0)
        assert (step.action, step.state, step.reason) == (Action.TERMINATE, State.DRAINING, "stalled: no commit")
        drained = replica(state=State.DRAINING, alive=False, exit_code=0, restart="stalled: no commit")
        (again,) = decide(seen(drained), now=6.0)
        assert (again.action, again.reason) == (Action.LAUNCH, "starting again, stalled: no commit")

    def test_a_restart_on_request_does_not_wait_for_the_backoff(self) -> None:
        waiting = replica(state=State.RECOVERING, alive=False, exit_code=1, retry_at=300.0, restart="on request")
        (step,) = decide(seen(waiting), now=1.0)
        assert step.action is Action.LAUNCH

    def test_a_configuration_error_is_not_retried_until_someone_asks(self) -> None:
        failed = replica(state=State.FAILED, alive=False)
        assert decide(seen(failed), now=1e6) == ()
        (step,) = decide(seen(dataclasses.replace(failed, restart="restarted on request")), now=1e6)
        assert step.action is Action.LAUNCH

    @pytest.mark.parametrize("wish", [DesiredState.PAUSE, DesiredState.STOP])
    def test_pausing_and_stopping_drain_first_and_force_when_the_budget_is_spent(self, wish: DesiredState) -> None:
        (first,) = decide(seen(fresh(10.0), wish=wish), now=10.0)
        assert (first.action, first.state) == (Action.TERMINATE, State.DRAINING)
        draining = replica(state=State.DRAINING, since=10.0)
        assert decide(seen(draining, wish=wish), now=34.9) == ()
        (late,) = decide(seen(draining, wish=wish), now=35.0)
        assert late.action is Action.KILL

    @pytest.mark.parametrize("wish", [DesiredState.PAUSE, DesiredState.STOP])
    def test_what_the_breaker_holds_back_is_not_waited_for(self, wish: DesiredState) -> None:
        draining = replica(state=State.DRAINING, since=10.0, held_back=True)
        assert decide(seen(draining, wish=wish), now=10.9) == ()
        (step,) = decide(seen(draining, wish=wish), now=11.0)
        assert (step.action, step.reason) == (Action.KILL, "what the breaker holds back is not waited for")

    def test_what_waits_is_left_to_the_engine_that_comes_next(self) -> None:
        changed = replica(state=State.DRAINING, since=10.0, waits=True, restart="changed")
        assert decide(seen(changed), now=10.2) == ()
        (step,) = decide(seen(changed), now=10.3)
        assert (step.action, step.state) == (Action.KILL, State.DRAINING)
        # Nothing comes next.
        stopped = replica(state=State.DRAINING, since=10.0, waits=True)
        assert decide(seen(stopped, wish=DesiredState.STOP), now=20.0) == ()

    def test_a_second_request_forces_at_once(self) -> None:
        draining = replica(state=State.DRAINING, since=10.0)
        (step,) = decide(seen(draining, wish=DesiredState.STOP, kill_requested=True), now=10.1)
        assert step.action is Action.KILL

    def test_a_resume_during_the_drain_waits_for_its_end(self) -> None:
        assert decide(seen(replica(state=State.DRAINING, since=0.0)), now=3.0) == ()
        (step,) = decide(seen(replica(state=State.DRAINING, alive=False, exit_code=0)), now=4.0)
        assert step.action is Action.LAUNCH

    def test_a_hold_ends_engines_at_once_and_starts_them_when_it_is_over(self) -> None:
        held = seen(fresh(1.0), held="made again")
        (step,) = decide(held, now=1.0)
        assert (step.action, step.state) == (Action.KILL, State.DRAINING)
        ending = replica(state=State.DRAINING, reason="made again")
        assert decide(seen(ending, held="made again"), now=2.0) == ()
        ended = replica(state=State.STOPPED, alive=False, exit_code=-9)
        assert decide(seen(ended, held="made again"), now=3.0) == ()
        (again,) = decide(seen(ended), now=4.0)
        assert again.action is Action.LAUNCH

    def test_fewer_replicas_drain_the_last_ones(self) -> None:
        steps = decide(seen(fresh(1.0), fresh(1.0, index=1), fresh(1.0, index=2), desired=1), now=1.0)
        assert [(step.index, step.action) for step in steps] == [(1, Action.TERMINATE), (2, Action.TERMINATE)]

    @pytest.mark.parametrize(
        ("exit_code", "reason"), [(0, "drained"), (1, "engine exited with code 1"), (None, "stopped")]
    )
    def test_a_stopped_replica_says_how_it_ended(self, exit_code: int | None, reason: str) -> None:
        ended = replica(state=State.DRAINING, alive=False, exit_code=exit_code)
        (step,) = decide(seen(ended, wish=DesiredState.STOP), now=1.0)
        assert (step.state, step.reason) == (State.STOPPED, reason)


class TestJudge:
    def verdict(self, snapshot: Snapshot, now: float = 0.0) -> tuple[State, str]:
        verdict = judge(snapshot, now)
        return verdict.state, verdict.reason

    def test_it_runs_when_engine_and_probes_say_so(self) -> None:
        assert self.verdict(seen(RUNNING, probes=(KAFKA,))) == (State.RUNNING, "input and outputs are connected")

    def test_it_starts_until_every_probe_has_answered_once(self) -> None:
        unasked = ProbeView("postgres", False, "", None)
        assert self.verdict(seen(RUNNING, probes=(KAFKA, unasked))) == (
            State.STARTING,
            "waiting for the first answer of postgres",
        )

    def test_it_is_degraded_and_names_every_culprit(self) -> None:
        away = dataclasses.replace(KAFKA, ok=False, message="cannot be reached")
        state, reason = self.verdict(
            seen(RUNNING, probes=(away,), waiting=WaitReason("postgres: does not take rows (53300)"))
        )
        assert state is State.DEGRADED
        assert reason == "kafka: cannot be reached; postgres: does not take rows (53300)"

    def test_what_a_person_should_know_changes_no_state(self) -> None:
        assert self.verdict(seen(RUNNING, note="the column a is NULL")) == (
            State.RUNNING,
            "input and outputs are connected; the column a is NULL",
        )

    def test_what_a_person_must_mend_is_failed_though_engines_run(self) -> None:
        gone = ProbeView("postgres", False, "the table events is not there any more", 0.0, broken=True)
        waiting = WaitReason("postgres: the table events is missing", "broken")
        state, reason = self.verdict(seen(RUNNING, probes=(gone,), waiting=waiting))
        assert (state, reason) == (State.FAILED, "postgres: the table events is not there any more")
        assert self.verdict(seen(RUNNING, waiting=waiting)) == (State.FAILED, waiting.reason)
        assert self.verdict(seen(NEW, waiting=waiting))[0] is State.FAILED, "also while it starts"

    def test_a_pause_that_nobody_asked_for_says_why(self) -> None:
        paused = seen(wish=DesiredState.PAUSE, paused_because="paused by the breaker: 500 of 1000 records")
        assert self.verdict(paused) == (State.PAUSED, "paused by the breaker: 500 of 1000 records")
        draining = dataclasses.replace(paused, replicas=(replica(state=State.DRAINING, reason="draining"),))
        assert self.verdict(draining) == (State.DRAINING, "paused by the breaker: 500 of 1000 records: draining")

    def test_a_pipeline_that_is_held_recovers(self) -> None:
        assert self.verdict(seen(RUNNING, held="made again")) == (State.RECOVERING, "made again")

    def test_a_probe_that_was_not_asked_for_long_proves_nothing(self) -> None:
        state, reason = self.verdict(seen(fresh(11.0), probes=(KAFKA,)), now=11.0)
        assert (state, reason) == (State.DEGRADED, "kafka: not asked for more than 10 s")

    def test_a_frozen_engine_is_named_soon_and_a_hiccup_is_not(self) -> None:
        assert self.verdict(seen(RUNNING), now=5.9)[0] is State.RUNNING
        assert self.verdict(seen(RUNNING), now=6.1) == (State.DEGRADED, "engine: does not answer")

    def test_an_engine_that_lost_its_ends_is_named(self) -> None:
        lost = replica(ready=False, answered_at=10.0, ready_at=3.0)
        assert self.verdict(seen(lost), now=10.0) == (State.DEGRADED, "engine: input or outputs are not connected")

    def test_one_replica_down_degrades_and_all_down_recovers(self) -> None:
        down = replica(index=1, state=State.RECOVERING, alive=False, reason="engine exited with code 1")
        assert self.verdict(seen(RUNNING, down)) == (State.DEGRADED, "replica 1: engine exited with code 1")
        assert self.verdict(seen(replica(down, index=0), down)) == (State.RECOVERING, "engine exited with code 1")

    def test_a_replica_that_joins_does_not_degrade_the_others(self) -> None:
        joining = replica(NEW, index=1, answered_at=30.0, since=20.0)
        assert self.verdict(seen(fresh(30.0), joining), now=30.0) == (State.RUNNING, "1 of 2 replicas run")

    @pytest.mark.parametrize(
        ("wish", "replicas", "state"),
        [
            (DesiredState.PAUSE, (replica(state=State.DRAINING),), State.DRAINING),
            (DesiredState.PAUSE, (replica(state=State.STOPPED, alive=False),), State.PAUSED),
            (DesiredState.PAUSE, (), State.PAUSED),
            (DesiredState.STOP, (replica(state=State.STOPPED, alive=False),), State.STOPPED),
            (DesiredState.STOP, (replica(state=State.FAILED, alive=False),), State.FAILED),
            (DesiredState.RUN, (replica(state=State.FAILED, alive=False),), State.FAILED),
            (DesiredState.RUN, (replica(state=State.DRAINING),), State.DRAINING),
            (DesiredState.RUN, (), State.STARTING),
        ],
    )
    def test_what_was_asked_for_decides_the_rest(
        self, wish: DesiredState, replicas: tuple[ReplicaView, ...], state: State
    ) -> None:
        assert self.verdict(seen(*replicas, wish=wish))[0] is state


def test_backoff_is_nothing_the_first_time_then_doubles_up_to_five_minutes_and_jitter_only_adds() -> None:
    assert [backoff(n, 0.0) for n in range(6)] == [0.2, 1.0, 2.0, 4.0, 8.0, 16.0]
    assert backoff(1_000_000, 1.0) == 300.0
    assert 4.0 <= backoff(3, 0.999) < 5.0


def test_exits_are_described_for_people() -> None:
    assert describe_exit(-15) == "was ended by signal 15"
    assert describe_exit(None) == "runs"


class TestLaunchersThatCannotAct:
    def test_an_engine_that_docker_cannot_start_yet_is_waited_for(self) -> None:
        waiting = replica(NEW, trouble="no Docker answers")
        assert decide(seen(waiting), now=1_000.0) == ()
        assert judge(seen(waiting), now=1_000.0) == Verdict(State.RECOVERING, "no Docker answers")

    def test_an_engine_that_runs_without_its_docker_is_told_and_left_running(self) -> None:
        alone = fresh(1_000.0, trouble="no Docker answers")
        assert decide(seen(alone), now=1_000.0) == ()
        assert judge(seen(alone), now=1_000.0) == Verdict(State.DEGRADED, "engine: no Docker answers")

    def test_a_silent_engine_of_others_is_told_and_never_ended(self) -> None:
        for base in (NEW, RUNNING):
            silent = seen(base, external=True)
            assert decide(silent, now=10_000.0) == ()
            assert judge(silent, now=10_000.0) == Verdict(State.DEGRADED, "engine: does not answer")

    def test_an_engine_of_others_gets_time_for_its_first_answer(self) -> None:
        assert judge(seen(NEW, external=True), now=1.0).state is State.STARTING
