"""A command that feeds records itself says when the running ddpm has another configuration."""

from dataclasses import replace
from pathlib import Path

import pytest

from ddpm.cli.sameness import note_difference
from ddpm.cli.sources import Given
from ddpm.components.registry import pipeline_type
from ddpm.config.load import load
from ddpm.orchestrator.launching.engines import config_hash
from ddpm.orchestrator.prepare import rendered
from unit.cli.fake_ddpm import running
from unit.server.pictures import ORDERS

TEXT = """app:
  name: orders
  kafka: { brokers: ["localhost:9092"], topics: [orders], consumer_group: orders }
  sinks: [stdout]
"""


def test_only_a_difference_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "app-config.yaml"
    path.write_text(TEXT)
    config = load(path, {}, model=pipeline_type()).config
    (pipeline,) = config.pipelines
    mine = config_hash(rendered(config, pipeline).text)

    def said(running_hash: str) -> str:
        with running(replace(ORDERS, config_hash=running_hash)) as fake:
            monkeypatch.setenv("DDPM_URL", fake.url)
            note_difference(config, pipeline, Given(path))
        return capsys.readouterr().err

    assert said(mine) == ""
    assert said("") == ""
    told = said("0123456789ab")
    assert "another configuration of orders (0123456789ab)" in told
    assert f"app-config.yaml ({mine})" in told
    monkeypatch.setenv("DDPM_URL", "http://127.0.0.1:1")
    note_difference(config, pipeline, Given(path))
    assert capsys.readouterr().err == ""
