"""Records by which a log is told from another one."""

import pytest
from kafka.errors import BrokerResponseError, OffsetNotAvailableError

from ddpm.broker.marks import MOST_MARKS, Mark, added, before_epoch, holds, parted
from ddpm.broker.offsets import Partition
from ddpm.broker.wire import Print, digest

PARTITION = Partition("a", 0)


@pytest.mark.parametrize(
    ("key", "value", "timestamp", "expected"),
    # The engine's test has the same ones (cmd/engine/internal/records/origin/marks_test.go).
    [(b"k", b"value", 1_764_000_000_123, 641548930), (None, b"value", -1, 494360628), (b"k", None, 5, 140662621)],
)
def test_a_record_has_one_checksum_here_and_in_the_engine(
    key: bytes | None, value: bytes | None, timestamp: int, expected: int
) -> None:
    assert digest(key, value, timestamp) == expected


class Log:
    """A partition: the epoch and the checksum of each record from an offset on; None where one was removed."""

    def __init__(self, *records: tuple[int, int] | None, start: int = 0) -> None:
        self.records, self.start = records, start
        self.knows_end = True

    @property
    def end(self) -> int:
        return self.start + len(self.records)

    def print_of(self, node: int, partition: Partition, offset: int) -> tuple[Print | None, int] | None:
        assert (node, partition) == (1, PARTITION)
        if not self.start <= offset <= self.end:
            return None
        left = ((self.start + i, each) for i, each in enumerate(self.records) if each and self.start + i >= offset)
        found = next(left, None)
        return (None if found is None else Print(found[0], found[1][1], found[1][0])), self.end

    def starts(self, node: int, partitions: list[Partition]) -> dict[Partition, int]:
        assert (node, partitions) == (1, [PARTITION])
        return {PARTITION: self.start}

    def ends(self, node: int, partitions: list[Partition]) -> dict[Partition, int | type[BrokerResponseError]]:
        assert (node, partitions) == (1, [PARTITION])
        return {PARTITION: self.end if self.knows_end else OffsetNotAvailableError}

    def epoch_end(self, node: int, partition: Partition, epoch: int) -> int:
        assert (node, partition) == (1, PARTITION)
        later = (self.start + i for i, each in enumerate(self.records) if each and each[0] > epoch)
        return next(later, self.end)


OLD = [(1, 10), (1, 11), (3, 12), (3, 13), (3, 14)]
MARKS = tuple(Mark(offset, OLD[offset][1], OLD[offset][0], 0.0) for offset in (0, 2, 4))


def where(log: Log) -> int | None:
    return parted(log, 1, PARTITION, MARKS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("log", "first"),
    [
        (Log(*OLD), None),
        (Log(*OLD, (5, 15)), None),
        (Log(*OLD[:4]), 4),
        (Log(*OLD[:4], (5, 20)), 4),
        (Log(*OLD[:2]), 2),
        (Log(*OLD[:2], (3, 20), (3, 21), (3, 22), (3, 23)), 2),
        (Log(*OLD[:1], (3, 20), (3, 21), (3, 22), (3, 23)), 1),
        (Log((3, 20), (3, 21), (3, 22), (3, 23), (3, 24)), 0),
        (Log(), 0),
        (Log((5, 15), start=5), None),
        (Log(*OLD[:3], None, None, (5, 15)), None),
    ],
    ids=[
        "same",
        "grown",
        "shorter",
        "shorter and grown",
        "of before the last epoch",
        "with an epoch of the same number",
        "in the middle of the first epoch",
        "another one from the beginning",
        "empty",
        "expired",
        "compacted",
    ],
)
def test_logs_part_where_the_epoch_of_the_last_common_record_ends(log: Log, first: int | None) -> None:
    assert where(log) == first


def test_whether_a_record_is_there_cannot_be_told_where_it_was_removed() -> None:
    compacted: object = Log((1, 10), None, (3, 12))
    assert holds(compacted, 1, PARTITION, Mark(1, 11, 1, 0.0)) is None  # type: ignore[arg-type]


def test_whether_a_record_is_there_cannot_be_told_before_a_new_leader_knows_its_end() -> None:
    late = Log((1, 10), (1, 11))
    mark = Mark(2, 12, 1, 0.0)
    assert holds(late, 1, PARTITION, mark) is False  # type: ignore[arg-type]
    late.knows_end = False
    assert holds(late, 1, PARTITION, mark) is None  # type: ignore[arg-type]


def test_of_older_marks_ever_fewer_stay() -> None:
    marks: tuple[Mark, ...] = ()
    for offset in range(200):
        marks = added(marks, [Mark(offset, 0, 1, 0.0)])
    assert len(marks) <= MOST_MARKS
    assert [each.offset for each in marks][-4:] == [196, 197, 198, 199]
    assert marks[0].offset < 150
    assert added(marks, [Mark(7, 0, 1, 0.0)]) == marks


def test_where_a_log_may_have_been_replaced_is_behind_the_last_mark_of_an_epoch_before_the_present_one() -> None:
    marks = (Mark(0, 1, 0, 10.0), Mark(499, 2, 0, 20.0), Mark(500, 3, 2, 30.0), Mark(599, 4, 2, 40.0))
    assert before_epoch(marks, 2, 15.0) == marks[1]
    assert before_epoch(marks, 2, 25.0) is None, "that epoch began long ago"
    assert before_epoch(marks, 3, 15.0) == marks[3]
    assert before_epoch(marks[2:], 2, 15.0) is None
