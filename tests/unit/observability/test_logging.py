"""What reaches the log: the chosen style, foreign loggers too, and never a secret."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from ddpm.config.model import LogLevel
from ddpm.observability.logging import configure


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_events_are_json_lines_with_level_time_and_fields() -> None:
    stream = io.StringIO()
    configure(LogLevel.INFO, stream=stream)
    structlog.get_logger().warning("topic grown", topic="orders", partitions=3)
    event = json.loads(stream.getvalue())
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "topic grown", "level": "warning", "topic": "orders", "partitions": 3}


def test_less_severe_events_are_left_out() -> None:
    stream = io.StringIO()
    configure(LogLevel.WARN, stream=stream)
    structlog.get_logger().info("chatter")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("style", ["json", "console"])
def test_secrets_are_masked_wherever_they_stand(style: str) -> None:
    stream = io.StringIO()
    configure(LogLevel.INFO, style=style, stream=stream, secrets=["hunter2", "hunter2-long"])  # type: ignore[arg-type]
    structlog.get_logger().info("dsn is hunter2-long", where={"url": ["x hunter2 y"]})
    try:
        raise ValueError("cannot log in with hunter2")
    except ValueError:
        structlog.get_logger().exception("failed")
    logging.getLogger("some.library").warning("password=%s", "hunter2")
    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("***") >= 4
