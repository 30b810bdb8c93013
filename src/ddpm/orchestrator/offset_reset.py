"""Where a consumer group is to read on, worked out partition by partition. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ddpm.broker.offsets import Partition, Stamp, Watermarks


class Aim(StrEnum):
    """What a group is moved to."""

    EARLIEST = "earliest"
    LATEST = "latest"
    MOMENT = "moment"
    BY = "by"


@dataclass(frozen=True, slots=True)
class Move:
    """One partition of a group: from where it would read on to where it is to.

    Attributes:
        partition: The partition.
        before: The committed offset; None when there is none.
        after: The offset to commit.
        marks: What the partition keeps.
        clamped: The offset that was meant, when the partition does not keep it; None otherwise.

    """

    partition: Partition
    before: int | None
    after: int
    marks: Watermarks
    clamped: int | None = None

    @property
    def again(self) -> int:
        """Offsets that will be read once more."""
        return max(0, (self.marks.end if self.before is None else self.before) - self.after)

    @property
    def skipped(self) -> int:
        """Offsets that will never be read."""
        return max(0, self.after - max(self.marks.start, self.before or 0))


def moves(
    aim: Aim,
    reached: Mapping[Partition, int | None],
    marks: Mapping[Partition, Watermarks],
    *,
    by: int = 0,
    found: Mapping[Partition, Stamp | None] | None = None,
) -> list[Move]:
    """Work out all moves of a group.

    Args:
        aim: Where to.
        reached: What is committed, by partition.
        marks: What the partitions keep.
        by: For `Aim.BY`: so many offsets on, or back.
        found: For `Aim.MOMENT`: the first record that is as late; None is the end.

    """
    made = []
    for partition, committed in sorted(reached.items()):
        kept = marks[partition]
        meant = _meant(aim, committed, kept, by, (found or {}).get(partition))
        after = min(max(meant, kept.start), kept.end)
        made.append(Move(partition, committed, after, kept, None if meant == after else meant))
    return made


def _meant(aim: Aim, committed: int | None, kept: Watermarks, by: int, found: Stamp | None) -> int:
    match aim:
        case Aim.EARLIEST:
            return kept.start
        case Aim.LATEST:
            return kept.end
        case Aim.MOMENT:
            return kept.end if found is None else found.offset
        case Aim.BY:
            return (kept.start if committed is None else committed) + by
