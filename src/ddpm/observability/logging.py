"""One stream of logs on standard error: ddpm's own, its libraries' and the engines', as text or as JSON lines.

Secrets that the configuration brought in are masked in every event, of any origin; what others wrote can neither
forge a line nor reach the terminal; floods of engines and libraries are folded into counts, ddpm's own lines never.

An engine's line comes in by its `EngineLog` and is an event with `source="engine"` and the engine's word in `level`.
"""

import logging
import math
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, TextIO

import structlog
from structlog.typing import EventDict, Processor

from ddpm.config.model import LogLevel
from ddpm.observability.folding import WINDOW_SECONDS, Folder, Repeats
from ddpm.observability.masking import MASK, Masker
from ddpm.observability.recent import RecentLog

__all__ = ["MASK", "EngineLog", "Masker", "configure"]

ENGINE = "engine"

_LEVELS: Mapping[LogLevel, int] = {
    # The engine knows TRACE; ddpm itself has nothing to say below DEBUG.
    LogLevel.TRACE: logging.DEBUG,
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARN: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}
_SAME_LEVEL = {"warn": "warning", "fatal": "critical"}
_METHODS = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "fatal": "critical",
}
_SEVERITIES = {name: getattr(logging, name.upper()) for name in set(_METHODS.values())}
# What an engine's field must not be called: it would pass for something that ddpm says.
_RESERVED = frozenset({"event", "level", "timestamp", "exc_info", "exception", "stack_info", "stack"})
# Who asks for these wants every one of them.
_NEVER_FOLDED = frozenset({"debug", "trace"})

_SAID_IN_WORDS = ("source", "repeated", "repeated_seconds", "repeated_mixed")

# Control characters, what turns the direction of text around, line separators that are not ASCII, lone surrogates.
_UNPRINTABLE = [
    *range(0x20),
    *range(0x7F, 0xA0),
    *range(0x200E, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
]
_NEUTRAL = {code: chr(code).encode("unicode_escape").decode("ascii") for code in _UNPRINTABLE}
_NEUTRAL_BUT_LINES = {code: text for code, text in _NEUTRAL.items() if chr(code) not in "\n\t"}
_DEEPEST = 8


def configure(
    level: LogLevel,
    *,
    style: Literal["auto", "console", "json"] = "auto",
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
    recent: RecentLog | None = None,
    window: float = WINDOW_SECONDS,
) -> None:
    """Send all logs of this process to one stream.

    Args:
        level: The least severe level that is shown.
        style: `console` for people, `json` for machines; `auto` chooses by whether the stream is a terminal.
        secrets: Texts that are masked in every event.
        stream: Where to write; standard error by default.
        recent: Remembers what is shown.
        window: Floods are folded over so many seconds; 0 shows every line.

    """
    root = logging.getLogger()
    for before in root.handlers:
        if isinstance(before, _Handler):
            before.close()
    stream = stream or sys.stderr
    as_text = style == "console" or (style == "auto" and stream.isatty())
    time: Processor = structlog.processors.TimeStamper(fmt="iso", utc=True)
    handler = _Handler(stream, window)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_library, structlog.stdlib.add_log_level, time],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Tracebacks and objects become text before the masking, so that it sees them.
                structlog.processors.format_exc_info,
                _plain,
                Masker(secrets),
                *([recent] if recent is not None else []),
                _with_repeats,
                *(_text_renderers(stream) if as_text else [structlog.processors.JSONRenderer()]),
            ],
        )
    )
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    # Whatever the client has to complain of is raised to ddpm too, which says it once and in its own words.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    for noisy in ("httpx2", "httpcore", "uvicorn", "urllib3", "asyncio", "docker"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            _engine_fields,
            _level,
            time,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


class EngineLog:
    """Where the lines of one engine go; to be made after `configure`, which decides what becomes of them.

    Args:
        pipeline: The name of the pipeline, shown with every line.
        replica: Which of its engines it is, shown with every line.

    """

    def __init__(self, pipeline: str, replica: int) -> None:
        self._root = logging.getLogger()
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger().bind(
            source=ENGINE, pipeline=pipeline, replica=replica
        )
        handlers = [handler for handler in self._root.handlers if isinstance(handler, _Handler)]
        self._folder = handlers[0].engines if handlers else None
        self._origins = {level: (pipeline, replica, level) for level in _METHODS}

    def __call__(self, level: str, message: str, fields: Mapping[str, object]) -> None:
        """Pass a line on, unless its like has just been shown; then it is counted.

        Args:
            level: The engine's word for it, in lower case; one that is not known is an error.
            message: Its text.
            fields: Whatever else the engine said; a name that ddpm uses itself gets an underscore.

        """
        method = _METHODS.get(level, "error")
        if not self._root.isEnabledFor(_SEVERITIES[method]):
            return
        line = _EngineLine(self._log, method, level, message, fields)
        origin = self._origins.get(level, self._origins["error"])
        if self._folder is None or level in _NEVER_FOLDED or self._folder.admit(origin, message, line):
            line.show()


