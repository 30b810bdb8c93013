"""What all launchers have in common: what is started, what runs then, and the lines that it writes.

`process`, `container` and `external` are the launchers; what they return is what the supervisor keeps.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

_NOT_STARTED = re.compile(r"Service closing due to: (?P<cause>failed to init .*)", re.DOTALL)

KEPT_LINES = 20
LAST_WORDS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that an engine wrote: its level in lower case, its text, and the engine's own fields."""

    level: str
    message: str
    fields: Mapping[str, object]


OnLog = Callable[[LogLine], None]


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """All that is needed to start one engine.

    `env` holds what must not stand in the configuration; `drain` is in seconds, `memory_limit` in bytes. In `folder`,
    or else ddpm's own, begin the relative paths of mappings.
    """

    binary: Path
    config: Path
    env: Mapping[str, str] = field(repr=False)
    drain: float
    memory_limit: int
    folder: Path | None = None


class Engine(Protocol):
    """A running engine, as a launcher returns it; no method waits."""

    @property
    def pid(self) -> int | None:
        """Its process id on the machine where it runs; None when that is not known."""

    @property
    def container(self) -> str | None:
        """The name of the container that it runs in."""

    @property
    def url(self) -> str | None:
        """Where its own HTTP server is; None as long as that is not known."""

    def exit_code(self) -> int | None:
        """None while it runs, then the exit code; negative for the signal that ended it."""

    def ending(self) -> str | None:
        """How it ended, when there is more to say than its exit code does."""

    def trouble(self) -> str | None:
        """What keeps it from being started or looked after at the moment."""

    def terminate(self) -> None:
        """Ask it to finish what is in flight and end."""

    def kill(self) -> None:
        """End it at once."""

    def last_lines(self) -> tuple[str, ...]:
        """The last lines it wrote, oldest first; of an engine that has ended, all of its last words."""


class Launcher(Protocol):
    """Starts the engines of one pipeline."""

    def launch(self, spec: EngineSpec, replica: int, on_log: OnLog) -> Engine:
        """Start one; `on_log` is called with every line that it writes, from a thread of its own."""

    def close(self) -> None:
        """End what still runs of what it started, and let go of what it holds."""


def what_kept_it(lines: Sequence[str]) -> str | None:
    """The reason that an engine gave for not starting, from the last lines that it wrote; None when it gave none."""
    found = (_NOT_STARTED.search(line) for line in reversed(lines))
    cause = next((match["cause"].strip().removesuffix(":").strip() for match in found if match), None)
    return f"the engine cannot start: {cause}" if cause else None


def parse_log_line(text: str) -> LogLine:
    """One line of the engine's standard error; whatever is not its JSON (a panic, say) is an error as it stands."""
    try:
        entry = json.loads(text)
        level, message = entry.pop("level"), entry.pop("msg")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return LogLine("error", text, {})
    entry.pop("time", None)
    return LogLine(str(level).lower(), str(message), entry)
