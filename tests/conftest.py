"""Options of the test run, its markers, and the fixtures that start real services."""

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["fix_services", "fix_world", "fix_docker"]

# A slow machine is no defect of the code.
settings.register_profile("ddpm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("short", settings.get_profile("ddpm"), max_examples=20)
settings.load_profile("ddpm")

# A script's background job inherits that Ctrl-C is ignored, and one of nohup that a hangup is; so would every command
# that a test sends these signals to. What is caught here is not ignored there.
signal.signal(signal.SIGINT, signal.default_int_handler)
# One who ends a run by SIGTERM, as `timeout` does, wants what tests have started ended as well.
signal.signal(signal.SIGTERM, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

TESTS = Path(__file__).parent
SLOWEST_FIRST = ("faults", "deploy", "integration", "browser", "unit")
# What a test needs is known from the fixtures that it takes, its own and those of its fixtures.
NEEDS = {
    "kafka": "needs_kafka",
    "cluster": "needs_kafka",
    "postgres": "needs_postgres",
    "engine_binary": "needs_engine",
    "dockerd": "needs_docker",
    "chromium": "needs_browser",
}


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--short"):
        settings.load_profile("short")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-rounds", type=int, default=0, help="all faults, so many rounds; 0 is the short form")
    parser.addoption("--short", action="store_true", help="fewer examples, and no Go test that takes long")
    parser.addoption("--update-golden", action="store_true", help="write the golden files again")
    parser.addoption("--update-docs", action="store_true", help="write the tables of docs that tests prove again")
    parser.addoption("--update-screenshots", action="store_true", help="make the pictures of the README again")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    for item in items:
        for fixture in NEEDS.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(NEEDS[fixture])
        if _folder(item) != "unit":
            item.add_marker("no_cover")  # it would only be slower: what it starts is in other processes
    twice = [name for name, count in Counter(item.nodeid for item in items).items() if count > 1]
    if twice:
        msg = f"several tests are called {twice[0]}: side by side only one of them would run"
        raise pytest.UsageError(msg)
    written = {item: place for place, item in enumerate(items)}
    yield
    # Unit tests run in the random order that pytest-randomly gave them, all others as they are written.
    items.sort(key=lambda item: 0 if _folder(item) == "unit" else written[item])
    if hasattr(config, "workerinput"):
        # Of several processes each takes the next file: the quick ones at the end let them end together.
        items.sort(key=lambda item: SLOWEST_FIRST.index(_folder(item)))


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]