class _EngineLine(NamedTuple):
    """A line on its way to structlog; a tuple, as most of them end as a count."""

    log: structlog.stdlib.BoundLogger
    method: str
    level: str
    message: str
    fields: Mapping[str, object]

    def show(self, repeats: Repeats | None = None) -> None:
        counts = repeats.fields() if repeats else {}
        getattr(self.log, self.method)(self.message, level=self.level, fields=self.fields, **counts)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines, and folds those of engines and libraries; `close` says what was folded until then."""

    def __init__(self, stream: TextIO, window: float) -> None:
        super().__init__(stream)
        self.engines: Folder[_EngineLine] = Folder(_EngineLine.show, window=window)
        self._libraries: Folder[logging.LogRecord] = Folder(self._show, window=window)

    def emit(self, record: logging.LogRecord) -> None:
        if self._shown(record):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- the name is logging's
        # Not logging's own: that one prints the arguments, secrets and all.
        error = sys.exc_info()[1]
        if getattr(record, "lost", False) or isinstance(error, OSError) or self.stream.closed:
            return
        message = f"a line of the log could not be written: {type(error).__name__}: {error}"
        lost = {"name": record.name, "levelno": logging.WARNING, "levelname": "WARNING", "msg": message, "lost": True}
        super().emit(logging.makeLogRecord(lost))

    def close(self) -> None:
        self.engines.flush()
        self._libraries.flush()
        super().close()

    def _shown(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, dict) or record.levelno <= logging.DEBUG or hasattr(record, "repeats"):
            return True
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            return True
        return self._libraries.admit((record.name, record.levelno), message, record)

    def _show(self, record: logging.LogRecord, repeats: Repeats) -> None:
        self.handle(logging.makeLogRecord({**record.__dict__, "repeats": repeats}))


def _engine_fields(_logger: Any, _method: str, event: EventDict) -> EventDict:  # noqa: ANN401 -- structlog's type
    if event.get("source") == ENGINE:
        for name, value in event.pop("fields", {}).items():
            event[f"{name}_" if name in event or name in _RESERVED else name] = value
    return event


def _library(_logger: Any, _method: str, event: EventDict) -> EventDict:  # noqa: ANN401 -- structlog's type
    record = event["_record"]
    event["logger"] = record.name
    repeats = getattr(record, "repeats", None)
    if isinstance(repeats, Repeats):
        event.update(repeats.fields())
    return event


def _level(logger: Any, method: str, event: EventDict) -> EventDict:  # noqa: ANN401 -- structlog's type
    own = event.get("level") if event.get("source") == ENGINE else None
    if own is None:
        return structlog.stdlib.add_log_level(logger, method, event)
    event["level"] = _SAME_LEVEL.get(own, own)
    return event


def _plain(_logger: Any, _method: str, event: EventDict) -> EventDict:  # noqa: ANN401 -- structlog's type
    return {str(key): _plain_value(value, _DEEPEST) for key, value in event.items()}


def _plain_value(value: Any, depth: int) -> Any:  # noqa: ANN401 -- events carry anything
    """Only what JSON has; everything else as the text that people know it by."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
    if depth and isinstance(value, Mapping):
        return {str(key): _plain_value(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_plain_value(item, depth - 1) for item in value]
    return str(value)


def _with_repeats(_logger: Any, _method: str, event: EventDict) -> EventDict:  # noqa: ANN401 -- structlog's type
    repeats = Repeats.of(event)
    if repeats is not None:
        event["event"] = repeats.appended(str(event["event"]))
    return event


def _text_renderers(stream: TextIO) -> list[Processor]:
    # Not the renderer's default: that one prints the local variables of every frame.
    return [
        _neutral,
        structlog.dev.ConsoleRenderer(colors=_coloured(stream), exception_formatter=structlog.dev.plain_traceback),
    ]


def _coloured(stream: TextIO) -> bool:
    """Whether the lines have colours: on a terminal that knows them, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _neutral(_logger: Any, _method: str, event: EventDict) -> EventDict:  # noqa: ANN401 -- structlog's type
    """One event, one line, but for tracebacks, whose lines are indented so that none passes for another event."""
    for name in _SAID_IN_WORDS:
        event.pop(name, None)
    tracebacks = {key: _indented(event.pop(key)) for key in ("exception", "stack") if isinstance(event.get(key), str)}
    return {key.translate(_NEUTRAL): _neutral_value(value) for key, value in event.items()} | tracebacks


def _neutral_value(value: Any) -> Any:  # noqa: ANN401 -- events carry anything
    # Lists and mappings are shown by repr, which escapes by itself.
    return value.translate(_NEUTRAL) if isinstance(value, str) else value


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.translate(_NEUTRAL_BUT_LINES).split("\n"))
