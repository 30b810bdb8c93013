"""The runner with engines that only pretend: what it launches, when, and what its statuses say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ddpm.errors import ConfigError, EngineError, MissingToolError, NewerStateError
from ddpm.supervisor.memory import MemoryFile
from ddpm.supervisor.meter import Reading
from ddpm.supervisor.pipeline import PipelineSpec
from ddpm.supervisor.policy import WaitReason
from ddpm.supervisor.runner import Launchable, Supervisor
from ddpm.supervisor.scaling import StabilizationWindow
from ddpm.supervisor.states import State
from ddpm.supervisor.status import PartitionStatus, Status


class FakeEngine:
    """An engine whose end the test decides."""

    def __init__(self, pid: int) -> None:
        self.pid: int | None = pid
        self.container: str | None = None
        self.url: str | None = f"http://127.0.0.1:{4000 + pid}"
        self.ended_by: str | None = None
        self.in_trouble: str | None = None
        self.ended_with: int | None = None
        self.asked_to_drain = False
        self.said = ("error: out of luck",)

    def exit_code(self) -> int | None:
        return self.ended_with

    def ending(self) -> str | None:
        return self.ended_by

    def trouble(self) -> str | None:
        return self.in_trouble

    def terminate(self) -> None:
        self.asked_to_drain = True
        self.ended_with = 0

    def kill(self) -> None:
        self.ended_with = -9

    def last_lines(self) -> tuple[str, ...]:
        return self.said


class World:
    """A clock, the engines launched so far, and a pipeline called orders."""

    def __init__(self, folder: Path, **managed: Any) -> None:
        self.now = 0.0
        self.engines: list[FakeEngine] = []
        self.refuse: Iterator[Exception] = iter(())
        settings = {
            "replicas": 1,
            "limits": None,
            "patience": StabilizationWindow(),
            "probes": {"kafka": "broker", "postgres": "sink"},
            **managed,
        }
        memory = MemoryFile(folder / "orders.json")
        self.supervisor = Supervisor([PipelineSpec("orders", 20.0, memory=memory, **settings)], lambda: self.now)
        self.mute: set[str] = set()

    def begin(self) -> "World":
        for pipeline in self.supervisor._pipelines.values():
            pipeline.launch_with(self.launch, "abc123", 8)
        return self

    def launch(self, _replica: int) -> FakeEngine:
        for error in self.refuse:
            raise error
        self.engines.append(FakeEngine(pid=len(self.engines) + 1))
        return self.engines[-1]

    def after(self, seconds: float, problem: str | None = None) -> State:
        """Let time pass while engines and probes answer, then look."""
        end = self.now + seconds
        while True:
            for index, url in self.supervisor.vitals("orders").engines:
                if "engine" not in self.mute:
                    self.supervisor.engine_answered("orders", index, url, ready=True)
            self.supervisor.probed("orders", "kafka", problem)
            self.supervisor.probed("orders", "postgres", None)
            self.supervisor.tick()
            if self.now >= end:
                return self.status.state
            self.now = min(end, self.now + 1.0)

    def run(self) -> None:
        self.after(0)
        assert self.after(2) is State.RUNNING

    @property
    def status(self) -> Status:
        (status,) = self.supervisor.statuses()
        return status

    def events(self, kind: str) -> list[str]:
        return [event.message for event in self.supervisor.events.since() if event.kind == kind]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path).begin()


def test_before_the_launch_it_says_what_it_waits_for(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.supervisor.announce("the servers are being prepared")
    assert (world.status.state, world.status.reason) == (State.STARTING, "the servers are being prepared")


def test_a_pipeline_starts_and_runs(world: World) -> None:
    assert world.after(0) is State.STARTING
    assert world.after(1) is State.RUNNING
    (replica,) = world.status.replicas
    assert (replica.pid, replica.ready, replica.restarts) == (1, True, 0)
    assert {probe.name: probe.ok for probe in world.status.probes} == {
        "engine 0": True,
        "kafka": True,
        "postgres": True,
    }
    assert world.status.config_hash == "abc123"


def test_a_killed_engine_is_replaced_counted_and_its_last_words_are_kept(world: World) -> None:
    world.run()
    world.engines[0].ended_with = -9
    assert world.after(0) is State.RECOVERING
    assert world.status.replicas[0].pid is None
    assert world.status.next_retry is not None
    assert world.after(3) is State.RUNNING
    assert world.status.restarts == 1
    assert [each.pid for each in world.status.replicas] == [2]
    assert world.status.last_exit is not None
    assert (world.status.last_exit.signal, world.status.last_exit.log) == ("SIGKILL", ("error: out of luck",))
    assert world.status.last_exit.config_hash == "abc123"
    assert world.events("exit") == ["engine 0 was ended by signal 9"]


def test_the_last_exit_survives_a_restart_of_ddpm(world: World, tmp_path: Path) -> None:
    world.run()
    world.engines[0].ended_with = 3
    world.after(0)
    last = World(tmp_path).status.last_exit
    assert last is not None
    assert (last.code, last.signal, last.log) == (3, None, ("error: out of luck",))


def test_a_configuration_that_the_engine_refuses_is_not_retried(world: World) -> None:
    world.refuse = iter([ConfigError("bad mapping")])
    assert world.after(0) is State.FAILED
    assert world.status.reason == "bad mapping"
    assert world.after(100) is State.FAILED
    assert world.engines == []


def test_a_failed_pipeline_starts_when_someone_mended_it_and_asks(world: World) -> None:
    world.refuse = iter([ConfigError("bad mapping")])
    world.after(0)
    world.supervisor.resume("orders")
    world.after(0)
    assert world.after(2) is State.RUNNING


@pytest.mark.parametrize(
    "error",
    [
        EngineError("no memory"),
        MissingToolError("no memory", hint="x"),
        OSError("no memory"),
        RuntimeError("no memory"),
    ],
)
def test_a_launch_that_may_succeed_later_is_retried(world: World, error: Exception) -> None:
    world.refuse = iter([error])
    world.after(0)
    assert world.after(0.2) is State.RECOVERING
    assert world.status.reason == "engine not started: no memory; starting again at once"
    assert world.after(3) is State.RUNNING
    assert len(world.engines) == 1


def test_a_broker_that_goes_away_degrades_with_its_name_and_recovers_by_itself(world: World) -> None:
    world.run()
    assert world.after(1, problem="cannot be reached") is State.DEGRADED
    assert world.status.reason == "kafka: cannot be reached"
    assert world.status.last_error is not None
    assert world.after(1) is State.RUNNING


def test_a_frozen_engine_degrades_then_is_replaced(world: World) -> None:
    world.run()
    world.mute.add("engine")
    assert world.after(7) is State.DEGRADED
    assert world.status.reason == "engine: does not answer"
    world.after(54)
    world.mute.clear()
    assert world.after(5) is State.RUNNING
    assert world.status.restarts == 1


def test_pause_drains_and_survives_a_restart_of_ddpm_and_resume_runs_again(world: World, tmp_path: Path) -> None:
    world.run()
    world.supervisor.pause("orders")
    world.after(0)
    assert world.engines[0].asked_to_drain
    assert world.after(1) is State.PAUSED
    again = World(tmp_path).begin()
    assert again.after(5) is State.PAUSED
    assert again.engines == []
    again.supervisor.resume("orders")
    again.after(0)
    assert again.after(2) is State.RUNNING


def test_a_drained_pipeline_runs_again_after_a_restart_of_ddpm(world: World, tmp_path: Path) -> None:
    world.run()
    world.supervisor.drain_one("orders")
    world.after(0)
    assert world.after(1) is State.STOPPED
    assert World(tmp_path).begin().after(2) is State.RUNNING


def test_time_in_which_ddpm_itself_was_frozen_is_no_silence_of_the_engines(world: World) -> None:
    world.run()
    world.now += 600
    world.supervisor.tick()
    assert world.after(2) is State.RUNNING
    assert len(world.engines) == 1


def test_a_stall_that_was_seen_before_a_pause_does_not_undo_it(world: World, tmp_path: Path) -> None:
    world.run()
    world.supervisor.pause("orders")
    world.supervisor.restart("orders", "stalled: nothing committed", "stall")
    world.after(0)
    assert world.after(1) is State.PAUSED
    assert World(tmp_path).begin().after(3) is State.PAUSED


def test_a_pause_outlives_a_drain_and_the_end_of_bounded_work(world: World, tmp_path: Path) -> None:
    world.run()
    world.supervisor.pause("orders")
    world.after(1)
    world.supervisor.finish("orders", "read to the end")
    world.supervisor.drain_one("orders")
    assert world.after(1) is State.STOPPED
    assert not world.status.finished
    assert World(tmp_path).begin().after(3) is State.PAUSED


def test_a_lag_that_is_not_known_any_more_is_not_told(world: World) -> None:
    world.run()
    world.supervisor.partitions_seen("orders", (PartitionStatus("orders", 0, 0, 5, 5, 1.0),))
    world.after(0)
    assert world.status.lag == 5
    world.supervisor.partitions_seen("orders", None)
    world.after(0)
    assert world.status.lag is None


def test_a_failed_replica_that_is_not_wanted_any_more_is_forgotten(world: World) -> None:
    world.run()
    world.refuse = iter([ConfigError("bad mapping")])
    world.supervisor.scale("orders", 2)
    world.after(0)
    assert [each.state for each in world.status.replicas] == [State.RUNNING, State.FAILED]
    world.supervisor.scale("orders", 1)
    world.after(1)
    assert [each.state for each in world.status.replicas] == [State.RUNNING]
    assert world.status.state is State.RUNNING


def test_an_engine_that_comes_back_from_a_crash_loop_has_to_hold_out(world: World) -> None:
    world.run()
    for _ in range(3):
        world.engines[-1].ended_with = 1
        world.after(12)
    assert world.status.state is State.DEGRADED
    assert world.status.reason == "engine: runs again after ending 3 times in a row"
    assert world.after(31) is State.RUNNING


def test_a_note_that_cannot_be_followed_ends_nothing(world: World) -> None:
    world.run()
    world.supervisor.probed("orders", "no such probe", None)
    assert world.after(1) is State.RUNNING


def test_restarts_are_not_forgotten_with_the_replica_that_had_them(world: World) -> None:
    world.run()
    world.supervisor.scale("orders", 2)
    world.after(3)
    world.engines[1].ended_with = 1
    world.after(5)
    assert world.status.restarts == 1
    world.supervisor.scale("orders", 1)
    world.after(3)
    assert len(world.status.replicas) == 1
    assert world.status.restarts == 1


def test_a_stall_restarts_with_its_reason(world: World) -> None:
    world.run()
    world.supervisor.restart("orders", "stalled: nothing committed", "stall")
    world.after(0)
    assert world.status.reason == "stalled: nothing committed"
    assert world.after(3) is State.RUNNING
    assert (world.status.restarts, len(world.engines)) == (1, 2)
    assert world.events("stall") == ["stalled: nothing committed"]


def test_scaling_by_hand_starts_and_ends_engines_and_never_more_than_partitions(world: World) -> None:
    world.run()
    partitions = tuple(PartitionStatus("orders", number, 0, 0, 0, 0.0) for number in range(2))
    world.supervisor.partitions_seen("orders", partitions)
    world.supervisor.scale("orders", 3)
    world.after(0)
    assert world.after(2) is State.RUNNING
    assert [each.index for each in world.status.replicas] == [0, 1]
    assert world.status.scaling.mode == "manual"
    assert "2 partitions" in world.status.scaling.reason
    world.supervisor.scale("orders", None)
    world.after(0)
    world.after(1)
    assert [each.index for each in world.status.replicas] == [0]
    assert (world.status.scaling.ups, world.status.scaling.downs) == (1, 1)


def test_totals_go_on_over_a_restart(world: World) -> None:
    world.run()
    url = str(world.engines[0].url)
    world.supervisor.engine_answered("orders", 0, url, ready=True, reading=Reading(10, 8, 2, 0))
    world.engines[0].ended_with = 1
    world.after(3)
    url = str(world.engines[1].url)
    world.supervisor.engine_answered("orders", 0, url, ready=True, reading=Reading(5, 5, 0, 1))
    world.after(0)
    totals = world.status.totals
    assert (totals.read, totals.written, totals.dead, totals.duplicates) == (15, 13, 2, 1)


def test_drain_waits_for_the_engine_and_then_run_returns(world: World) -> None:
    world.run()
    world.supervisor.drain()
    world.supervisor.run({"orders": Launchable(world.launch, "abc123", 8)})
    assert world.status.state is State.STOPPED
    assert world.engines[0].asked_to_drain


def test_a_bounded_run_returns_when_its_work_is_done(world: World) -> None:
    world.run()
    world.supervisor.finish("orders", "read to the end")
    world.supervisor.run({"orders": Launchable(world.launch, "abc123", 8)})
    assert (world.status.state, world.status.reason) == (State.STOPPED, "read to the end")


def test_run_ends_every_engine_when_it_is_interrupted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run()

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.supervisor, "tick", interrupted)
    with pytest.raises(KeyboardInterrupt):
        world.supervisor.run({"orders": Launchable(world.launch, "abc123", 8)})
    assert world.engines[0].ended_with == -9


def test_memory_that_cannot_be_read_is_left_aside(tmp_path: Path) -> None:
    (tmp_path / "orders.json").write_text('{"version": 1, "wish": "fly"}')
    assert World(tmp_path).begin().after(2) is State.RUNNING


def test_memory_of_a_newer_ddpm_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    text = '{"version": 3, "ddpm": "0.9.2", "wish": "pause"}'
    (tmp_path / "orders.json").write_text(text)
    with pytest.raises(
        NewerStateError, match=r"orders\.json has version 3, written by ddpm 0\.9\.2; .*up to 1"
    ) as refused:
        World(tmp_path)
    assert refused.value.hint == "upgrade ddpm to 0.9.2 or later"
    assert (tmp_path / "orders.json").read_text() == text


def test_memory_that_cannot_be_written_does_not_disturb(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    world = World(tmp_path / "file").begin()
    world.run()
    world.supervisor.pause("orders")
    world.after(0)
    assert world.after(1) is State.PAUSED


TRIPPED = WaitReason("paused by the breaker: 500 of 1000 records in a row are dead", "breaker")


def trip(world: World) -> None:
    ((index, url),) = world.supervisor.vitals("orders").engines
    world.supervisor.engine_answered("orders", index, url, ready=True, reading=Reading(), waiting=TRIPPED)
    world.after(1)


def test_the_breaker_pauses_until_somebody_resumes_over_restarts_too(tmp_path: Path) -> None:
    world = World(tmp_path).begin()
    world.run()
    trip(world)
    assert (world.status.state, world.status.reason) == (State.PAUSED, TRIPPED.reason)
    assert (world.status.tripped, world.status.trips) == (True, 1)
    assert world.events("alarm") == [TRIPPED.reason]
    next_run = World(tmp_path).begin()
    assert next_run.after(1) is State.PAUSED
    assert (next_run.status.reason, next_run.status.tripped) == (TRIPPED.reason, True)
    next_run.supervisor.resume("orders")
    next_run.run()
    assert next_run.status.tripped is False
    assert World(tmp_path).begin().after(1) is State.RUNNING


def test_the_breaker_ends_bounded_work_with_its_reason(tmp_path: Path) -> None:
    world = World(tmp_path, bounded=True).begin()
    world.run()
    trip(world)
    assert (world.status.state, world.status.reason) == (State.FAILED, TRIPPED.reason)
    assert world.supervisor._pipelines["orders"].failed


def test_a_hold_ends_the_engines_until_it_is_launched_anew(world: World) -> None:
    world.run()
    world.supervisor.hold("orders", "deleted and made again: events")
    assert world.after(1) is State.RECOVERING
    assert world.supervisor.vitals("orders").held
    assert len(world.engines) == 1
    world.supervisor.launch_anew("orders", Launchable(world.launch, "another", 8))
    world.run()
    assert (len(world.engines), world.status.config_hash) == (2, "another")


def test_what_a_person_must_mend_does_not_end_the_run(world: World) -> None:
    world.run()
    world.supervisor.probed("orders", "postgres", "the table is not there any more", broken=True)
    world.supervisor.tick()
    assert world.status.state is State.FAILED
    assert not world.supervisor._pipelines["orders"].settled
    assert world.after(1) is State.RUNNING


def test_an_engine_that_knows_how_it_ended_gives_the_reason(tmp_path: Path) -> None:
    world = World(tmp_path).begin()
    world.run()
    world.engines[0].ended_by = "it needed more memory than its container may have"
    world.engines[0].ended_with = -9
    assert world.after(0) is State.RECOVERING
    assert world.status.reason.startswith("it needed more memory than its container may have; starting again at once")
    assert world.status.last_exit is not None
    assert (world.status.last_exit.signal, world.status.last_exit.reason) == ("SIGKILL", world.engines[0].ended_by)


def test_an_engine_of_others_is_neither_paused_nor_restarted_nor_held_against_its_exit(tmp_path: Path) -> None:
    world = World(tmp_path, external=True).begin()
    world.run()
    ((index, url),) = world.supervisor.vitals("orders").engines
    world.supervisor.engine_answered("orders", index, url, ready=True, reading=Reading(), waiting=TRIPPED)
    world.supervisor.restart("orders", "stalled: nothing was committed", "stall")
    assert world.after(0) is State.DEGRADED
    assert TRIPPED.reason in world.status.reason
    assert not world.engines[0].asked_to_drain
    alarms = [event.message for event in world.supervisor.events.since() if event.kind == "alarm"]
    assert alarms == ["stalled: nothing was committed; the engine is not ddpm's to restart"]
    world.supervisor.drain()
    assert world.after(1) is State.STOPPED
    assert (world.status.reason, world.status.last_exit) == ("stopped", None)


def test_an_engine_of_others_does_not_stay_paused_because_one_of_ours_was(tmp_path: Path) -> None:
    world = World(tmp_path).begin()
    world.run()
    world.supervisor.pause("orders")
    assert world.after(1) is State.PAUSED
    again = World(tmp_path, external=True).begin()
    again.run()


def test_a_pipeline_that_cannot_be_prepared_says_so_until_it_is_launched(tmp_path: Path) -> None:
    world = World(tmp_path)
    told: list[tuple[State, str]] = []

    def look() -> None:
        world.supervisor.tick()
        told.append((world.status.state, world.status.reason))

    world.supervisor.unprepared("orders", State.RECOVERING, "postgres.url: does not answer")
    look()
    world.supervisor.pause("orders")
    look()
    world.supervisor.resume("orders")
    world.supervisor.unprepared("orders", State.FAILED, "the table does not fit")
    look()
    world.supervisor.drain()
    look()
    assert told == [
        (State.RECOVERING, "postgres.url: does not answer"),
        (State.PAUSED, "paused on request"),
        (State.FAILED, "the table does not fit"),
        (State.FAILED, "the table does not fit"),
    ]
