"""Notices records that a topic's retention has removed before a pipeline had read them. Pure.

Nothing brings them back, so the least is to say so, once, and to count them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ddpm.supervisor.status import PartitionStatus


@dataclass(frozen=True, slots=True)
class Loss:
    """Offsets of one partition that are gone: from `first`, up to but not including `end`."""

    topic: str
    partition: int
    first: int
    end: int

    @property
    def offsets(self) -> int:
        """How many; markers and gaps among them count too."""
        return self.end - self.first

    def __str__(self) -> str:
        return (
            f"{self.offsets} offsets of {self.topic}/{self.partition} ({self.first} to {self.end - 1}) were removed by "
            "the topic's retention before they were read"
        )


class Expiry:
    """What one pipeline has lost to retention since ddpm runs."""

    def __init__(self) -> None:
        self._reported: dict[tuple[str, int], int] = {}
        self._lost: Counter[tuple[str, int]] = Counter()
        self._present: tuple[Loss, ...] = ()

    @property
    def lost(self) -> dict[tuple[str, int], int]:
        """Offsets that are gone, by topic and partition."""
        return dict(self._lost)

    @property
    def present(self) -> str | None:
        """What stands between the pipeline and the first record that is left; None without any, or behind it."""
        return f"retention: {self._present[0]}" if self._present else None

    def seen(self, partitions: Iterable[PartitionStatus]) -> list[Loss]:
        """Take a look at all partitions; returns what was lost since the last one."""
        behind = [each for each in partitions if each.expired and each.committed is not None]
        losses = []
        for each in behind:
            key, committed = (each.topic, each.partition), each.committed or 0
            first, end = max(committed, self._reported.get(key, committed)), committed + each.expired
            self._reported[key] = max(end, first)
            if first < end:
                self._lost[key] += end - first
                losses.append(Loss(*key, first, end))
        self._present = tuple(
            Loss(each.topic, each.partition, each.committed or 0, (each.committed or 0) + each.expired)
            for each in behind
            # Where nothing is left, nothing is committed either until the next record comes, which may take for ever.
            if each.lag
        )
        return losses
