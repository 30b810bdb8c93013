"""What ddpm knows of a sink stands in the sink's own file: nothing else asks which sink it is."""

import ast
from collections.abc import Iterator
from pathlib import Path

from ddpm.components.registry import Sinks
from ddpm.contract import Metric
from ddpm.engine import counters

SOURCE = Path(__file__).parents[3] / "src" / "ddpm"
# Words that are a sink's name and mean something else: servers, libraries, programs, the section of the source.
OTHERS = {
    "broker/connection.py": {"kafka"},
    "config/certificates.py": {"kafka"},  # app.kafka
    "config/files.py": {"kafka"},  # the same
    "config/address.py": {"postgres"},
    "config/model/pipeline.py": {"kafka"},
    "config/parts.py": {"kafka"},
    "config/several.py": {"kafka"},
    "devstack/identity.py": {"postgres"},
    "devstack/jars.py": {"kafka"},
    "devstack/postgres.py": {"postgres"},
    "devstack/running.py": {"kafka", "postgres"},
    "devstack/stack.py": {"kafka", "postgres"},
    "observability/logging.py": {"kafka"},
    "orchestrator/embedded.py": {"kafka", "postgres"},
    "orchestrator/run/watching.py": {"kafka"},
    "store/connection.py": {"postgres"},
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if not name.startswith("components/"):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def test_no_text_outside_is_the_name_of_a_sink() -> None:
    kinds = set(Sinks())
    found: dict[str, set[str]] = {}
    for name, module in modules():
        texts = {node.value for node in ast.walk(module) if isinstance(node, ast.Constant) and node.value in kinds}
        if texts:
            found[name] = texts
    assert found == OTHERS


def test_nothing_outside_asks_for_the_kind_of_a_sink() -> None:
    asks, kinds = [], set(Sinks())
    for name, module in modules():
        for node in ast.walk(module):
            if not isinstance(node, ast.Compare):
                continue
            sides = [node.left, *node.comparators]
            compared = any(isinstance(side, ast.Attribute) and side.attr == "kind" for side in sides)
            with_sink = any(isinstance(side, ast.Constant) and side.value in kinds for side in sides)
            if compared and with_sink:
                asks.append(f"{name}:{node.lineno}")
    assert not asks


def test_the_sinks_metrics_are_those_that_the_engine_has() -> None:
    for sink in Sinks().values():
        if sink.metrics_prefix != "ddpm_sink":
            assert {sink.metrics_prefix + counters.COMMITTED, sink.metrics_prefix + counters.WAITING} <= Metric.ALL
