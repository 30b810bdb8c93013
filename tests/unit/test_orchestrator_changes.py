"""An edited configuration is noticed, and one that was only touched is not."""

import os
from pathlib import Path

import pytest

from ddpm.components.registry import pipeline_type
from ddpm.config.load import load
from ddpm.orchestrator.run.changes import ConfigFiles

TEXT = """app:
  kafka: { brokers: ["localhost:9092"], topics: [orders], consumer_group: orders }
  sinks: [stdout]
  pipeline_template: mine.yaml
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("ddpm.orchestrator.run.changes._EVERY_SECONDS", 0.0)
    (tmp_path / "mine.yaml").write_text("input: {{ input | yaml(2) }}")
    path = tmp_path / "app-config.yaml"
    path.write_text("\N{ZERO WIDTH NO-BREAK SPACE}" + TEXT)
    return path


def test_an_edit_is_told_until_it_is_taken_back(path: Path) -> None:
    config = load(path, {}, model=pipeline_type()).config
    files = ConfigFiles(config)
    os.utime(path, (1, 1))
    assert files.changed() is None
    said = "{} changed since it was read; `ddpm reload` applies it"
    for file, text in ((path, TEXT + "# edited\n"), (path.with_name("mine.yaml"), "input: {}")):
        before = file.read_text()
        file.write_text(text)
        assert files.changed() == said.format(file.name)
        file.unlink()
        assert files.changed() == said.format(file.name)
        file.write_bytes(b"\xff")
        assert files.changed() == said.format(file.name)
        file.write_text(before)
        assert files.changed() is None


def test_an_edit_between_reading_and_starting_counts(path: Path) -> None:
    config = load(path, {}, model=pipeline_type()).config
    path.write_text(TEXT.replace("orders", "returns"))
    assert "app-config.yaml changed" in (ConfigFiles(config).changed() or "")


def test_it_is_looked_at_now_and_then_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddpm.orchestrator.run.changes._EVERY_SECONDS", 3600.0)
    files = ConfigFiles(load(path, {}, model=pipeline_type()).config)
    assert files.changed() is None
    path.unlink()
    assert files.changed() is None
