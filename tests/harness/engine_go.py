"""Runs the Go tests of the engine against real servers."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from ddpm.engine.toolchain import Go

ENGINE = Path(__file__).parents[2] / "cmd" / "engine"


def go_test(
    go: Go, postgres: EmbeddedPostgres, kafka: EmbeddedKafka, arguments: Sequence[str], *, capture: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Run `go test` with these arguments in the engine's module; what it says is captured, or shown as it comes."""
    environment = go.environment() | {
        "DDPM_TEST_POSTGRES_DSN": postgres.dsn,
        "DDPM_TEST_KAFKA_BROKERS": kafka.bootstrap,
        "DDPM_PYTHON": sys.executable,
    }
    if "-race" in arguments:
        environment["CGO_ENABLED"] = "1"  # the race detector is C
    return subprocess.run(
        [str(go.path), "test", *arguments], cwd=ENGINE, env=environment, capture_output=capture, text=True, check=False
    )
