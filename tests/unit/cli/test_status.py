"""What `ddpm status` shows of pipelines, and how it ends."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx2 as httpx
import pytest
from rich.console import Console

from ddpm.cli.picture import detail, overview
from ddpm.server.views import PipelineDetailView, PipelinesView, detail_view, pipeline_view
from ddpm.supervisor.events import EventLog
from ddpm.supervisor.states import State
from ddpm.supervisor.status import PartitionStatus, Rates, Scaling, Status, Totals
from unit.cli.fake_ddpm import FakeDdpm, call, running
from unit.server.pictures import DESCRIPTION, ORDERS, RETURNS

NOW = ORDERS.since + 3 * 3600 + 120
AWAY = replace(RETURNS, state=State.DEGRADED, reason="postgres: connection refused by db:5432 for quite a while now")

BEHIND = (PartitionStatus("orders", 0, 0, 1_234_567, 1_234_567, 4000.0),)
LONG_RUN = Totals(10**9, 10**9, 12_345, 0)


def drawn(*statuses: Status, width: int = 160, color: bool = True, terminal: bool = True) -> str:
    view = PipelinesView(pipelines=tuple(pipeline_view(each, NOW) for each in statuses))
    pipelines = PipelinesView.model_validate_json(view.model_dump_json()).pipelines
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=color, color_system="standard" if color else None)
    console.print(overview(pipelines, datetime.fromtimestamp(NOW, UTC), terminal=terminal, width=width))
    return out.getvalue()


def drawn_whole(status: Status) -> str:
    events = EventLog()
    event = events.add(status.name, "state", "postgres: away", "degraded")
    view = detail_view(status, DESCRIPTION, (), [event], NOW, config_changed=None)
    out = io.StringIO()
    pipeline = PipelineDetailView.model_validate_json(view.model_dump_json())
    Console(file=out, width=120).print(detail(pipeline, datetime.fromtimestamp(NOW, UTC), terminal=True))
    return out.getvalue()


def test_a_row_says_everything_about_a_pipeline() -> None:
    row = next(line for line in drawn(ORDERS, color=False).splitlines() if "orders" in line)
    expected = "orders ● running 3 h 2 min 4/s 5 (1.5 s) 2 1/1 2 input and outputs are connected"
    assert " ".join(row.split()) == expected


def test_a_state_has_its_colour_and_symbol_on_a_terminal() -> None:
    assert "\x1b[32m● running" in drawn(ORDERS)
    assert "\x1b[33m◐ degraded" in drawn(AWAY)


def test_what_is_not_known_is_no_number() -> None:
    row = next(line for line in drawn(RETURNS, color=False).splitlines() if "returns" in line)
    assert " ? " in row


def test_replicas_that_nothing_has_to_be_said_about_are_named_without_a_reason() -> None:
    fixed = replace(ORDERS, scaling=Scaling(1, 1, 1, "fixed", ""))
    (line,) = (line for line in drawn_whole(fixed).splitlines() if "as configured" in line)
    assert line.split() == ["replicas", "1/1,", "as", "configured"]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_nothing_is_cut_off_where_the_terminal_is_narrow(width: int) -> None:
    busy = replace(AWAY, name="a-pipeline-with-a-name-that-takes-its-room", partitions=BEHIND, totals=LONG_RUN)
    shown = drawn(ORDERS, busy, width=width, color=False)
    assert all(len(line) <= width for line in shown.splitlines())
    assert all(word in shown for word in AWAY.reason.split())
    assert "…" not in shown


def test_every_state_can_be_shown_also_one_that_is_not_known_here() -> None:
    for state in State:
        assert state.value in drawn(replace(ORDERS, state=state), color=False)
    odd: Any = json.loads(PipelinesView(pipelines=(pipeline_view(ORDERS, NOW),)).model_dump_json())
    odd["pipelines"][0]["state"] = "dreaming\x1b[2J"
    pipelines = PipelinesView.model_validate(odd).pipelines
    out = io.StringIO()
    Console(file=out, width=160).print(overview(pipelines, datetime.now(UTC), terminal=True, width=160))
    assert r"dreaming\x1b[2J" in out.getvalue()


def test_one_pipeline_is_shown_with_all_its_details() -> None:
    status = replace(AWAY, last_exit=ORDERS.last_exit, partitions=ORDERS.partitions, scaling=ORDERS.scaling)
    shown = drawn_whole(status)
    for expected in (
        "◐ degraded for 3 h 2 min",
        "postgres: connection refused",
        "orders as orders, parsed as json",
        "postgres orders; dead letters to failed-messages",
        "✓ ok",
        "not asked yet",
        "pid 41",
        "1-3 by lag: lag 0 s, target 30 s",
        "signal SIGKILL, 3 h 2 min ago: engine was ended by signal 9",
        "error: oh",
        "degraded postgres: away",
        "50 read, 40 written, 10 dead",
        "2 open, 1 replayed, 3 discarded",
    ):
        assert expected in shown, shown


def test_of_many_partitions_those_with_the_most_lag_are_shown() -> None:
    many = tuple(PartitionStatus("orders", number, 0, number, number, 1.0) for number in range(100))
    shown = drawn_whole(replace(ORDERS, partitions=many))
    assert " 99 " in shown
    assert "and 80 more with less lag" in shown


def test_for_other_tools_it_is_one_plain_line_a_pipeline() -> None:
    odd = replace(AWAY, reason="long " * 100 + "\x1b[2J", rates=Rates(0, 0, 0))
    with running(ORDERS, odd) as fake:
        result = call("status", "--url", fake.url)
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["orders", "running"], ["returns", "degraded"]]
    assert "\x1b" not in result.stdout
    assert lines[2].endswith(r"\x1b[2J")


@pytest.fixture(scope="module")
def two() -> Iterator[FakeDdpm]:
    with running(ORDERS, RETURNS) as fake:
        yield fake


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("arguments", [(), ("returns",), ("--json",)])
def test_it_ends_with_1_when_a_pipeline_is_not_well(two: FakeDdpm, state: State, arguments: tuple[str, ...]) -> None:
    two.supervisor.pictures["returns"] = replace(RETURNS, state=state)
    result = call("status", *arguments, "--url", two.url)
    assert result.exit_code == (0 if state in (State.RUNNING, State.PAUSED) else 1)
    assert state.value in result.stdout


@pytest.mark.parametrize(("arguments", "path"), [((), ""), (("orders",), "/orders")])
def test_json_is_what_the_api_says(arguments: tuple[str, ...], path: str) -> None:
    with running(ORDERS) as fake:
        result = call("status", *arguments, "--json", "--url", fake.url)
        answer = httpx.get(f"{fake.url}/v1/pipelines{path}", trust_env=False).json()
    assert without_ages(json.loads(result.stdout)) == without_ages(answer)


def without_ages(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_ages(each) for key, each in value.items() if key != "age_seconds"}
    return [without_ages(each) for each in value] if isinstance(value, list) else value


def test_watching_and_json_do_not_go_together() -> None:
    assert call("status", "--watch", "--json").exit_code == 2
