"""How long records have been waiting, told from the ends of a partition that were seen."""

import pytest

from ddpm.broker.waiting import EndHistory, Waiting


def history(*seen: tuple[float, int]) -> EndHistory:
    made = EndHistory()
    for now, end in seen:
        made.add(now, end)
    return made


def test_a_record_was_written_when_the_end_passed_it() -> None:
    steady = history((0, 0), (10, 1000), (20, 2000))
    assert steady.passed(500) == pytest.approx(5.0, abs=0.01)
    assert steady.passed(1500) == pytest.approx(15.0, abs=0.01)


def test_one_record_on_a_quiet_topic_came_between_the_two_last_looks() -> None:
    quiet = history((0, 7), (300, 7), (303, 8))
    assert quiet.passed(7) == 301.5


def test_the_history_does_not_know_what_was_there_before_nor_what_is_to_come() -> None:
    seen = history((0, 7), (3, 9))
    assert seen.passed(6) is None
    assert seen.passed(9) is None
    assert seen.begun == 0


def test_a_topic_that_was_made_again_begins_a_new_history() -> None:
    again = history((0, 1000), (3, 2000), (6, 5), (9, 10))
    assert again.begun == 6
    assert again.passed(7) == pytest.approx(7.5)


def test_a_quiet_year_takes_no_memory() -> None:
    quiet = EndHistory()
    for second in range(0, 365 * 24 * 3600, 3600):
        quiet.add(float(second), 5)
    assert len(quiet) == 1


def test_a_busy_month_takes_bounded_memory_and_stays_precise_for_the_near_past() -> None:
    busy = EndHistory()
    looks = 30 * 24 * 3600 // 3
    for look in range(looks):
        busy.add(3.0 * look, 100 * look)
    assert len(busy) <= 241
    assert busy.begun == 0
    last = 3.0 * (looks - 1)
    for ago, tolerance in ((3, 0.1), (60, 0.1), (3600, 600)):
        offset = int((last - ago) * 100 / 3)
        assert busy.passed(offset) == pytest.approx(last - ago, abs=tolerance)


def test_without_lag_nothing_waits() -> None:
    assert Waiting().seconds(10.0, 9, 9, history((0, 7), (3, 9))) == 0


def test_lag_within_the_history_needs_no_look_into_the_partition() -> None:
    seen, waiting = history((0, 0), (3, 30), (6, 60)), Waiting()
    assert not waiting.wants_look(6.0, 40, 60, seen)
    assert waiting.seconds(6.0, 40, 60, seen) == pytest.approx(2.0, abs=0.1)


def test_lag_older_than_the_history_takes_the_timestamp_of_the_record() -> None:
    seen, waiting = history((100, 50)), Waiting()
    assert waiting.wants_look(100.0, 10, 50, seen)
    waiting.looked(100.0, 10, 10, 50, age=3600.0)
    assert waiting.seconds(106.0, 10, 50, seen) == pytest.approx(3606.0)
    assert not waiting.wants_look(200.0, 10, 50, seen)


def test_an_absurd_timestamp_leaves_the_age_of_the_history() -> None:
    seen, waiting = history((100, 50), (160, 50)), Waiting()
    waiting.looked(100.0, 10, 10, 50, age=None)
    assert waiting.seconds(160.0, 10, 50, seen) == pytest.approx(60.0)


def test_a_timestamp_cannot_make_a_record_younger_than_it_was_seen_to_be() -> None:
    seen, waiting = history((100, 50), (160, 50)), Waiting()
    waiting.looked(159.0, 10, 10, 50, age=1.0)
    assert waiting.seconds(160.0, 10, 50, seen) == pytest.approx(60.0)


def test_a_group_that_catches_up_is_looked_at_every_ten_seconds() -> None:
    seen, waiting, looks = history((0, 10_000)), Waiting(), []
    for second in range(0, 60, 3):
        if waiting.wants_look(float(second), 100 * second, 10_000, seen):
            looks.append(second)
            waiting.looked(float(second), 100 * second, 100 * second, 10_000, age=900.0)
    assert looks == [0, 12, 24, 36, 48]


def test_only_markers_behind_the_position_mean_that_nothing_waits() -> None:
    seen, waiting = history((0, 49), (3, 50), (60, 50)), Waiting()
    assert not waiting.wants_look(5.0, 49, 50, seen)
    assert waiting.wants_look(60.0, 49, 50, seen)
    assert waiting.seconds(60.0, 49, 50, seen) > 50
    waiting.looked(60.0, 49, None, 50, age=None)
    assert waiting.seconds(60.0, 49, 50, seen) == 0
    assert not waiting.wants_look(600.0, 49, 50, seen)


def test_a_record_behind_markers_counts_from_its_own_coming() -> None:
    seen, waiting = history((0, 49), (3, 50), (60, 50)), Waiting()
    waiting.wants_look(3.0, 49, 50, seen)
    waiting.looked(60.0, 49, None, 50, age=None)
    seen.add(63.0, 51)
    assert waiting.seconds(66.0, 49, 51, seen) == pytest.approx(4.5)
    assert waiting.wants_look(75.0, 49, 51, seen)
    waiting.looked(75.0, 49, 50, 51, age=13.0)
    assert waiting.seconds(75.0, 49, 51, seen) == pytest.approx(13.5)
    assert not waiting.wants_look(99.0, 49, 51, seen)


def test_a_gap_before_the_oldest_record_does_not_make_it_older() -> None:
    seen, waiting = history((0, 10), (3, 20), (30, 20), (33, 40)), Waiting()
    waiting.looked(60.0, 10, 35, 40, age=28.0)
    assert waiting.seconds(60.0, 10, 40, seen) == pytest.approx(60 - 32.3, abs=0.1)


def test_an_offset_set_back_does_not_borrow_the_age_of_a_later_record() -> None:
    seen, waiting = history((100, 50)), Waiting()
    waiting.looked(100.0, 40, 40, 50, age=5000.0)
    assert waiting.seconds(130.0, 10, 50, seen) == pytest.approx(30.0)
