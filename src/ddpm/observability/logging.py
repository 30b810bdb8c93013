"""One stream of logs on standard error: ddpm's own, its libraries' and the engines', as text or as JSON lines.

Secrets that the configuration brought in are masked in every event, whoever wrote it.
"""

import logging
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from ddpm.config.model import LogLevel

MASK = "***"

_LEVELS: Mapping[LogLevel, int] = {
    # The engine knows TRACE; ddpm itself has nothing to say below DEBUG.
    LogLevel.TRACE: logging.DEBUG,
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARN: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}


class Masker:
    """Replaces every known secret in whatever an event carries.

    Args:
        secrets: Texts that must never appear; the longest is replaced first.

    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The same text with every secret masked."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> EventDict:  # noqa: ANN401 -- structlog's type
        """Mask an event on its way through structlog's processors."""
        if not self._secrets:
            return event
        return {key: self._value(value) for key, value in event.items()}

    def _value(self, value: Any) -> Any:  # noqa: ANN401 -- events carry anything
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self._value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(item) for item in value]
        return value


def configure(
    level: LogLevel,
    *,
    style: Literal["auto", "console", "json"] = "auto",
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Send all logs of this process to one stream.

    Args:
        level: The least severe level that is shown.
        style: `console` for people, `json` for machines; `auto` chooses by whether the stream is a terminal.
        secrets: Texts that are masked in every event.
        stream: Where to write; standard error by default.

    """
    stream = stream or sys.stderr
    as_text = style == "console" or (style == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = (
        # Not the renderer's default: that one prints the local variables of every frame.
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if as_text
        else structlog.processors.JSONRenderer()
    )
    # Tracebacks become text before the masking, so that it sees them.
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*last, Masker(secrets), renderer])
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for noisy in ("kafka", "httpx2", "httpcore", "uvicorn", "urllib3", "asyncio", "docker"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
