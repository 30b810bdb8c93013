"""Floods become counts: the first line of a kind at once, one line for the rest, and nothing is forgotten."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpm.observability.folding import Folder, Repeats


class World:
    """A folder with a clock that the test moves, and what it showed in order."""

    def __init__(self, **options: int) -> None:
        self.now = 100.0
        self.shown: list[str] = []
        # The timer thread must not interfere: its time is real.
        self.folder: Folder[str] = Folder(self._tell, window=10.0, clock=lambda: self.now, **options)

    def line(self, message: str, origin: str = "orders/0 error") -> None:
        if self.folder.admit(origin, message, message):
            self.shown.append(message)

    def _tell(self, line: str, repeats: Repeats) -> None:
        self.shown.append(repeats.appended(line))


def timers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "log-folding"}


def test_a_flood_is_its_first_line_and_one_that_counts_the_rest() -> None:
    world = World()
    for number in range(4_813):
        world.now += 0.002
        world.line(f"batch {number} failed after {number}.{number}ms")
    assert world.shown == ["batch 0 failed after 0.0ms"]
    world.now = 110.5
    world.line("something else")
    assert world.shown[1:] == ["batch 4812 failed after 4812.4812ms … (repeated 4,812 times in 10 s)", "something else"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("connection to 10.0.0.1:9092 lost", "connection to 10.0.0.2:9093 lost"),
        ("waiting 900ms", "waiting 1.5s"),
        ("member 3fa9-12cd left", "member b77-e1 left"),
        ("offset 17", "offset 17"),
    ],
)
def test_lines_that_differ_in_numbers_and_ids_are_alike(one: str, other: str) -> None:
    world = World()
    world.line(one)
    world.line(other)
    assert world.shown == [one]


def test_different_words_levels_and_replicas_are_not_alike() -> None:
    world = World()
    world.line("lost connection")
    world.line("found connection")
    world.line("lost connection", origin="orders/1 error")
    assert len(world.shown) == 3


def test_one_repeat_is_shown_as_it_is() -> None:
    world = World()
    world.line("offset 1")
    world.line("offset 2")
    world.folder.flush()
    assert world.shown == ["offset 1", "offset 2"]


def test_after_the_window_the_next_line_is_shown_at_once_again() -> None:
    world = World()
    for _ in range(3):
        world.line("lost")
    world.now += 10.0
    world.line("lost")
    assert world.shown == ["lost", "lost … (repeated 2 times in 10 s)", "lost"]


def test_more_kinds_than_can_be_told_apart_are_counted_together() -> None:
    world = World(most=3)
    for word in ("red", "green", "blue", "black", "white", "grey"):
        world.line(f"no colour {word}")
    world.line("no colour red")
    world.folder.flush()
    assert world.shown[:4] == ["no colour red", "no colour green", "no colour blue", "no colour black"]
    assert sorted(world.shown[4:]) == [
        "no colour grey … (and 2 more lines of many kinds in 1 s)",
        "no colour red",
    ]


def test_the_end_of_a_window_is_told_without_another_line() -> None:
    told, before = threading.Event(), timers()
    folder: Folder[str] = Folder(lambda _line, _repeats: told.set(), window=0.05)
    assert folder.admit("x", "lost 1", "lost 1")
    assert timers() == before
    folder.admit("x", "lost 2", "lost 2")
    assert told.wait(10)
    deadline = time.monotonic() + 10
    while timers() - before:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_flush_ends_the_timer() -> None:
    world, before = World(), timers()
    world.line("lost")
    world.line("lost")
    (timer,) = timers() - before
    world.folder.flush()
    timer.join(10)
    assert not timer.is_alive()
    assert world.shown == ["lost", "lost"]


def test_an_enormous_line_costs_no_time() -> None:
    world = World()
    started = time.monotonic()
    for number in range(50):
        world.line(f"{'-' * 1_000_000}{number}")
        world.line("a.b:" * 250_000)
    assert time.monotonic() - started < 2


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.text(max_size=12), st.floats(0, 4)),
        max_size=80,
    )
)
def test_shown_and_counted_lines_add_up(lines: list[tuple[str, str, float]]) -> None:
    now, counted, shown = 0.0, 0, 0

    def tell(_line: str, repeats: Repeats) -> None:
        nonlocal counted
        counted += repeats.count

    folder: Folder[str] = Folder(tell, window=10.0, most=5, clock=lambda: now)
    for origin, message, passed in lines:
        now += passed
        shown += folder.admit(origin, message, message)
    folder.flush()
    assert shown + counted == len(lines)
