"""What `ddpm top` draws, in what order, and what it does when ddpm goes away."""

import io
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from ddpm.cli.address import Address
from ddpm.cli.client import AwayError, Client
from ddpm.cli.top import Eyes, Look, SortKey, Used, ordered, picture, spark
from ddpm.server.views import PipelinesView, pipeline_view
from harness.waiting import eventually
from unit.cli.fake_ddpm import FakeDdpm, call, running
from unit.server.pictures import ORDERS, RETURNS

NOW = ORDERS.since + 60
USED = {"orders": Used(0.25, 120_000_000), "returns": Used(1.5, 80_000_000)}


def look(note: str | None = None) -> Look:
    view = PipelinesView(pipelines=tuple(pipeline_view(each, NOW) for each in (ORDERS, RETURNS)))
    return Look(datetime.fromtimestamp(NOW, UTC), view.pipelines, USED, note)


@pytest.fixture
def ddpm() -> Iterator[FakeDdpm]:
    with running(ORDERS, RETURNS) as fake:
        yield fake


def drawn(sort: SortKey, width: int | None, note: str | None = None) -> str:
    out = io.StringIO()
    Console(file=out, width=width or 10_000).print(picture(look(note), sort, width))
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 110, 200])
def test_every_figure_has_room(width: int) -> None:
    shown = drawn(SortKey.LAG, width)
    assert all(len(line) <= width for line in shown.splitlines())
    for figure in ("25%", "150%", "120 MB", "80 MB"):
        assert figure in shown
    assert "q quit" in shown


def test_what_is_chosen_is_marked_and_sorts() -> None:
    assert "memory▾" in drawn(SortKey.MEMORY, 120)
    names = {sort: [each.name for each in ordered(look(), sort)] for sort in SortKey}
    assert names[SortKey.CPU] == ["returns", "orders"]
    assert names[SortKey.MEMORY] == ["orders", "returns"]
    assert names[SortKey.NAME] == ["orders", "returns"]
    assert names[SortKey.LAG][0] == "returns", "a lag that is not known comes first"


def test_for_tools_there_is_a_line_for_each_pipeline(ddpm: FakeDdpm) -> None:
    shown = call("top", "--sort", "name", "--url", ddpm.url)
    assert shown.exit_code == 0
    head, *rows = shown.output.splitlines()
    assert head.split()[:4] == ["pipeline", "state", "read/s", "written/s"]
    assert [row.split()[:2] for row in rows] == [["orders", "running"], ["returns", "running"]]


def test_who_goes_away_is_shown_as_it_was_with_since_when(ddpm: FakeDdpm) -> None:
    with Client(Address(ddpm.url)) as client:
        eyes = Eyes(client)
        assert [each.name for each in eyes.look().pipelines] == ["orders", "returns"]
        eyes._client = Client(Address("http://127.0.0.1:1"))
        with eyes._client:
            seen = eyes.look()
        assert seen.note is not None
        assert seen.note.startswith("nothing answers at http://127.0.0.1:1")
        assert [each.name for each in seen.pipelines] == ["orders", "returns"]
    with Client(Address("http://127.0.0.1:1")) as client, pytest.raises(AwayError):
        Eyes(client).look()


def test_bars_grow_with_the_values() -> None:
    assert spark((0, 1, 2, 4, 8)) == "▁▂▃▅█"
    assert spark((0, 0)) == "▁▁"
    assert spark(()) == ""
    assert replace(look(), note="x").note == "x"


def test_in_a_terminal_keys_sort_and_end_it(ddpm: FakeDdpm) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ddpm", "top", "--url", ddpm.url]
    env = os.environ | {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    before = termios.tcgetattr(theirs)
    running = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    shown = bytearray()

    def sees(text: str) -> bool:
        while select.select([ours], [], [], 0.05)[0]:
            shown.extend(os.read(ours, 65_536))
        return text.encode() in shown

    try:
        eventually(lambda: sees("lag▾"), "it is sorted by lag", 30)
        os.write(ours, b"m")
        eventually(lambda: sees("memory▾"), "it is sorted by memory", 10)
        os.write(ours, b"q")
        eventually(lambda: sees("") or running.poll() is not None, "it ends", 10)
        assert running.wait(10) == 0
        assert termios.tcgetattr(theirs) == before, "the terminal is as it was"
    finally:
        running.kill()
        running.wait()
        os.close(ours)
        os.close(theirs)
