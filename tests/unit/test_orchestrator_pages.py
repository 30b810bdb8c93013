"""What a scrape shows of the engines: the page that each gave last, as long as it is fresh and the engine answers."""

from types import SimpleNamespace
from typing import Any

from ddpm.orchestrator.run.pages import FRESH_SECONDS, EnginePages


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def supervisor(**answering: tuple[tuple[int, str], ...]) -> Any:
    return SimpleNamespace(
        statuses=lambda: [SimpleNamespace(name=name) for name in answering],
        vitals=lambda name: SimpleNamespace(answering=answering[name]),
    )


def shown(pages: EnginePages, desk: Any) -> list[tuple[str, int, str]]:
    return [(each.pipeline, each.replica, each.text) for each in pages.fresh(desk)]


def test_the_newest_page_of_every_engine_that_answers_is_shown_in_their_order() -> None:
    pages = EnginePages(Clock())
    for text in ("old", "new"):
        pages.keep("b", "http://2", f"b {text}")
        pages.keep("a", "http://1", f"a {text}")
    pages.keep("a", "http://3", "silent by now")
    desk = supervisor(a=((0, "http://1"),), b=((1, "http://2"),), c=((0, "http://4"),))
    assert shown(pages, desk) == [("a", 0, "a new"), ("b", 1, "b new")]


def test_the_page_of_an_engine_that_was_replaced_is_not_taken_for_the_next_ones() -> None:
    pages = EnginePages(Clock())
    pages.keep("a", "http://1", "of the one before")
    assert shown(pages, supervisor(a=((0, "http://2"),))) == []


def test_a_page_that_is_too_old_is_left_out_and_forgotten() -> None:
    clock = Clock()
    pages = EnginePages(clock)
    pages.keep("a", "http://1", "a")
    clock.now += FRESH_SECONDS
    desk = supervisor(a=((0, "http://1"),), b=((0, "http://2"),))
    assert shown(pages, desk) == [("a", 0, "a")]
    clock.now += 0.1
    assert shown(pages, desk) == []
    pages.keep("b", "http://2", "b")
    clock.now = 100.0
    assert shown(pages, desk) == [("b", 0, "b")]
