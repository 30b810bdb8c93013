"""Gathers what the processes of a run have found, for the table of docs/guarantees.md."""

from typing import Any

import pytest

from harness import fault_results


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["faults"] = fault_results.results_of(config)
    elif config.getoption("--update-docs"):
        fault_results.write(config, config.getoption("--fault-rounds"))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    fault_results.add(node.config, getattr(node, "workeroutput", {}).get("faults", {}))
