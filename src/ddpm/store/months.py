"""Which monthly partitions a table should have, and which are over. Pure.

Moments are seconds since 1970, as in the bounds that Postgres gives; months are those of UTC.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_MONTHS_A_YEAR = 12


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month, by its number counted from the year 0."""

    number: int

    @classmethod
    def at(cls, moment: float) -> "Month":
        """The month in which a moment lies."""
        day = datetime.fromtimestamp(moment, UTC)
        return cls(day.year * _MONTHS_A_YEAR + day.month - 1)

    def plus(self, months: int) -> "Month":
        """So many months later, or earlier."""
        return Month(self.number + months)

    @property
    def start(self) -> float:
        """Its first moment."""
        return self._first_day.timestamp()

    @property
    def text(self) -> str:
        """Its first moment as Postgres reads it in any time zone: `2026-01-01 00:00:00+00`."""
        return f"{self._first_day:%Y-%m-%d} 00:00:00+00"

    def __str__(self) -> str:
        return f"{self._first_day:%Y-%m}"

    @property
    def _first_day(self) -> datetime:
        year, month = divmod(self.number, _MONTHS_A_YEAR)
        return datetime(year, month + 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition as it is, from `lower` to before `upper`; the default one has no bounds."""

    schema: str
    name: str
    default: bool = False
    lower: float = -math.inf
    upper: float = math.inf

    def is_month(self, table: str, month: Month) -> bool:
        """Whether it is the partition that ddpm makes for a month of a table."""
        return self.name == partition_name(table, month) and self.spans(month)

    def spans(self, month: Month) -> bool:
        """Whether its bounds are those of a month."""
        return not self.default and (self.lower, self.upper) == (month.start, month.plus(1).start)

    def overlaps(self, month: Month) -> bool:
        """Whether it holds rows of a month, so that the month can have no partition of its own."""
        return not self.default and self.lower < month.plus(1).start and month.start < self.upper


@dataclass(frozen=True, slots=True)
class Span:
    """Which months have a partition: so many before and after the present one; older than `retention` is dropped."""

    past: int
    ahead: int
    retention: int | None = None

    def missing(self, found: Iterable[Partition], present: Month) -> list[Month]:
        """The months that ought to have a partition and have none, the present one first."""
        partitions = tuple(found)
        wanted = sorted(range(-self.past, self.ahead + 1), key=abs)
        months = (present.plus(distance) for distance in wanted)
        return [month for month in months if not any(each.overlaps(month) for each in partitions)]

    def over(self, found: Sequence[Partition], table: str, present: Month) -> list[Partition]:
        """The partitions that ddpm made and whose month is older than the retention, the oldest first."""
        if self.retention is None:
            return []
        oldest_kept = present.plus(-self.retention).start
        ended = (each for each in found if not each.default and each.upper <= oldest_kept)
        ours = (each for each in ended if math.isfinite(each.lower) and each.is_month(table, Month.at(each.lower)))
        return sorted(ours, key=lambda each: each.lower)


def partition_name(table: str, month: Month) -> str:
    """The name of the partition that ddpm makes for a month: `orders_2026_01`."""
    return f"{table}_{str(month).replace('-', '_')}"


def default_name(table: str) -> str:
    """The name of the default partition that ddpm makes: `orders_default`."""
    return f"{table}_default"
