"""Which letters are open, which are one, and what they are counted under."""

from dataclasses import replace
from itertools import permutations

import pytest

from ddpm.deadletters.index import DeadLetterIndex, Depth, Entry, Reason, pattern_of, summarize
from ddpm.deadletters.letter import DeadLetter
from ddpm.deadletters.resolution import Resolution, ResolutionRecord
from unit.deadletters.letters import NOW_MS, at, letter, mark


def books(*told: DeadLetter | ResolutionRecord) -> DeadLetterIndex:
    kept = DeadLetterIndex()
    for each in told:
        kept.note(each) if isinstance(each, ResolutionRecord) else kept.add(each)
    return kept


def ids(entries: list[Entry]) -> list[str]:
    return [str(entry.id) for entry in entries]


def test_letters_are_open_until_something_was_done_with_them() -> None:
    first, second, third = letter(0), letter(1), letter(2)
    kept = books(first, second, third, mark(second, Resolution.DISCARDED))
    assert ids(list(kept.entries("shop"))) == ["0:0", "0:2"]
    assert ids(list(kept.entries("shop", handled=True))) == ["0:0", "0:1", "0:2"]
    assert kept.depth("shop") == Depth(2, NOW_MS, 0, 0, 1)


def test_a_letter_that_was_written_again_after_a_crash_is_the_same() -> None:
    again = letter(5, of_offset="100")
    kept = books(letter(0), again)
    (entry,) = kept.entries("shop")
    assert (entry.id, entry.copies) == (at(0), 2)
    assert kept.entry(again) is entry
    kept.note(mark(again, Resolution.DISCARDED))
    assert not list(kept.entries("shop")), "whichever of them was marked"


def test_what_two_sinks_did_not_get_are_two_letters() -> None:
    postgres, kafka = letter(0, sink="postgres"), letter(1, of_offset="100", sink="kafka")
    (first, second) = books(postgres, kafka).entries("shop")
    assert (first.sink, second.sink) == ("postgres", "kafka")
    kept = books(postgres, kafka, first.resolved(Resolution.REPLAYED, NOW_MS, "run-1"))
    assert [each.sink for each in kept.entries("shop")] == ["kafka"]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_next_attempt_takes_the_place_of_the_last_in_whatever_order_they_are_read(order: tuple[int, ...]) -> None:
    first, second = letter(0), letter(9, of_offset="100", attempt="2")
    told: list[DeadLetter | ResolutionRecord] = [
        first,
        second,
        letter(3, of_offset="100"),
        mark(first, Resolution.FAILED_AGAIN),
    ]
    (entry,) = books(*(told[index] for index in order)).entries("shop")
    assert (entry.id, entry.attempt, entry.open) == (at(9), 2, True)


def test_a_replay_that_was_killed_before_it_could_mark_leaves_one_open_letter_not_two() -> None:
    kept = books(letter(0), letter(9, of_offset="100", attempt="2"))
    assert ids(list(kept.entries("shop"))) == ["0:9"]
    assert kept.depth("shop").open == 1


def test_a_later_mark_handles_earlier_attempts_too() -> None:
    second = letter(9, of_offset="100", attempt="2")
    kept = books(letter(0), second, mark(letter(0), Resolution.FAILED_AGAIN), mark(second, Resolution.REPLAYED))
    assert not list(kept.entries("shop"))
    assert kept.depth("shop") == Depth(0, None, 1, 1, 0)


@pytest.mark.parametrize("changed", ["of_topic", "of_partition", "of_offset", "index", "source"])
def test_another_origin_is_another_letter(changed: str) -> None:
    kept = books(letter(0), letter(1, of_offset="100"), letter(2, **{"of_offset": "100", changed: "7"}))
    assert ids(list(kept.entries("shop"))) == ["0:0", "0:2"]


def test_a_letter_of_unknown_origin_is_nobody_elses_copy() -> None:
    kept = books(letter(0, of_topic=None), letter(1, of_topic=None), mark(letter(0, of_topic=None)))
    assert ids(list(kept.entries("shop"))) == ["0:1"]


def test_pipelines_that_share_a_topic_keep_their_letters_apart() -> None:
    ours, theirs = letter(0), letter(1, pipeline="other", of_offset="100")
    kept = books(ours, theirs, mark(theirs, Resolution.DISCARDED))
    assert ids(list(kept.entries("shop"))) == ["0:0"]
    assert kept.depth("other") == Depth(0, None, 0, 0, 1)
    assert kept.depth("unknown") == Depth(0, None, 0, 0, 0)


def test_what_kafka_has_let_go_is_no_longer_open() -> None:
    kept = books(letter(0), letter(1), letter(2))
    kept.forget_before({0: 2})
    assert ids(list(kept.entries("shop"))) == ["0:2"]
    assert kept.depth("shop").oldest_ms == NOW_MS + 2


def test_reasons_are_counted_with_the_first_and_the_last_time() -> None:
    kept = books(
        letter(0),
        letter(1, message="not JSON: expected a name at byte 77"),
        letter(2, stage="sink", code="22P02", message='invalid input syntax for type integer: "abc"'),
    )
    first, second = summarize(kept.entries("shop"))
    assert first.reason == Reason("parse", "not_json", "not JSON: expected a name at byte N")
    assert (first.count, first.first_ms, first.last_ms, first.example) == (2, NOW_MS, NOW_MS + 1, at(0))
    assert second.reason.pattern == 'invalid input syntax for type integer: "…"'


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("invalid UTF-8 at byte 12: 0xff", "invalid UTF-8 at byte N: 0x…"),
        (
            'duplicate key value violates unique constraint "t_n_key"',
            'duplicate key value violates unique constraint "…"',
        ),
        ("no `id` in 3f2a9c1be7", 'no "…" in 0x…'),
        ("one\ntwo", "one"),
        ("x" * 500, "x" * 159 + "…"),
        ("", ""),
    ],
)
def test_a_pattern_leaves_out_what_differs(message: str, pattern: str) -> None:
    assert pattern_of(message) == pattern


def test_messages_without_end_do_not_fill_the_books() -> None:
    words = ["".join(chr(97 + (number // 26**place) % 26) for place in range(4)) for number in range(1_000)]
    kept = books(*(letter(number, message=f"failed: {word}") for number, word in enumerate(words)))
    reasons = summarize(kept.entries("shop"))
    assert len(reasons) == 201
    assert (reasons[0].reason.pattern, reasons[0].count) == ("…", 800)
    assert sum(each.count for each in reasons) == 1_000


def test_the_place_of_a_step_stays_in_a_pattern() -> None:
    place = "app-config.yaml:12: processors[1].mapping: "
    assert pattern_of(f"{place}failed assignment: 17 is no text") == f"{place}failed assignment: N is no text"
    assert pattern_of("processors[3]: at 17") == "processors[3]: at N"
    assert pattern_of("a.yaml:12: x") == "a.yaml:N: x"


def test_an_older_mark_that_is_read_later_opens_nothing() -> None:
    first = letter(0)
    second = replace(letter(1, attempt="2"), origin=first.origin)
    index = DeadLetterIndex()
    for each in (first, second):
        index.add(each)
    index.note(mark(second))
    index.note(mark(first))
    assert not list(index.entries("shop"))
