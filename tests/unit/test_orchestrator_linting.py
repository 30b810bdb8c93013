"""How often the engine is asked about configurations, with a shell script in its place that counts."""

from pathlib import Path

import pytest

from ddpm.components.registry import pipeline_type
from ddpm.config.model import Pipeline
from ddpm.errors import ConfigError
from ddpm.observability.masking import Masker
from ddpm.orchestrator.launching.linting import Linter
from ddpm.orchestrator.prepare import generated_path
from ddpm.render import Rendered

MASKER = Masker(())


def pipeline(name: str) -> Pipeline:
    kafka = {"brokers": ["b:1"], "topics": [name], "consumer_group": name}
    return pipeline_type().model_validate({"name": name, "kafka": kafka, "sinks": ["stdout"]})


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Notes its arguments, and finds fault with every file that has the word bad in it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "engine"
    path.write_text(
        '#!/bin/sh\necho "$@" >> asked\nshift 2\n'
        'for file; do grep -q bad "$file" && { echo "$file(1,1) it is bad"; code=1; }; done\nexit ${code:-0}\n'
    )
    path.chmod(0o755)
    return path


def asked() -> list[list[str]]:
    return [line.split()[2:] for line in Path("asked").read_text().splitlines()]


def test_all_configurations_are_checked_by_one_engine_and_not_again(engine: Path) -> None:
    linter = Linter()
    made = [(pipeline(name), Rendered(f"# {name}\n")) for name in ("a", "b", "c")]
    linter.write_all(engine, made, MASKER)
    for each, text in made:
        path = generated_path(each)
        path.unlink()
        linter.write(engine, path, text, each, MASKER)
        assert path.read_text() == text.text
    assert asked() == [[str(generated_path(each)) for each, _ in made]]


def test_one_that_is_another_than_the_one_that_was_checked_is_checked(engine: Path) -> None:
    linter, orders = Linter(), pipeline("orders")
    linter.write_all(engine, [(orders, Rendered("# before\n"))], MASKER)
    with pytest.raises(ConfigError, match="line 1: it is bad"):
        linter.write(engine, generated_path(orders), Rendered("# bad\n"), orders, MASKER)
    linter.write(engine, generated_path(orders), Rendered("# before\n", {"DDPM_VALUE_1": "x"}), orders, MASKER)
    assert len(asked()) == 3


def test_variables_of_one_pipeline_are_not_those_of_another(engine: Path) -> None:
    made = [(pipeline(name), Rendered(f"# {name}\n", {"DDPM_VALUE_1": name})) for name in ("a", "b")]
    Linter().write_all(engine, made, MASKER)
    assert [len(paths) for paths in asked()] == [1, 1]


def test_the_one_that_the_engine_does_not_accept_is_named(engine: Path) -> None:
    made = [(pipeline(name), Rendered(f"# {name}\n")) for name in ("good", "bad", "fine")]
    with pytest.raises(ConfigError, match="does not accept the configuration of bad:"):
        Linter().write_all(engine, made, MASKER)
