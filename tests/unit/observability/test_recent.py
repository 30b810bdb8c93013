"""The newest lines and troubles, as the API gives them out."""

import threading
from typing import Any

from ddpm.observability.recent import LONGEST_TEXT, RecentLog, Trouble


def add(recent: RecentLog, event: str, **fields: Any) -> None:
    recent(None, "info", {"event": event, "level": "info", **fields})


def test_lines_carry_what_was_said_and_by_whom() -> None:
    recent = RecentLog()
    add(recent, "lost", level="warning", pipeline="orders", replica=2, source="engine", timestamp="t", path="root")
    (line,) = recent.since()
    assert (line.level, line.pipeline, line.replica, line.message) == ("warning", "orders", 2, "lost")
    assert line.fields == {"path": "root"}
    assert line.at > 1_700_000_000


def test_the_oldest_lines_go_first_and_ids_go_on() -> None:
    recent = RecentLog(kept=3)
    for number in range(5):
        add(recent, f"line {number}")
    kept = recent.since()
    assert [line.message for line in kept] == ["line 2", "line 3", "line 4"]
    assert [line.message for line in recent.since(kept[1].id)] == ["line 4"]
    assert recent.since(kept[2].id) == []


def test_who_follows_by_the_last_id_misses_nothing_of_the_next_run() -> None:
    before, after = RecentLog(), RecentLog()
    add(before, "of the run before")
    add(after, "of the next run")
    assert [line.message for line in after.since(before.since()[-1].id - 1)] == ["of the next run"]


def test_one_pipeline_can_be_picked() -> None:
    recent = RecentLog()
    add(recent, "a", pipeline="orders")
    add(recent, "b", pipeline="clicks")
    add(recent, "c")
    assert [line.message for line in recent.since(0, "orders")] == ["a"]


def test_the_last_words_of_a_replica() -> None:
    recent = RecentLog()
    for number in range(4):
        add(recent, f"line {number}", pipeline="orders", replica=number % 2, label="", path="root")
    assert recent.last("orders", 1, 5) == ("info: line 1 path=root", "info: line 3 path=root")
    assert recent.last("orders", 1, 1) == ("info: line 3 path=root",)
    assert recent.last("clicks", 1, 5) == ()


def test_troubles_are_counted_by_kind_newest_first() -> None:
    recent = RecentLog()
    add(recent, "cannot reach 10.0.0.1", level="error", pipeline="orders")
    add(recent, "slow", level="warning", pipeline="orders")
    add(recent, "fine", pipeline="orders")
    add(recent, "elsewhere", level="error", pipeline="clicks")
    add(recent, "cannot reach 10.0.0.2", level="error", pipeline="orders", repeated=41, repeated_seconds=10.0)
    troubles = recent.troubles("orders")
    assert [(trouble.message, trouble.count) for trouble in troubles] == [("cannot reach 10.0.0.2", 42), ("slow", 1)]
    assert isinstance(troubles[0], Trouble)
    assert recent.since()[-1].message == "cannot reach 10.0.0.2 … (repeated 41 times in 10 s)"


def test_at_most_twenty_troubles_are_kept() -> None:
    recent = RecentLog()
    for letter in "abcdefghijklmnopqrstuvwxyz":
        add(recent, f"kind {letter}", level="error", pipeline="orders")
    troubles = recent.troubles("orders")
    assert len(troubles) == 20
    assert troubles[0].message == "kind z"
    assert recent.troubles("unknown") == ()


def test_a_document_in_a_line_does_not_fill_the_memory() -> None:
    recent = RecentLog()
    add(recent, "x" * 1_000_000, document="y" * 1_000_000, parts=["z" * 1_000_000])
    (line,) = recent.since()
    assert len(line.message) <= LONGEST_TEXT + 1
    assert all(len(str(value)) <= LONGEST_TEXT + 1 for value in line.fields.values())


def test_many_threads_lose_nothing() -> None:
    recent = RecentLog(kept=10_000)

    def work() -> None:
        for _ in range(500):
            add(recent, "x")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [line.id for line in recent.since()]
    assert ids == list(range(ids[0], ids[0] + 4_000))
