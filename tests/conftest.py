"""Options of the test run, its markers, and the fixtures that start real services."""

import signal
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["fix_services", "fix_world", "fix_docker"]

# A slow machine is no defect of the code.
settings.register_profile("ddpm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ddpm")

# A script's background job inherits that Ctrl-C is ignored, and one of nohup that a hangup is; so would every command
# that a test sends these signals to. What is caught here is not ignored there.
signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

TESTS = Path(__file__).parent
SLOWEST_FIRST = ("faults", "integration", "browser", "unit")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-rounds", type=int, default=0, help="all faults, so many rounds; 0 is the short form")
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")
    parser.addoption("--update-docs", action="store_true", help="write the tables of docs that tests prove anew")
    parser.addoption("--update-screenshots", action="store_true", help="make the pictures of the README anew")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _folder(item) in ("integration", "faults"):
            item.add_marker(_folder(item))
    twice = [name for name, count in Counter(item.nodeid for item in items).items() if count > 1]
    if twice:
        msg = f"several tests are called {twice[0]}: side by side only one of them would run"
        raise pytest.UsageError(msg)
    if hasattr(config, "workerinput"):
        # Of several processes each takes the next file: the quick ones at the end let them end together.
        items.sort(key=lambda item: SLOWEST_FIRST.index(_folder(item)))


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]
