"""What reaches the log: the chosen style, foreign loggers too, and never a secret."""

import io
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from ddpm.config.model import LogLevel
from ddpm.observability.logging import EngineLog, configure
from ddpm.observability.recent import RecentLog


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
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


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def settled() -> None:
    """Tell what was folded, as the end of the process would."""
    for handler in logging.getLogger().handlers:
        handler.close()


def test_an_engines_line_carries_pipeline_replica_level_and_fields() -> None:
    stream = io.StringIO()
    configure(LogLevel.TRACE, stream=stream)
    log = EngineLog("orders", 2)
    log("trace", "polled", {"path": "root.input", "level": "mine", "self": 1, "event": "x", "pipeline": "forged"})
    log("warn", "slow", {})
    log("fatal", "gone", {})
    log("panic?", "odd", {})
    trace, warn, fatal, odd = events(stream)
    assert (trace["level"], trace["event"], trace["pipeline"], trace["replica"]) == ("trace", "polled", "orders", 2)
    assert (trace["path"], trace["level_"], trace["self"], trace["event_"], trace["pipeline_"]) == (
        "root.input",
        "mine",
        1,
        "x",
        "forged",
    )
    assert (warn["level"], fatal["level"], odd["level"]) == ("warning", "critical", "panic?")


def test_an_engines_chatter_below_the_level_is_left_out() -> None:
    stream = io.StringIO()
    configure(LogLevel.INFO, stream=stream)
    EngineLog("orders", 0)("debug", "polled", {})
    assert stream.getvalue() == ""


def test_a_flood_of_an_engine_is_two_lines_and_the_troubles_know_how_many() -> None:
    stream, recent = io.StringIO(), RecentLog()
    configure(LogLevel.INFO, stream=stream, recent=recent, secrets=["hunter2"])
    log = EngineLog("orders", 0)
    for number in range(5_000):
        log("error", f"batch {number} failed with hunter2", {"attempt": number})
    settled()
    first, rest = events(stream)
    assert (first["event"], first["attempt"]) == ("batch 0 failed with ***", 0)
    assert rest["event"].startswith("batch 4999 failed with *** … (repeated 4,999 times in ")
    assert (rest["attempt"], rest["repeated"], rest["level"]) == (4_999, 4_999, "error")
    assert [trouble.count for trouble in recent.troubles("orders")] == [5_000]
    assert len(recent.since()) == 2


def test_a_flood_of_a_library_is_folded_with_its_logger_named() -> None:
    stream = io.StringIO()
    configure(LogLevel.INFO, stream=stream)
    for number in range(100):
        logging.getLogger("urllib3.connection").warning("node %s is away", number)
    settled()
    first, rest = events(stream)
    assert (first["event"], first["logger"], first["level"]) == ("node 0 is away", "urllib3.connection", "warning")
    assert (rest["repeated"], rest["logger"]) == (99, "urllib3.connection")


def test_what_ddpm_says_itself_is_never_folded() -> None:
    stream = io.StringIO()
    configure(LogLevel.INFO, stream=stream)
    for _ in range(100):
        structlog.get_logger().warning("pipeline recovering", pipeline="orders", replica=0)
    assert len(events(stream)) == 100


def test_who_asks_for_details_gets_every_one_of_them() -> None:
    stream = io.StringIO()
    configure(LogLevel.DEBUG, stream=stream)
    log = EngineLog("orders", 0)
    for number in range(100):
        log("debug", f"record {number}", {})
    assert len(events(stream)) == 100


def test_a_new_configuration_loses_nothing_that_was_folded() -> None:
    before, after = io.StringIO(), io.StringIO()
    configure(LogLevel.INFO, stream=before)
    log = EngineLog("orders", 0)
    for _ in range(10):
        log("error", "lost", {})
    configure(LogLevel.INFO, stream=after)
    assert [event.get("repeated") for event in events(before)] == [None, 9]


