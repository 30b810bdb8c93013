"""The engine's configuration for trying records: the same processors as in a run, and nothing of Kafka or Postgres."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ddpm.components.offline import configuration
from ddpm.components.registry import pipeline_type
from ddpm.errors import ConfigError
from ddpm.orchestrator.prepare import skeleton_of
from ddpm.render import render, render_component

GOLDEN = Path(__file__).parents[2] / "golden"
KAFKA = {"brokers": ["kafka:9092"], "topics": ["events"], "consumer_group": "group"}
POSTGRES = {"url": "postgresql://ddpm:hunter2secret@db/shop", "table": "orders"}

CASES: dict[str, dict[str, Any]] = {
    "offline-typed-table": {
        "kafka": KAFKA,
        "postgres": POSTGRES | {"columns": {"id": "bigint", "city": {"type": "text", "from": "address.city"}}},
        "source": {"parser": "csv", "compression": "gzip"},
        "processors": [{"mapping": 'root = this\nroot.home = "${HOME}"'}, {"filter": "this.id != null"}],
    },
    "offline-document-table": {"kafka": KAFKA, "postgres": POSTGRES},
    "offline-no-table": {"kafka": KAFKA, "postgres": POSTGRES, "sinks": ["stdout"]},
}


def rendered(section: dict[str, Any]) -> str:
    return render_component(configuration(pipeline_type().model_validate(section)), origin="app-config.yaml").text


def mappings(steps: list[dict[str, Any]]) -> list[str]:
    """The user's mappings, be they run on messages or on whole batches."""
    found: list[str] = []
    for step in steps:
        found += [each["mapping"] for each in step.get("try", ())]
        found += step.get("ddpm_steps", {}).get("mappings", ())
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_offline_configuration_is_the_golden_one(name: str, request: pytest.FixtureRequest) -> None:
    golden, text = GOLDEN / f"{name}.yaml", rendered(CASES[name])
    if request.config.getoption("--update-golden"):
        golden.write_text(text)
    assert text == golden.read_text(), "run pytest with --update-golden when the change is meant"
    assert "hunter2secret" not in text


@pytest.mark.parametrize("name", CASES)
def test_its_processors_are_those_of_a_run(name: str) -> None:
    pipeline = pipeline_type().model_validate(CASES[name])
    run = yaml.safe_load(render(pipeline, skeleton_of(pipeline), origin="app-config.yaml").text)
    (trial,) = yaml.safe_load(rendered(CASES[name]))["pipeline"]["processors"]
    parts = trial["ddpm_trial"]
    origin, *steps = run["pipeline"]["processors"]
    # A run counts behind them what is left; a trial says of each document what became of it.
    ran = [step for step in steps if step != {"ddpm_passed": {}}]
    assert parts["parser"] == ran[: len(parts["parser"])]
    assert mappings(parts["processors"]) == mappings(ran[len(parts["parser"]) :])
    assert len(mappings(ran)) == len(CASES[name].get("processors", ()))
    # A run asks brokers, which a trial has none of.
    asks = ("addresses", "topic_ids_env", "marks_env", "forks_env")
    told = {key: value for key, value in origin.pop("ddpm_origin").items() if key not in asks}
    assert parts["origin"] == [{"ddpm_origin": told}]
    assert not origin


def test_what_a_run_refuses_is_refused() -> None:
    section = {"kafka": KAFKA, "source": {"parser": "ndjson"}, "postgres": POSTGRES | {"columns": {"index": "int"}}}
    with pytest.raises(ConfigError, match='"index" is an identity column'):
        rendered(section)
