"""Histories of partitions, replayed with a clock of their own."""

from collections.abc import Callable

from ddpm.supervisor.stall import Stall, StallWatch, Suspect
from ddpm.supervisor.status import PartitionStatus

STEP = 3.0
TIMEOUT = 60.0


def at(committed: int | None, end: int, partition: int = 0) -> PartitionStatus:
    return PartitionStatus("events", partition, committed, end, max(0, end - (committed or 0)), 0.0)


class Replay:
    """A pipeline over time: what ddpm sees every three seconds, and what can be read, as `offsets with a record`."""

    def __init__(self) -> None:
        self.watch = StallWatch(TIMEOUT)
        self.now = 1000.0
        self.up_since = 0.0
        self.probes: list[Suspect] = []
        self.stalls: list[Stall] = []

    def run(
        self,
        seconds: float,
        see: Callable[[float], list[PartitionStatus]],
        records: Callable[[], set[int]] = set,
        *,
        healthy: bool = True,
    ) -> None:
        begun = self.now
        while self.now - begun < seconds:
            self.now += STEP
            suspects = self.watch.observe(self.now, see(self.now - begun), healthy=healthy, up_since=self.up_since)
            for suspect in suspects[:1]:
                self.probes.append(suspect)
                found = min((offset for offset in records() if offset >= suspect.offset), default=None)
                stall = self.watch.probed(self.now, suspect, found)
                self.stalls += [stall] if stall else []


def test_a_record_that_stays_unread_is_a_stall_and_the_reason_names_it() -> None:
    replay = Replay()
    replay.run(63, lambda _: [at(40, 50)], lambda: set(range(50)))
    assert len(replay.stalls) == 1
    reason = replay.stalls[0].reason
    assert reason == (
        "stalled: no commit beyond offset 40 in partition 0 of topic events for 60 s, though offset 40 can be read"
    )


def test_a_partition_that_never_had_a_commit_can_stall_as_well() -> None:
    replay = Replay()
    replay.run(63, lambda _: [at(None, 5)], lambda: {3, 4})
    assert replay.stalls[0].reason.startswith("stalled: no offset was committed in partition 0 of topic events")
    assert replay.stalls[0].readable == 3


def test_nothing_is_tried_before_the_timeout() -> None:
    replay = Replay()
    replay.run(60, lambda _: [at(40, 50)], lambda: set(range(50)))
    assert replay.probes == []


def test_lag_that_grows_while_commits_go_on_is_no_stall() -> None:
    replay = Replay()
    replay.run(600, lambda t: [at(int(t), int(10 * t))], lambda: set(range(10_000)))
    assert replay.probes == []


def test_an_idle_topic_is_no_stall() -> None:
    replay = Replay()
    replay.run(3600, lambda _: [at(50, 50)], lambda: set(range(50)))
    assert replay.probes == []


def test_a_record_after_an_idle_hour_gets_its_time() -> None:
    replay = Replay()
    replay.run(3600, lambda _: [at(50, 50)])
    replay.run(30, lambda _: [at(50, 51)], lambda: {50})
    replay.run(30, lambda _: [at(51, 51)])
    assert replay.probes == []


def test_transaction_markers_at_the_tail_are_tried_once_and_then_left_alone() -> None:
    replay = Replay()
    replay.run(3600, lambda _: [at(49, 50)], lambda: set(range(49)))
    assert [probe.offset for probe in replay.probes] == [49]
    assert replay.stalls == []


def test_a_compacted_gap_is_tried_again_when_the_end_moves() -> None:
    replay = Replay()
    replay.run(300, lambda _: [at(40, 50)], lambda: set(range(40)))
    replay.run(300, lambda _: [at(40, 60)], lambda: set(range(40)))
    assert len(replay.probes) == 2
    assert replay.stalls == []


def test_a_record_behind_a_gap_that_stays_unread_is_a_stall() -> None:
    replay = Replay()
    replay.run(300, lambda _: [at(40, 50)], lambda: set(range(40)))
    replay.run(63, lambda _: [at(40, 51)], lambda: {50})
    assert [stall.readable for stall in replay.stalls] == [50]


