"""Options of the test run, its markers, and the fixtures that start real services."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["fix_services", "fix_world", "fix_docker"]

# A slow machine is no defect of the code.
settings.register_profile("ddpm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ddpm")

TESTS = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-rounds", type=int, default=0, help="all faults, so many rounds; 0 is the short form")
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")
    parser.addoption("--update-docs", action="store_true", help="write the tables of docs that tests prove anew")
    parser.addoption("--update-screenshots", action="store_true", help="make the pictures of the README anew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in ("integration", "faults"):
            item.add_marker(folder)
