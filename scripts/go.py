"""Runs `go` on the engine's sources with the toolchain that builds the engine: `scripts/go.py vet ./...`."""

import subprocess
import sys
from pathlib import Path

from rich.console import Console

from ddpm.engine.progress import Terminal
from ddpm.engine.toolchain import find_go

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "cmd" / "engine"


def main(arguments: list[str]) -> int:
    """Run the command; `fmt-check` lists the files that gofmt would change, and fails when there are any."""
    go = find_go(Terminal(Console(stderr=True)))
    if arguments == ["fmt-check"]:
        gofmt = go.path.with_name("gofmt")
        command = [str(gofmt), "-l", str(SOURCES), str(ROOT / "tests" / "kubernetes"), str(ROOT / "tests" / "compose")]
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if listed:
            sys.stderr.write(f"gofmt would change:\n{listed}")
        return int(bool(listed))
    # The race detector is C.
    environment = go.environment() | ({"CGO_ENABLED": "1"} if "-race" in arguments else {})
    return subprocess.run([go.path, *arguments], cwd=SOURCES, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
