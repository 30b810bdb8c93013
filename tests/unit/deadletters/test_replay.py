"""What a replay feeds, what it leaves out, and what it remembers."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from ddpm.deadletters import replay as replaying
from ddpm.deadletters.letter import DeadLetter, LetterId
from ddpm.deadletters.replay import Fed as HowFar
from ddpm.deadletters.replay import Progress, plan, replay
from ddpm.deadletters.resolution import Resolution
from ddpm.errors import EngineError
from ddpm.orchestrator.redrive.reinject import Fed
from unit.deadletters.letters import FakeStore, letter


class Engine:
    """Takes letters again; writes the next attempt of those that `fails` says."""

    def __init__(self, store: FakeStore, fails: Callable[[DeadLetter], bool] = lambda _: False) -> None:
        self.store = store
        self.fails = fails
        self.fed: list[DeadLetter] = []

    def __call__(self, letters: Iterator[DeadLetter], told: Callable[[HowFar], None]) -> None:
        for each in letters:
            self.fed.append(each)
            told(Fed(acknowledged=len(self.fed)))
            if self.fails(each):
                self.store.kept.append(
                    replace(each, id=LetterId(0, 1_000 + len(self.store.kept)), attempt=each.attempt + 1)
                )


def run(store: FakeStore, engine: Engine, rate: float | None = None) -> tuple[Progress, list[Progress]]:
    steps: list[Progress] = []
    entries = plan(store.entries("shop"), force=False).taken
    return replay(store, entries, engine, "run-1", steps.append, rate=rate), steps  # type: ignore[arg-type]


def test_what_lands_is_marked_and_what_fails_again_is_the_next_attempt() -> None:
    store = FakeStore(letter(0), letter(1), letter(2))
    engine = Engine(store, lambda each: each.id.offset == 1)
    ended, steps = run(store, engine)
    assert ended == Progress(3, 3, 2, 1)
    assert steps[0] == Progress(3)
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert [(str(mark.id), mark.deed, mark.run) for mark in store.marks] == [
        ("0:0", Resolution.REPLAYED, "run-1"),
        ("0:1", Resolution.FAILED_AGAIN, "run-1"),
        ("0:2", Resolution.REPLAYED, "run-1"),
    ]
    (left,) = store.entries("shop")
    assert left.attempt == 2


def test_an_engine_that_dies_leaves_every_letter_open() -> None:
    store = FakeStore(letter(0), letter(1))

    class Dying(Engine):
        def __call__(self, letters: Iterator[DeadLetter], told: Callable[[HowFar], None]) -> None:
            next(letters)
            raise EngineError("the engine died")

    with pytest.raises(EngineError):
        run(store, Dying(store))
    assert not store.marks
    assert len(store.entries("shop")) == 2


def test_what_was_done_before_an_engine_dies_stays_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "CHUNK", 2)
    store = FakeStore(*(letter(number) for number in range(5)))

    class Dying(Engine):
        def __call__(self, letters: Iterator[DeadLetter], told: Callable[[HowFar], None]) -> None:
            super().__call__(letters, told)
            if len(self.fed) > 2:
                raise EngineError("the engine died")

    with pytest.raises(EngineError):
        run(store, Dying(store))
    assert len(store.entries("shop")) == 3
    engine = Engine(store)
    assert run(store, engine)[0] == Progress(3, 3, 3, 0)
    assert [each.id.offset for each in engine.fed] == [2, 3, 4]


def test_documents_of_one_record_are_fed_as_the_record_that_they_were() -> None:
    store = FakeStore(
        letter(0, index="1"), letter(1, of_offset="100", index="3", attempt="2"), letter(2, of_offset="100", source="9")
    )
    engine = Engine(store, lambda each: each.id.offset == 0)
    run(store, engine)
    assert [(each.id.offset, each.attempt) for each in engine.fed] == [(0, 2), (2, 1)], (
        "another source is another record"
    )


def test_a_letter_that_failed_too_often_or_came_from_nowhere_is_left_out() -> None:
    store = FakeStore(letter(0), letter(1, attempt="3"), letter(2, of_topic=None), letter(3, attempt="2"))
    chosen = plan(store.entries("shop"), force=False)
    assert [str(each.id) for each in chosen.taken] == ["0:0", "0:3"]
    assert [str(each.id) for each in chosen.exhausted] == ["0:1"]
    assert [str(each.id) for each in chosen.unplaced] == ["0:2"]
    forced = plan(store.entries("shop"), force=True)
    assert [str(each.id) for each in forced.taken] == ["0:0", "0:1", "0:3"]
    assert [str(each.id) for each in forced.unplaced] == ["0:2"]


def test_a_letter_that_lacks_headers_is_left_out_since_steps_may_read_them() -> None:
    store = FakeStore(letter(0), letter(1, headers_cut='["trace"]'), letter(2, headers_cut='["trace"]', attempt="3"))
    chosen = plan(store.entries("shop"), force=False)
    assert [str(each.id) for each in chosen.taken] == ["0:0"]
    assert [str(each.id) for each in chosen.cut] == ["0:1"]
    assert chosen.left_out == 2
    assert [str(each.id) for each in plan(store.entries("shop"), force=True).taken] == ["0:0", "0:1", "0:2"]


def test_a_rate_is_kept() -> None:
    store = FakeStore(*(letter(number) for number in range(21)))
    begun = time.monotonic()
    run(store, Engine(store), rate=100)
    assert 0.19 <= time.monotonic() - begun < 5


def test_letters_of_different_sinks_are_never_fed_together() -> None:
    store = FakeStore(*(letter(number, sink=("a", "b")[number % 2]) for number in range(4)), letter(4))
    fed: list[list[str | None]] = []

    class Noting(Engine):
        def __call__(self, letters: Iterator[DeadLetter], told: Callable[[HowFar], None]) -> None:
            before = len(self.fed)
            super().__call__(letters, told)
            fed.append([each.sink for each in self.fed[before:]])

    run(store, Noting(store))
    assert fed == [[None], ["a", "a"], ["b", "b"]]


def test_letters_of_a_sink_that_is_gone_are_left_out_even_by_force() -> None:
    store = FakeStore(letter(0, sink="kafka"), letter(1, sink="gone"), letter(2))
    chosen = plan(store.entries("shop"), force=True, sinks=("kafka", "postgres"))
    assert [str(each.id) for each in chosen.taken] == ["0:0", "0:2"]
    assert ([str(each.id) for each in chosen.orphaned], chosen.left_out) == (["0:1"], 1)
