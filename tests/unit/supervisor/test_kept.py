"""Events and sparklines outlive ddpm, in bounded files that a crash cannot spoil."""

import time
from pathlib import Path

import pytest

from ddpm.errors import NewerStateError
from ddpm.supervisor import statefile
from ddpm.supervisor.events import Event, EventFile, EventLog
from ddpm.supervisor.memory import HistoryFile, Memory, MemoryFile
from ddpm.supervisor.meter import HISTORY_LENGTH, Meter, Reading
from ddpm.supervisor.states import DesiredState


def log(path: Path, kept: int = 5) -> EventLog:
    return EventLog(kept, EventFile(path, kept))


def test_events_are_there_again_after_a_restart_and_ids_go_on(tmp_path: Path) -> None:
    path = tmp_path / "state" / "events.jsonl"
    first = log(path)
    seen = [first.add("orders", "state", f"event {number}\n", "running") for number in range(3)]
    second = log(path)
    assert second.since() == seen
    later = second.add("orders", "control", "pause requested")
    assert later.id > seen[-1].id
    assert log(path).since(seen[-1].id) == [later]
    assert path.stat().st_mode & 0o077 == 0


def test_the_file_stays_bounded_and_has_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for _ in range(3):
        events = log(path)
        for number in range(17):
            events.add("orders", "state", f"event {number}")
        assert len(path.read_text().splitlines()) <= 1 + 2 * 5
    assert [event.message for event in log(path).since()] == [f"event {number}" for number in range(12, 17)]


@pytest.mark.parametrize("junk", ['\n{"id": 5, "at": 1', "\n[1]", '\n{"id": "x"}', "\n\x00\xff", "\n" + "[" * 100_000])
def test_what_a_crash_left_spoils_nothing_else(tmp_path: Path, junk: str) -> None:
    path = tmp_path / "events.jsonl"
    before = log(path).add("orders", "state", "before")
    with path.open("a", encoding="latin-1") as file:
        file.write(junk)
    after = log(path).add("orders", "state", "after")
    assert log(path).since() == [before, after]


def test_a_file_that_is_no_file_of_events_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for text in ("", "junk\n", "[]"):
        path.write_text(text)
        event = log(path).add("orders", "state", "told")
        assert log(path).since() == [event]
    path.unlink()
    events = log(path)
    events.add("orders", "state", "first")
    path.unlink()
    events.add("orders", "state", "second")
    assert [event.message for event in log(path).since()] == ["first", "second"]


def test_events_of_a_newer_ddpm_are_refused_and_left_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"version": 2, "ddpm": "3.0.0"}\n')
    with pytest.raises(NewerStateError, match=r"has version 2, written by ddpm 3\.0\.0"):
        log(path)
    assert path.read_text() == '{"version": 2, "ddpm": "3.0.0"}\n'


def test_events_that_cannot_be_kept_are_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in the way")
    events = log(tmp_path / "state" / "events.jsonl")
    assert isinstance(events.add("orders", "state", "told"), Event)
    assert [event.message for event in events.since()] == ["told"]


def test_the_sparklines_go_on_after_a_restart_with_a_gap_in_which_nothing_ran(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "orders.history.json")
    meter = Meter()
    meter.lag(7)
    for step in range(3):
        meter.read(0, Reading(written=step * 50.0))
        meter.tick(step * 5.0)
    file.save(time.time(), meter.steps())
    _, steps = file.load()
    again = Meter()
    again.restore(steps, missed=2)
    assert again.history().lag == (7.0, 7.0, 7.0, 7.0, 7.0)
    assert again.history().rate == (*meter.history().rate, 0.0, 0.0)
    long_after = Meter()
    long_after.restore(steps, missed=10**9)
    assert long_after.history().rate == (0.0,) * HISTORY_LENGTH


@pytest.mark.parametrize("text", ["", "{}", '{"version": 9, "at": 1, "steps": [[1, 2]]}', '{"version": 1, "at": "x"}'])
def test_sparklines_that_cannot_be_read_are_drawn_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "history.json").write_text(text)
    assert HistoryFile(tmp_path / "history.json").load() == (0.0, [])
    meter = Meter()
    meter.restore([(1.0, 2.0)], 0)
    assert meter.steps() == ()


PAUSED = Memory(DesiredState.PAUSE, 3)


def test_what_was_asked_of_a_pipeline_is_asked_of_each_of_its_sinks_when_they_are_run_by_themselves(
    tmp_path: Path,
) -> None:
    whole = tmp_path / "orders.json"
    MemoryFile(whole).save(PAUSED)
    parts = [MemoryFile(tmp_path / f"orders.{name}.json", [whole]) for name in ("postgres", "kafka")]
    for part in parts:
        part.take_over()
    for part in parts:
        part.forget_others()
    assert [part.load() for part in parts] == [PAUSED, PAUSED]
    added_later = MemoryFile(tmp_path / "orders.audit.json", [whole])
    assert added_later.load() == Memory()


def test_a_pipeline_is_paused_when_one_of_its_sinks_was_and_they_are_run_together_again(tmp_path: Path) -> None:
    paths = [tmp_path / f"orders.{name}.json" for name in ("postgres", "kafka")]
    MemoryFile(paths[0]).save(Memory(replicas=2))
    MemoryFile(paths[1]).save(PAUSED)
    whole = MemoryFile(tmp_path / "orders.json", paths)
    for _ in range(2):
        whole.take_over()
        whole.forget_others()
        assert whole.load() == PAUSED
    MemoryFile(tmp_path / "orders.json").save(Memory())
    assert whole.load() == Memory(), "its own counts, once it is there"


def test_a_pause_that_cannot_be_kept_elsewhere_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "orders.json"
    MemoryFile(whole).save(PAUSED)
    part = MemoryFile(tmp_path / "orders.postgres.json", [whole])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(statefile, "write_atomically", full)
    assert not part.take_over()
    assert part.load() == PAUSED
