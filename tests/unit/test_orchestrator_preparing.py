"""Pipelines are prepared each by itself."""

import threading
from pathlib import Path

import pytest

from ddpm.components.registry import pipeline_type
from ddpm.config.model import Pipeline
from ddpm.errors import ConfigError, DdpmError, NewerStateError, ServiceError
from ddpm.orchestrator.run.preparing import Preparations, placed
from ddpm.supervisor.memory import MemoryFile
from ddpm.supervisor.pipeline import PipelineSpec
from ddpm.supervisor.runner import Supervisor
from ddpm.supervisor.scaling import StabilizationWindow
from harness.waiting import eventually


def pipeline(name: str, *, once: bool = False) -> Pipeline:
    kafka = {"brokers": ["localhost:9092"], "topics": [name], "consumer_group": name}
    return pipeline_type().model_validate({"name": name, "kafka": kafka, "sinks": ["stdout"], "once": once})


class Attempts:
    """What happens at each attempt, by pipeline; the last one again and again."""

    def __init__(self, folder: Path, *pipelines: Pipeline, **errors: DdpmError) -> None:
        self.errors = errors
        self.mended = threading.Event()
        managed = [
            PipelineSpec(each.name, 20.0, {}, 1, None, StabilizationWindow(), MemoryFile(folder / each.name))
            for each in pipelines
        ]
        self.supervisor = Supervisor(managed)
        self.preparations = Preparations(pipelines, self.make, self.supervisor)

    def make(self, pipeline: Pipeline) -> str:
        if pipeline.name in self.errors and not self.mended.is_set():
            raise self.errors[pipeline.name]
        return f"made {pipeline.name}"


AWAY = ServiceError("cannot be reached", hint="check app.postgres.url")
MISFIT = ConfigError("the type does not exist", hint="correct app.postgres.columns.total, or app.postgres.table")


def test_those_that_are_ready_do_not_wait_for_one_that_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddpm.orchestrator.run.preparing.RETRY_FIRST_SECONDS", 0.01)
    attempts = Attempts(tmp_path, pipeline("good"), pipeline("bad"), bad=AWAY)
    late: list[str] = []
    with attempts.preparations.going_on():
        assert attempts.preparations.first() == {"good": "made good"}
        attempts.preparations.when_made("bad", late.append)
        attempts.supervisor.tick()
        bad = attempts.supervisor.status("bad")
        assert (bad.state, bad.reason) == ("recovering", "pipelines.bad.postgres.url: cannot be reached")
        attempts.mended.set()
        eventually(lambda: late == ["made bad"], "it is tried again")
        assert attempts.preparations.get("bad") == "made bad"


@pytest.mark.parametrize("error", [AWAY, MISFIT])
def test_the_only_pipeline_and_one_that_ends_by_itself_fail_as_they_are(tmp_path: Path, error: DdpmError) -> None:
    for pipelines in ([pipeline("bad")], [pipeline("good"), pipeline("bad", once=True)]):
        attempts = Attempts(tmp_path, *pipelines, bad=error)
        with attempts.preparations.going_on(), pytest.raises(type(error)) as raised:
            attempts.preparations.first()
        assert raised.value is error


def test_all_that_fail_for_good_end_the_run_and_each_is_named(tmp_path: Path) -> None:
    newer = NewerStateError("the table ddpm_schema", 5, 1)
    attempts = Attempts(tmp_path, pipeline("a"), pipeline("b"), a=MISFIT, b=newer)
    with attempts.preparations.going_on(), pytest.raises(DdpmError) as raised:
        attempts.preparations.first()
    assert raised.value.exit_code == MISFIT.exit_code
    assert "pipelines.a.postgres.columns.total: the type does not exist" in raised.value.message
    assert "pipelines.b: the table ddpm_schema has version 5" in raised.value.message


def test_while_one_may_come_back_nothing_ends(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path, pipeline("a"), pipeline("b"), a=MISFIT, b=AWAY)
    with attempts.preparations.going_on():
        assert attempts.preparations.first() == {}
        attempts.supervisor.tick()
        assert [each.state for each in attempts.supervisor.statuses()] == ["failed", "recovering"]


def test_the_place_is_the_pipelines_own() -> None:
    error = ConfigError("app.postgres.table is a view", hint="name a table in app.postgres.table")
    assert placed(error, "x") == "pipelines.x.postgres.table is a view"
    assert placed(ValueError("odd"), "x") == "pipelines.x: odd"


def test_not_all_of_many_are_prepared_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddpm.orchestrator.run.preparing.MOST_AT_ONCE", 2)
    pipelines = [pipeline(name) for name in "abcdef"]
    attempts = Attempts(tmp_path, *pipelines)
    # Each waits for another one, so that two are in it at once.
    pair, busy, most = threading.Barrier(2, timeout=30), set[str](), list[int]()

    def make(each: Pipeline) -> str:
        busy.add(each.name)
        most.append(len(busy))
        pair.wait()
        pair.wait()
        busy.discard(each.name)
        return each.name

    preparations = Preparations(pipelines, make, attempts.supervisor)
    with preparations.going_on():
        assert preparations.first().keys() == set("abcdef")
    assert max(most) == 2
