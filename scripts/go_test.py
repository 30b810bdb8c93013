"""Runs the engine's Go tests on servers of their own: `scripts/go_test.py [-race] [-run NAME] ./internal/sink/...`."""

import sys
import tempfile
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from ddpm.engine.progress import Terminal
from ddpm.engine.toolchain import find_go
from harness.engine_go import go_test


def main(arguments: list[str]) -> int:
    """Start Kafka and Postgres, and run `go test`."""
    progress = Terminal(Console(stderr=True))
    go = find_go(progress)
    with tempfile.TemporaryDirectory(prefix="ddpm-go-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the user of Postgres has to get in
        with (
            EmbeddedKafka(folder / "kafka", progress=progress) as kafka,
            EmbeddedPostgres(folder / "postgres", progress=progress) as postgres,
        ):
            return go_test(go, postgres, kafka, arguments).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
