"""Where a bounded run ends: at the offsets that were the end of the topics when it started."""

from collections.abc import Callable, Mapping, Sequence

from ddpm.broker.offsets import Partition, Watermarks
from ddpm.supervisor.status import PartitionStatus

Readable = Callable[[str, int, int], int | None]


class Bound:
    """The end of one pipeline's run.

    Args:
        marks: The watermarks of its topics at the start.

    """

    def __init__(self, marks: Mapping[Partition, Watermarks]) -> None:
        self._due = {partition: mark for partition, mark in marks.items() if mark.end > mark.start}
        self._committed: dict[Partition, int | None] = {}

    def reached(self, partitions: Sequence[PartitionStatus], readable: Readable) -> bool:
        """Whether everything before the bound is done.

        Markers of transactions and compacted records are never committed past; where the commits stop before the
        bound, `readable` reports whether a record is left there.
        """
        for seen in partitions:
            mark = self._due.get(Partition(seen.topic, seen.partition))
            if mark is not None and self._passed(mark, seen, readable):
                del self._due[Partition(seen.topic, seen.partition)]
        return not self._due

    def _passed(self, mark: Watermarks, seen: PartitionStatus, readable: Readable) -> bool:
        if seen.committed is not None and seen.committed >= mark.end:
            return True
        partition = Partition(seen.topic, seen.partition)
        stands = partition in self._committed and self._committed[partition] == seen.committed
        self._committed[partition] = seen.committed
        if not stands:
            return False
        first = readable(seen.topic, seen.partition, max(mark.start, seen.committed or 0))
        return first is None or first >= mark.end
