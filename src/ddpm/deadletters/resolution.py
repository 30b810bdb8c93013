"""What was done with a dead letter, as it stands in the topic of handled ones. Pure.

Such a topic belongs to one topic of dead letters. A record's key is the letter's id, with the sink that it
was done for, and its value JSON that names the letter's origin too: letters of the same origin and attempt are one,
whichever of them was marked.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from ddpm.deadletters.letter import LAST_MS, LetterId, Origin
from ddpm.errors import ConfigError, NewerStateError

# Stands in each mark; one without it has version 1.
VERSION = 1
SUFFIX = "-handled"
# Between the id of a letter and a sink, in the key of what was done for that one; no id has it.
_OF_SINK = "/"


class Resolution(StrEnum):
    """What was done."""

    REPLAYED = "replayed"
    FAILED_AGAIN = "failed_again"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class ResolutionRecord:
    """One letter's end.

    Attributes:
        id: The letter.
        pipeline: Whose it is.
        origin: Where its record came from, None if that is unknown.
        attempt: The letter's attempt; this and all before it are handled.
        deed: What was done.
        at_ms: When, in milliseconds since 1970.
        run: Names the command or request that did it.
        sink: The letter's sink, as it has it.

    """

    id: LetterId
    pipeline: str
    origin: Origin | None
    attempt: int
    deed: Resolution
    at_ms: int
    run: str
    sink: str | None = None


def topic_of(dead_letters: str) -> str:
    """The topic that says what was done with the letters of another."""
    return dead_letters + SUFFIX


def encode(mark: ResolutionRecord) -> tuple[bytes, bytes]:
    """The key and value of its record."""
    fields = asdict(mark)
    del fields["id"]
    fields["version"] = VERSION
    # One letter may be about several sinks, and compaction keeps one mark of a key.
    key = str(mark.id) if mark.sink is None else f"{mark.id}{_OF_SINK}{mark.sink}"
    return key.encode(), json.dumps(fields, separators=(",", ":")).encode()


def decode(key: bytes | None, value: bytes | None) -> ResolutionRecord | None:
    """Read a mark; None for anything else that may stand in the topic.

    Raises:
        NewerStateError: A newer ddpm wrote it.

    """
    try:
        fields = json.loads(value or b"")
        version = fields.get("version", 1)
        if isinstance(version, int) and version > VERSION:
            raise NewerStateError(f"a mark of the dead letter {_shown(key)}", version, VERSION)
        origin = fields["origin"]
        return ResolutionRecord(
            id=LetterId.parse((key or b"").decode().partition(_OF_SINK)[0]),
            pipeline=str(fields["pipeline"]),
            origin=None if origin is None else Origin(**origin),
            attempt=int(fields["attempt"]),
            deed=Resolution(fields["deed"]),
            at_ms=min(max(0, int(fields["at_ms"])), LAST_MS),
            run=str(fields["run"]),
            sink=None if fields.get("sink") is None else str(fields["sink"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ConfigError):
        return None


def _shown(key: bytes | None) -> str:
    return (key or b"").decode("ascii", "backslashreplace")
