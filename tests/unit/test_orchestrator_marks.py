"""What an engine is told of the logs that it goes on to read."""

import json
from pathlib import Path

import pytest

from ddpm.broker.marks import Mark
from ddpm.components.registry import pipeline_type
from ddpm.orchestrator.launching import engines
from ddpm.orchestrator.provisioning.progress import Progress, ProgressFile, TopicProgress
from ddpm.orchestrator.provisioning.provision import Provisioned


def test_marks_of_thousands_of_partitions_fit_into_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = ProgressFile(tmp_path / "p.json")
    marks = {number: (Mark(10**12, 2**32 - 1, 1, 0.0), Mark(10**13, 2**32 - 1, 1, 0.0)) for number in range(9_000)}
    file.save(Progress("g", {"a": TopicProgress("1", {}, marks)}))
    monkeypatch.setattr(engines, "progress_file", lambda _: file)
    kafka = {"brokers": ["b:1"], "topics": ["a"], "consumer_group": "g"}
    pipeline = pipeline_type().model_validate({"name": "p", "kafka": kafka, "sinks": ["stdout"]})

    told = engines._marks(pipeline, Provisioned({}, 1, {"a": "1"}))

    assert len(told) < 128 * 1024 - len("DDPM_MARKS=")
    found = json.loads(told)["a"]
    assert len(found) > 2_000
    assert found["0"] == [10**13, 2**32 - 1]
