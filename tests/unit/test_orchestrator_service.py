"""What a service manager is told, and that a loop which is stuck gives no sign of life."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ddpm.observability.systemd import Notifier
from ddpm.orchestrator.run.service import Announcer
from ddpm.supervisor.memory import MemoryFile
from ddpm.supervisor.pipeline import PipelineSpec
from ddpm.supervisor.runner import Launchable, Supervisor
from ddpm.supervisor.scaling import StabilizationWindow
from harness.waiting import eventually

pytestmark = pytest.mark.slow


class Told(Notifier):
    """Remembers what would be sent."""

    def __init__(self) -> None:
        super().__init__("nowhere", watchdog=0.02)
        self.messages: list[str] = []

    def _send(self, message: str) -> None:
        self.messages.append(message)

    @property
    def signs(self) -> int:
        return self.messages.count("WATCHDOG=1")


class Engine:
    """An engine that runs until somebody ends it."""

    def __init__(self) -> None:
        self.pid: int | None = 1
        self.container: str | None = None
        self.url: str | None = "http://127.0.0.1:4196"
        self.ended: int | None = None

    def exit_code(self) -> int | None:
        return self.ended

    def ending(self) -> str | None:
        return None

    def trouble(self) -> str | None:
        return None

    def terminate(self) -> None:
        self.ended = 0

    def kill(self) -> None:
        self.ended = -9

    def last_lines(self) -> tuple[str, ...]:
        return ()


class Scene:
    """One pipeline whose engine can be killed, and whose launch can be made to hang."""

    def __init__(self, folder: Path) -> None:
        self.told = Told()
        self.engines: list[Engine] = []
        self.launching = threading.Event()
        self.may_launch = threading.Event()
        self.may_launch.set()
        memory = MemoryFile(folder / "orders.json")
        orders = PipelineSpec(
            "orders", 20.0, {}, replicas=1, limits=None, patience=StabilizationWindow(), memory=memory
        )
        self.supervisor = Supervisor([orders])

    def _launch(self, _replica: int) -> Engine:
        self.launching.set()
        self.may_launch.wait()
        self.engines.append(Engine())
        return self.engines[-1]

    @contextmanager
    def running(self) -> Iterator[None]:
        launchables = {"orders": Launchable(self._launch, "hash", 1)}
        announcer = Announcer(self.told, self.supervisor)
        thread = threading.Thread(target=self.supervisor.run, args=(launchables, announcer))
        thread.start()
        try:
            yield
        finally:
            self.may_launch.set()
            self.supervisor.drain()
            thread.join()


def test_the_start_is_over_with_the_first_tick_and_the_end_is_told(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with scene.running():
        eventually(lambda: scene.told.signs >= 2, "signs of life are given", 5)
        assert scene.told.messages[0] == "READY=1"
        assert any(message.startswith("STATUS=orders starting") for message in scene.told.messages)
        assert "STOPPING=1" not in scene.told.messages
    assert "STOPPING=1" in scene.told.messages


def test_a_loop_that_is_stuck_gives_no_sign_of_life(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with scene.running():
        eventually(lambda: scene.told.signs >= 2, "signs of life are given", 5)
        scene.may_launch.clear()
        scene.launching.clear()
        scene.engines[0].ended = 1
        assert scene.launching.wait(10), "the engine is started again"
        stuck = scene.told.signs
        assert not scene.may_launch.wait(1.0)
        assert scene.told.signs == stuck
        scene.may_launch.set()
        eventually(lambda: scene.told.signs > stuck, "signs of life are given again", 5)
