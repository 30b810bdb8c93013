"""The dashboard, the alert rules and the runbook of `deployments/docker`, on a real Prometheus."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from harness.process import Ddpm
from harness.prometheus import Prometheus
from harness.tools import PROMTOOL, require
from harness.waiting import eventually
from harness.world import World, json_records

CHECKOUT = Path(__file__).parents[2]
DOCKER = CHECKOUT / "deployments" / "docker"
DASHBOARD = json.loads((DOCKER / "grafana" / "dashboards" / "ddpm.json").read_text())
RULES = yaml.safe_load((DOCKER / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
RUNBOOK = (CHECKOUT / "docs" / "runbook.md").read_text()


def queries() -> Iterator[str]:
    """Every query of the dashboard, as Grafana asks it with all pipelines chosen."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            expression: str = target["expr"]
            yield expression.replace("$__rate_interval", "20s").replace("$pipeline", ".*")


def test_every_query_of_the_dashboard_is_answered(world: World, tmp_path: Path) -> None:
    world.create_topic()
    with (
        Ddpm(world.config(postgres={"columns": {"n": "integer"}}), tmp_path) as running,
        Prometheus(tmp_path, running.wait_healthy().url) as prometheus,
    ):

        def unanswered() -> list[str]:
            # Rates need records that come while it looks.
            world.produce(json_records([{"n": number} for number in range(100)]))
            world.produce(json_records([{"n": "poison"}]))
            return [query for query in queries() if not prometheus.query(query)]

        eventually(lambda: unanswered() == [], "every query has an answer", 90)
        (variable,) = DASHBOARD["templating"]["list"]
        assert variable["query"]["query"] == "label_values(ddpm_pipeline_up, pipeline)"
        assert prometheus.query("ddpm_pipeline_up")


def test_the_rules_hold_what_their_own_cases_say() -> None:
    folder = DOCKER / "prometheus"
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        ran = subprocess.run(
            [str(require(PROMTOOL)), *command], cwd=folder, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
    cases = yaml.safe_load((folder / "alerts_test.yml").read_text())["tests"]
    assert [case["name"] for case in cases] == [rule["alert"] for rule in RULES]
    fired: dict[str, list[Any]] = {
        case["name"]: [each for test in case["alert_rule_test"] for each in test["exp_alerts"]] for case in cases
    }
    assert all(fired.values()), "each is seen to fire"


def test_the_configuration_of_prometheus_is_one(tmp_path: Path) -> None:
    command = [str(require(PROMTOOL)), "check", "config", "prometheus.yml"]
    ran = subprocess.run(command, cwd=DOCKER / "prometheus", capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_rules_and_runbook_name_each_other() -> None:
    entries = re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE)
    assert entries == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
