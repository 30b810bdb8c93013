"""Where a group is moved to: what was meant, and what the partition keeps of it."""

from ddpm.broker.offsets import Partition, Stamp, Watermarks
from ddpm.orchestrator.offset_reset import Aim, moves

A, B = Partition("orders", 0), Partition("orders", 1)
MARKS = {A: Watermarks(10, 100), B: Watermarks(0, 0)}


def test_each_aim_means_an_offset_that_the_partition_keeps() -> None:
    reached = {A: 50, B: None}
    found = {A: Stamp(70, 1), B: None}
    for aim, by, expected in (
        (Aim.EARLIEST, 0, [10, 0]),
        (Aim.LATEST, 0, [100, 0]),
        (Aim.MOMENT, 0, [70, 0]),
        (Aim.BY, -20, [30, 0]),
        (Aim.BY, 20, [70, 0]),
    ):
        assert [each.after for each in moves(aim, reached, MARKS, by=by, found=found)] == expected


def test_what_is_not_kept_is_clamped_and_said() -> None:
    (move,) = moves(Aim.BY, {A: 50}, MARKS, by=-1000)
    assert (move.after, move.clamped, move.again, move.skipped) == (10, -950, 40, 0)
    (move,) = moves(Aim.BY, {A: 50}, MARKS, by=1000)
    assert (move.after, move.clamped, move.again, move.skipped) == (100, 1050, 0, 50)


def test_what_retention_took_is_not_called_skipped() -> None:
    (move,) = moves(Aim.LATEST, {A: 5}, MARKS)
    assert (move.after, move.skipped) == (100, 90)
    (move,) = moves(Aim.EARLIEST, {A: None}, MARKS)
    assert (move.before, move.after, move.skipped) == (None, 10, 0)