def test_a_record_that_came_a_moment_before_the_try_gets_its_time() -> None:
    replay = Replay()
    records: set[int] = set()
    # Behind offset 40 lies one marker; the record at 41 comes just before suspicion falls on the marker.
    replay.run(57, lambda _: [at(40, 41)], lambda: records)
    records.add(41)
    replay.run(6, lambda _: [at(40, 42)], lambda: records)
    assert len(replay.probes) == 1
    assert replay.stalls == []
    replay.run(60, lambda _: [at(40, 42)], lambda: records)
    assert [stall.readable for stall in replay.stalls] == [41]


def test_an_outage_of_the_sink_is_no_stall_and_restarts_the_timer() -> None:
    replay = Replay()
    replay.run(50, lambda _: [at(40, 50)], lambda: set(range(50)))
    replay.run(600, lambda _: [at(40, 90)], lambda: set(range(90)), healthy=False)
    replay.run(57, lambda _: [at(40, 90)], lambda: set(range(90)))
    assert replay.probes == []
    replay.run(6, lambda _: [at(40, 90)], lambda: set(range(90)))
    assert len(replay.stalls) == 1


def test_a_time_without_pictures_does_not_count() -> None:
    replay = Replay()
    replay.run(30, lambda _: [at(40, 50)], lambda: set(range(50)))
    replay.now += 600  # the broker was away
    replay.run(57, lambda _: [at(40, 50)], lambda: set(range(50)))
    assert replay.probes == []


def test_a_restart_of_the_engines_gives_them_the_full_time_again() -> None:
    replay = Replay()
    replay.run(50, lambda _: [at(40, 50)], lambda: set(range(50)))
    replay.up_since = replay.now
    replay.run(57, lambda _: [at(40, 50)], lambda: set(range(50)))
    assert replay.probes == []
    replay.run(6, lambda _: [at(40, 50)], lambda: set(range(50)))
    assert len(replay.stalls) == 1


def test_a_verdict_is_not_repeated_before_another_timeout() -> None:
    replay = Replay()
    replay.run(120, lambda _: [at(40, 50)], lambda: set(range(50)))
    assert len(replay.stalls) == 1
    replay.run(6, lambda _: [at(40, 50)], lambda: set(range(50)))
    assert len(replay.stalls) == 2


def test_one_frozen_partition_among_busy_ones_is_found() -> None:
    replay = Replay()
    replay.run(66, lambda t: [at(int(t), int(t) + 5, 0), at(7, 20, 1), at(int(t), int(t), 2)], lambda: set(range(100)))
    assert [(stall.partition, stall.committed) for stall in replay.stalls] == [(1, 7)]


def test_the_longest_standing_partition_comes_first() -> None:
    replay = Replay()
    replay.run(30, lambda _: [at(1, 9, 0), at(3, 3, 1)])
    replay.run(27, lambda _: [at(1, 9, 0), at(3, 9, 1)])
    suspects = replay.watch.observe(replay.now + 10, [at(1, 9, 0), at(3, 9, 1)], healthy=True, up_since=0.0)
    assert [suspect.partition for suspect in suspects] == [0]
    replay.now += 10
    replay.run(24, lambda _: [at(1, 9, 0), at(3, 9, 1)])
    assert [probe.partition for probe in replay.probes] == [0, 1]


def test_offsets_that_were_reset_backwards_count_as_movement() -> None:
    replay = Replay()
    replay.run(57, lambda _: [at(40, 50)], lambda: set(range(50)))
    replay.run(57, lambda _: [at(0, 50)], lambda: set(range(50)))
    assert replay.probes == []


def test_a_topic_that_was_made_again_starts_anew() -> None:
    replay = Replay()
    replay.run(57, lambda _: [at(None, 50)], lambda: set(range(50)))
    replay.run(57, lambda _: [at(None, 3)], lambda: set(range(3)))
    assert replay.probes == []


def test_a_partition_that_is_gone_is_forgotten() -> None:
    watch = StallWatch(TIMEOUT)
    assert watch.probed(1.0, Suspect("gone", 0, 0, 99.0), 5) is None
