"""What a person sees of a download or a build."""

import io
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console

from ddpm.engine.progress import Silent, Terminal


def test_live_display_counts_on_a_terminal() -> None:
    screen = io.StringIO()
    shown = Terminal(Console(file=screen, force_terminal=True, width=120))
    with shown.step("Fetching Kafka", "MB") as step:
        step.update(3, 45, "kafka-clients.jar")
    assert "Fetching Kafka" in screen.getvalue()
    assert "3/45 MB" in screen.getvalue()
    assert "kafka-clients.jar" in screen.getvalue()


def test_plain_lines_come_now_and_then_elsewhere() -> None:
    clock = iter([0.0, 1.0, 11.0, 12.0, 13.0])
    said = io.StringIO()
    terminal = Terminal(Console(file=said, width=120), clock=lambda: next(clock))
    with terminal.step("Building", "packages") as step:
        for done in (1, 2, 3):
            step.update(done, 700)
    assert said.getvalue().splitlines() == ["Building …", "Building … 2/700 packages 11 s", "Building: done in 13.0 s"]


def test_steps_that_overlap_share_one_display() -> None:
    shown = Terminal(Console(file=io.StringIO(), force_terminal=True, width=120))

    def work(number: int) -> None:
        with shown.step(f"Step {number}") as step:
            step.update(number)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(50))) == [None] * 50


def test_silence_is_possible() -> None:
    with Silent().step("Building") as step:
        step.update(1, 2, "note")
