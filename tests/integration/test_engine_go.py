"""The Go tests of the engine's plugins, against the embedded servers."""

import subprocess
import sys
from pathlib import Path

import pytest

from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from ddpm.engine.progress import Silent
from ddpm.engine.toolchain import find_go

ENGINE = Path(__file__).parents[2] / "cmd" / "engine"


@pytest.mark.timeout(1200)  # the first run compiles the engine's libraries
def test_go_tests_pass(postgres: EmbeddedPostgres, kafka: EmbeddedKafka) -> None:
    go = find_go(Silent())
    ran = subprocess.run(
        [go.path, "test", "./..."],
        cwd=ENGINE,
        env=go.environment()
        | {
            "DDPM_TEST_POSTGRES_DSN": postgres.dsn,
            "DDPM_TEST_KAFKA_BROKERS": kafka.bootstrap,
            "DDPM_PYTHON": sys.executable,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "[no tests to run]" not in ran.stdout
