"""Which dead letters are meant: by reason, time of failure, id. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from ddpm.deadletters.index import Entry
from ddpm.deadletters.letter import LetterId
from ddpm.errors import ConfigError

_AGO = re.compile(r"([0-9]{1,6})\s*(s|min|m|h|d)(?:\s+ago)?")
_SECONDS = {"s": 1, "min": 60, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Selection:
    """What letters must have in common; an empty one means all.

    Attributes:
        reasons: Each a code, a stage, or `STAGE/CODE`; a letter must have one of them.
        since_ms: It failed at this time or later, in milliseconds since 1970.
        until_ms: It failed before this time.
        sinks: The names of sinks; a letter must be one of theirs. Empty means all.
        patterns: Messages without what differs, as summaries show them; a letter must have one of them.
        ids: It is one of these, or a copy or another attempt of one; None means any.

    """

    reasons: tuple[str, ...] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    ids: frozenset[LetterId] | None = None
    patterns: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ()

    def takes(self, entry: Entry) -> bool:
        """Whether an entry is meant."""
        return (
            (not self.reasons or any(_is_named(entry, reason) for reason in self.reasons))
            and (self.since_ms is None or entry.failed_at_ms >= self.since_ms)
            and (self.until_ms is None or entry.failed_at_ms < self.until_ms)
            and (self.ids is None or entry.id in self.ids)
            and (not self.sinks or entry.sink in self.sinks)
            and (not self.patterns or entry.reason.pattern in self.patterns)
        )


def _is_named(entry: Entry, reason: str) -> bool:
    stage, code, _ = entry.reason
    return reason in (code, stage, f"{stage}/{code}")


def moment(text: str, now: datetime) -> int:
    """A time as people write it, in milliseconds since 1970: ISO 8601 (UTC where no zone is given), or `2h` for ago.

    Raises:
        ConfigError: It is neither.

    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return int((now.timestamp() - int(ago[1]) * _SECONDS[ago[2]]) * 1000)
    try:
        at = datetime.fromisoformat(text.strip())
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        msg = f'"{text}" is not a time'
        raise ConfigError(
            msg, hint="write for example 2026-11-23T08:00:00Z, 2026-11-23, or 2h for two hours ago"
        ) from error
