"""The runner with engines that only pretend: what it launches, when, and what its statuses say."""

from collections.abc import Iterator

import pytest

from ddpm.errors import ConfigError, EngineError
from ddpm.supervisor.runner import Managed, Supervisor
from ddpm.supervisor.states import State


class FakeEngine:
    """An engine whose end the test decides."""

    port = 4000

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended_with: int | None = None
        self.asked_to_drain = False

    def exit_code(self) -> int | None:
        return self.ended_with

    def terminate(self) -> None:
        self.asked_to_drain = True

    def kill(self) -> None:
        self.ended_with = -9


class World:
    """A clock and the engines launched so far."""

    def __init__(self) -> None:
        self.now = 0.0
        self.engines: list[FakeEngine] = []
        self.refuse: Iterator[Exception] = iter(())
        self.supervisor = Supervisor([Managed("orders", self.launch, lambda _: True, drain=20.0)], lambda: self.now)

    def launch(self) -> FakeEngine:
        for error in self.refuse:
            raise error
        self.engines.append(FakeEngine(pid=len(self.engines) + 1))
        return self.engines[-1]

    def after(self, seconds: float) -> State:
        self.now += seconds
        self.supervisor.tick()
        return self.supervisor.statuses()[0].state


@pytest.fixture
def world() -> World:
    return World()


def test_a_pipeline_starts_and_runs(world: World) -> None:
    assert world.after(0) is State.STARTING
    assert world.after(1) is State.RUNNING
    status = world.supervisor.statuses()[0]
    assert (status.pid, status.port, status.ready, status.restarts) == (1, 4000, True, 0)


def test_a_killed_engine_is_replaced_and_counted(world: World) -> None:
    world.after(0)
    world.after(1)
    world.engines[0].ended_with = -9
    assert world.after(1) is State.RECOVERING
    assert world.supervisor.statuses()[0].pid is None
    assert world.after(2) is State.STARTING
    assert world.after(1) is State.RUNNING
    status = world.supervisor.statuses()[0]
    assert (status.pid, status.restarts) == (2, 1)


def test_a_configuration_that_the_engine_refuses_is_not_retried(world: World) -> None:
    world.refuse = iter([ConfigError("bad mapping")])
    assert world.after(0) is State.FAILED
    assert world.supervisor.statuses()[0].reason == "bad mapping"
    assert world.after(1000) is State.FAILED
    assert world.engines == []


def test_a_launch_that_may_succeed_later_is_retried(world: World) -> None:
    world.refuse = iter([EngineError("no memory")])
    world.after(0)
    assert world.after(0.2) is State.RECOVERING
    assert world.after(2) is State.STARTING
    assert len(world.engines) == 1


def test_drain_waits_for_the_engine_and_then_stops(world: World) -> None:
    world.after(0)
    world.after(1)
    world.supervisor.drain()
    assert world.after(0.2) is State.DRAINING
    assert world.engines[0].asked_to_drain
    world.engines[0].ended_with = 0
    assert world.after(0.2) is State.STOPPED


def test_run_ends_every_engine_when_it_is_interrupted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.after(0)

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.supervisor, "tick", interrupted)
    with pytest.raises(KeyboardInterrupt):
        world.supervisor.run()
    assert world.engines[0].ended_with == -9