def test_a_folded_line_costs_microseconds() -> None:
    configure(LogLevel.INFO, stream=io.StringIO())
    log, fields = EngineLog("orders", 0), {"path": "root.output"}
    started = time.process_time()
    for number in range(50_000):
        log("error", f"cannot write batch {number}: connection refused", fields)
    # About 3 µs on an idle machine.
    assert (time.process_time() - started) / 50_000 < 50e-6


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize(
    "evil",
    [
        "ok\n2026-11-22T10:00:00Z [error] forged",
        "\x1b[2Jcleared",
        "\x9b31mred",
        "a\rb",
        "a\u2028b",
        "\u202etxt.exe",
        "\ud800",
        "bell\x07",
    ],
)
def test_a_line_cannot_be_forged_nor_reach_the_terminal(style: str, evil: str) -> None:
    stream = io.StringIO()
    configure(LogLevel.INFO, style=style, stream=stream)  # type: ignore[arg-type]
    EngineLog("orders", 0)("error", evil, {"field": evil, evil: [evil, {"deep": evil}]})
    logging.getLogger("some.library").error("%s", evil)
    text = stream.getvalue()
    assert text.count("\n") == 2
    assert text.replace("\n", "").isprintable()
    text.encode()


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)]
)
def test_a_terminal_gets_colours_unless_it_is_not_to(
    env: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"NO_COLOR": "", "TERM": "xterm", **env}.items():
        monkeypatch.setenv(name, value)
    stream = Screen()
    configure(LogLevel.INFO, stream=stream)
    structlog.get_logger().info("topic grown")
    assert ("\x1b[" in stream.getvalue()) is coloured


def test_a_traceback_in_the_console_cannot_pass_for_an_event() -> None:
    stream = io.StringIO()
    configure(LogLevel.INFO, style="console", stream=stream)
    try:
        raise ValueError("no\n2026-11-22 [error] forged \x1b[31m")
    except ValueError:
        structlog.get_logger().exception("failed")
    head, *rest = stream.getvalue().rstrip("\n").split("\n")
    assert "failed" in head
    assert any("ValueError: no" in line for line in rest)
    assert all(line.startswith("  ") for line in rest)
    assert "\x1b" not in stream.getvalue()


def test_whatever_is_logged_is_valid_json() -> None:
    stream = io.StringIO()
    configure(LogLevel.INFO, stream=stream, secrets=["hunter2"])
    circle: list[Any] = []
    circle.append(circle)
    structlog.get_logger().info(
        "odd",
        nan=float("nan"),
        infinite=float("-inf"),
        raw=b"\xff hunter2",
        path=Path("/tmp/hunter2"),  # noqa: S108 -- only a name
        circle=circle,
        keys={1: "a", (2, 3): {"b"}},
        error=ValueError("no hunter2"),
    )
    (event,) = [json.loads(line, parse_constant=pytest.fail) for line in stream.getvalue().splitlines()]
    assert (event["nan"], event["infinite"], event["path"]) == ("nan", "-inf", "/tmp/***")  # noqa: S108 -- only a name
    assert event["error"] == "no ***"
    assert "hunter2" not in stream.getvalue()


def test_a_broken_log_call_is_told_without_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    configure(LogLevel.INFO, stream=stream, secrets=["hunter2"])
    logging.getLogger("some.library").warning("%d of them", "hunter2")
    (event,) = events(stream)
    assert "could not be written" in event["event"]
    assert "hunter2" not in stream.getvalue() + capsys.readouterr().err


def test_a_closed_stream_stops_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    configure(LogLevel.INFO, stream=stream)
    stream.close()
    structlog.get_logger().info("into the void")
    assert capsys.readouterr().err == ""


def test_what_is_remembered_is_what_was_shown() -> None:
    stream, recent = io.StringIO(), RecentLog()
    configure(LogLevel.INFO, stream=stream, secrets=['p"w'], recent=recent)
    structlog.get_logger().warning(json.dumps({"dsn": 'p"w'}), pipeline="orders", url="x:p%22w@h")
    (line,) = recent.since()
    assert line.message == '{"dsn": "***"}'
    assert line.fields == {"url": "x:***@h"}
