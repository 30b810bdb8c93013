"""Which offsets a window of time means, partition by partition. Pure.

A window is what Kafka finds for its two ends: from the first record that is as late as its beginning to the first that
is as late as its end. Producers write times, which need not rise, so a record within it may be earlier or later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ddpm.broker.offsets import Partition, Stamp, Watermarks
from ddpm.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Bounds:
    """What Kafka says of one partition.

    Attributes:
        marks: What it keeps.
        oldest: The first record that it keeps; None when it keeps none, or none with a time.
        since: The first record as late as the window's beginning; None when none is.
        until: The first record as late as the window's end; None when none is.

    """

    marks: Watermarks
    oldest: Stamp | None
    since: Stamp | None
    until: Stamp | None


@dataclass(frozen=True, slots=True)
class Span:
    """The offsets from `first` to before `end` of a partition."""

    partition: Partition
    first: int
    end: int

    @property
    def offsets(self) -> int:
        """How many they are; markers and compaction leave gaps, so there may be fewer records."""
        return self.end - self.first


@dataclass(frozen=True, slots=True)
class Window:
    """The spans of a window that hold anything; `emptied` are partitions that keep no record at all any more."""

    spans: tuple[Span, ...]
    emptied: tuple[Partition, ...] = ()

    @property
    def offsets(self) -> int:
        """How many offsets it has."""
        return sum(span.offsets for span in self.spans)


class WindowGoneError(ConfigError):
    """Kafka does not keep all of the window any more."""


def window(bounds: Mapping[Partition, Bounds], since_ms: int) -> Window:
    """The offsets of a window that begins at `since_ms`, in milliseconds since 1970.

    Raises:
        WindowGoneError: It begins before the first record that Kafka still keeps.

    """
    gone = {each: kept for each, found in bounds.items() if (kept := _kept_since(found, since_ms)) is not None}
    if gone:
        raise _too_early(gone, since_ms)
    spans = [_span(partition, found) for partition, found in sorted(bounds.items())]
    emptied = tuple(each for each, found in sorted(bounds.items()) if 0 < found.marks.start == found.marks.end)
    return Window(tuple(span for span in spans if span.offsets), emptied)


def _span(partition: Partition, found: Bounds) -> Span:
    first = found.since.offset if found.since else found.marks.end
    end = found.until.offset if found.until else found.marks.end
    return Span(partition, first, max(first, end))


def _kept_since(found: Bounds, since_ms: int) -> int | None:
    """The time of the first kept record, if records of the window may have stood before it."""
    oldest = found.oldest
    removed_some = found.marks.start > 0
    return oldest.timestamp if removed_some and oldest is not None and oldest.timestamp > since_ms else None


def _too_early(gone: Mapping[Partition, int], since_ms: int) -> WindowGoneError:
    lines = "".join(
        f"\n  {topic}, partition {number}: keeps records since {shown(kept)}"
        for (topic, number), kept in sorted(gone.items())
    )
    msg = f"Kafka does not keep everything since {shown(since_ms)} any more:{lines}"
    way_out = shown(max(gone.values()))
    return WindowGoneError(
        msg, hint=f"begin the window there: --from {way_out}; rows of earlier records stay as they are"
    )


def shown(ms: int) -> str:
    """A time as a person reads it and --from takes it."""
    try:
        at = datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
    return at.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")
