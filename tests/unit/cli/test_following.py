"""Lines and events as they come: their past, their order, and what a lost connection does to them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO

import pytest
from rich.text import Text

from ddpm.cli.client import AwayError
from ddpm.cli.following import Entry, followed, line_text
from ddpm.server.views import LogLineView
from harness.waiting import eventually
from unit.cli.fake_ddpm import FakeDdpm, call, running
from unit.server.pictures import ORDERS, RETURNS


def write(fake: FakeDdpm, *messages: str, pipeline: str = "orders", **fields: object) -> None:
    for message in messages:
        fake.lines(None, "info", {"event": message, "level": "info", "pipeline": pipeline, "replica": 0, **fields})


def shown(line: dict[str, object]) -> str:
    base = {"id": 1, "at": "2026-11-22T10:00:00.123Z", "level": "info", "pipeline": None, "replica": None, "fields": {}}
    return line_text(LogLineView.model_validate(base | line)).plain


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"message": "ready"}, "2026-11-22T10:00:00.123Z [info    ] ready"),
        (
            {"message": "ready", "level": "warning", "pipeline": "orders", "fields": {"topic": "t", "n": 3}},
            "2026-11-22T10:00:00.123Z [warning ] orders ready topic=t n=3",
        ),
        (
            {"message": "engine", "pipeline": "orders", "replica": 2, "fields": {"a": "two words", "b": None, "c": ""}},
            '2026-11-22T10:00:00.123Z [info    ] orders/2 engine a="two words" b=null c=""',
        ),
        (
            {"message": "x\x1b]0;t\x07\nforged", "fields": {"k\n": "v\x1b", "d": {"e": "\x9b"}}},
            r"2026-11-22T10:00:00.123Z [info    ] x\x1b]0;t\x07\nforged k\n=v\x1b " + r'd={"e": "\u009b"}',
        ),
        (
            {"message": "oh", "fields": {"exception": "Traceback:\n  boom\x1b[2J"}},
            "2026-11-22T10:00:00.123Z [info    ] oh\n    Traceback:\n      boom\\x1b[2J",
        ),
    ],
)
def test_a_line_reads_like_the_log_and_carries_nothing_out(line: dict[str, object], expected: str) -> None:
    assert shown(line) == expected


def test_the_newest_lines_are_shown_oldest_first() -> None:
    with running(ORDERS, RETURNS) as fake:
        write(fake, "one", "two", "three")
        write(fake, "other", pipeline="returns")
        everything = call("logs", "--url", fake.url)
        newest = call("logs", "orders", "-n", "2", "--url", fake.url)
        none = call("logs", "--lines", "0", "--url", fake.url)
    assert [line.split()[-1] for line in everything.stdout.splitlines()] == ["one", "two", "three", "other"]
    assert [line.split()[-1] for line in newest.stdout.splitlines()] == ["two", "three"]
    assert none.stdout == ""


def test_json_is_one_object_a_line_as_the_api_gives_it() -> None:
    with running(ORDERS) as fake:
        write(fake, "grün\x1b[2J", detail={"n": 1})
        (line,) = call("logs", "--json", "--url", fake.url).stdout.splitlines()
    assert "\x1b" not in line
    found = json.loads(line)
    assert set(found) == {"id", "at", "level", "pipeline", "replica", "message", "fields"}
    assert (found["message"], found["fields"]) == ("grün\x1b[2J", {"detail": {"n": 1}})


def test_events_of_all_pipelines_are_in_order() -> None:
    with running(ORDERS, RETURNS) as fake:
        fake.supervisor.events.add("orders", "state", "connected", "running")
        fake.supervisor.events.add("returns", "control", "pause requested")
        fake.supervisor.events.add("orders", "exit", "engine 0 exited with code 1")
        every = call("events", "--url", fake.url).stdout.splitlines()
        newest = call("events", "-n", "1", "--json", "--url", fake.url).stdout
        one = call("events", "returns", "--url", fake.url).stdout
    assert [" ".join(line.split()[1:]) for line in every] == [
        "state orders running connected",
        "control returns pause requested",
        "exit orders engine 0 exited with code 1",
    ]
    assert json.loads(newest)["message"] == "engine 0 exited with code 1"
    assert one == every[1] + "\n"


@contextmanager
def following(*arguments: str, url: str, stdout: int | IO[bytes] = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("DDPM_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "ddpm", *arguments, "--url", url],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    assert process.stderr is not None
    error = process.stderr.read()
    return process.wait(30), error


def test_following_goes_on_over_a_restart_of_ddpm_and_ends_with_ctrl_c() -> None:
    with ExitStack() as stack:
        with running(ORDERS) as first:
            write(first, "before")
            command = stack.enter_context(following("logs", "-f", "orders", url=first.url))
            assert line_of(command).endswith("before")
            write(first, "now")
            assert line_of(command).endswith("now")
            port = int(first.url.rpartition(":")[2])
        assert command.stderr is not None
        assert command.stderr.readline() == f"-- the connection to {first.url} is lost, waiting for ddpm\n"
        # A new ddpm counts its lines from one again, and may have written some before anyone asks.
        with running(ORDERS, port=port) as second:
            write(second, "after", "more")
            assert [line_of(command).split()[-1] for _ in range(2)] == ["after", "more"]
            write(second, "last")
            assert line_of(command).endswith("last")
            command.send_signal(signal.SIGINT)
            assert ended(command) == (0, "-- connected again\n")


def test_events_follow() -> None:
    with running(ORDERS, RETURNS) as fake, following("events", "-f", "--json", url=fake.url) as command:
        fake.supervisor.events.add("orders", "control", "pause requested")
        assert json.loads(line_of(command))["message"] == "pause requested"
        fake.supervisor.events.add("returns", "state", "paused on request", "paused")
        assert json.loads(line_of(command))["pipeline"] == "returns"


def test_a_reader_that_has_gone_ends_it_quietly() -> None:
    with running(ORDERS) as fake:
        write(fake, "one")
        with following("logs", "-f", url=fake.url) as command:
            assert line_of(command).endswith("one")
            assert command.stdout is not None
            command.stdout.close()

            def over() -> bool:
                write(fake, "more")
                return command.poll() is not None

            eventually(over, "the command ends", 30)
            assert ended(command) == (0, "")


def test_watching_shows_that_ddpm_is_away_and_that_it_is_back() -> None:
    with ExitStack() as stack:
        with running(ORDERS) as first:
            command = stack.enter_context(following("status", "--watch", url=first.url))
            port = int(first.url.rpartition(":")[2])
            wait_for(command, "running")
        wait_for(command, f"nothing answers at {first.url}")
        with running(RETURNS, port=port):
            wait_for(command, "returns")
            command.send_signal(signal.SIGINT)
            assert ended(command) == (0, "")


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    assert any(text in line for line in process.stdout)


@dataclass
class Script:
    """A feed that plays: what is kept each time it is asked, and what each connection then tells."""

    kept_: list[list[Entry] | None]
    told: list[list[Entry]]
    asked: list[int | None]

    def kept(self) -> list[Entry]:
        found = self.kept_.pop(0)
        if found is None:
            raise AwayError("away")
        return found

    def after(self, last: int | None) -> Iterator[Entry]:
        self.asked.append(last)
        yield from self.told.pop(0)
        raise AwayError("away")


def entry(number: int, at: str) -> Entry:
    return Entry(number, at, Text(), {})


def test_what_was_missed_is_made_up_for_and_nothing_comes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddpm.cli.following.RECONNECT_SECONDS", 0.0)
    old, new = [entry(number, "monday") for number in range(1, 5)], [entry(number, "tuesday") for number in (1, 2, 3)]
    feed = Script([None, old, None, new], [old[1:2], [], []], [])
    notices: list[bool] = []
    came = followed(feed, old[:1], notices.append)
    found = [next(came) for _ in range(6)]
    # The same ddpm is asked for what follows; one that counts again is asked for everything.
    assert [(each.id, each.at) for each in found] == [
        (2, "monday"),
        (3, "monday"),
        (4, "monday"),
        (1, "tuesday"),
        (2, "tuesday"),
        (3, "tuesday"),
    ]
    assert feed.asked == [1, 4]
    assert notices == [True, True, False, True, True, False]
