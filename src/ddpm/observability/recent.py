"""The newest lines of the log, for the API and the console, exactly as they were shown: nothing secret is in them."""

import itertools
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from structlog.typing import EventDict

from ddpm.names import means
from ddpm.observability.folding import Repeats, template

KEPT_LINES = 2_000
KEPT_TROUBLES = 20
# What one line may weigh here; the log itself has it whole.
LONGEST_TEXT = 4_000

_SEVERE = frozenset({"warning", "error", "critical", "fatal"})
_NOT_FIELDS = frozenset({"event", "level", "timestamp", "pipeline", "replica", "source"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log; `id` grows from line to line, over restarts too; `at` is seconds since 1970."""

    id: int
    at: float
    level: str
    pipeline: str | None
    replica: int | None
    message: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A warning or an error: when it was last seen, and how often the like of it was."""

    at: float
    message: str
    count: int = 1


class RecentLog:
    """A ring of the newest lines, and the newest kinds of trouble of each pipeline; safe to use from any thread.

    It is a processor of structlog, to stand behind the one that masks secrets.
    """

    def __init__(self, kept: int = KEPT_LINES) -> None:
        self._lines: deque[Line] = deque(maxlen=kept)
        self._troubles: dict[str, OrderedDict[bytes, Trouble]] = {}
        # From the clock, so that clients that resume from a previous run's last id miss no events.
        self._ids = itertools.count(time.time_ns() // 1_000_000)
        self._lock = threading.Lock()

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> EventDict:  # noqa: ANN401 -- structlog's type
        """Remember an event on its way through structlog's processors."""
        repeats = Repeats.of(event)
        text = str(event.get("event", ""))
        pipeline, replica = event.get("pipeline"), event.get("replica")
        fields = {key: _short(value) for key, value in event.items() if key not in _NOT_FIELDS}
        level = str(event.get("level", "info"))
        with self._lock:
            line = Line(
                id=next(self._ids),
                at=time.time(),
                level=level,
                pipeline=pipeline if isinstance(pipeline, str) else None,
                replica=replica if isinstance(replica, int) else None,
                message=_short(repeats.appended(text) if repeats else text),
                fields=fields,
            )
            self._lines.append(line)
            if line.pipeline is not None and level in _SEVERE:
                self._remember_trouble(line.pipeline, line.at, text, repeats.count if repeats else 1)
        return event

    def since(self, last: int = 0, pipeline: str | None = None) -> list[Line]:
        """The kept lines with a greater id than `last`, oldest first; if named, of a pipeline and its parts only."""
        with self._lock:
            newest_first = list(itertools.takewhile(lambda line: line.id > last, reversed(self._lines)))
        return [
            line
            for line in reversed(newest_first)
            if pipeline is None or (line.pipeline is not None and means(pipeline, line.pipeline))
        ]

    def last(self, pipeline: str, replica: int, count: int) -> tuple[str, ...]:
        """The text of the last lines of one replica, oldest first, with level and fields."""
        own = [line for line in self.since(0, pipeline) if line.replica == replica]
        return tuple(_text(line) for line in own[max(0, len(own) - count) :])

    def troubles(self, pipeline: str) -> tuple[Trouble, ...]:
        """The newest kinds of warnings and errors of a pipeline, newest first."""
        with self._lock:
            return tuple(reversed(self._troubles.get(pipeline, {}).values()))

    def _remember_trouble(self, pipeline: str, at: float, message: str, count: int) -> None:
        kinds = self._troubles.setdefault(pipeline, OrderedDict())
        kind = template(message)
        before = kinds.pop(kind, None)
        seen = Trouble(at, _short(message), count)
        kinds[kind] = replace(seen, count=before.count + count) if before else seen
        while len(kinds) > KEPT_TROUBLES:
            kinds.popitem(last=False)


def _short(value: Any) -> Any:  # noqa: ANN401 -- events carry anything
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]}…"
    if isinstance(value, dict | list) and len(str(value)) > LONGEST_TEXT:
        return f"{str(value)[:LONGEST_TEXT]}…"
    return value


def _text(line: Line) -> str:
    fields = "".join(f" {key}={value}" for key, value in line.fields.items() if value != "")
    return f"{line.level}: {line.message}{fields}"
