"""The Go tests of the engine's plugins, against the embedded servers."""

import pytest

from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from ddpm.engine.progress import Silent
from ddpm.engine.toolchain import find_go
from harness.engine_go import go_test


@pytest.mark.timeout(1200)  # the first run compiles the engine's libraries
def test_go_tests_pass(postgres: EmbeddedPostgres, kafka: EmbeddedKafka, pytestconfig: pytest.Config) -> None:
    short = ["-short"] if pytestconfig.getoption("--short") else []
    ran = go_test(find_go(Silent()), postgres, kafka, [*short, "./..."], capture=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "[no tests to run]" not in ran.stdout
