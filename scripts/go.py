"""Runs `go` on the engine's sources with the toolchain that builds the engine: `scripts/go.py vet ./...`.

Its own words are `fmt-check` and, for what is pinned in `scripts/gotools`, `tool NAME …`, `actionlint` and `vuln`.
"""

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from ddpm.engine.progress import Terminal
from ddpm.engine.toolchain import Go, find_go

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "cmd" / "engine"
TOOLS = ROOT / "scripts" / "gotools" / "go.mod"
WORKFLOWS = ROOT / ".github" / "workflows"
# Whom govulncheck asks by itself, unless a mirror or a folder (file:///…) is named.
DATABASE = os.environ.get("GOVULNDB", "https://vuln.go.dev")
_VULNERABLE = 3


def main(arguments: list[str]) -> int:
    """Run the command, and return what it returns."""
    go = find_go(Terminal(Console(stderr=True)))
    match arguments:
        case ["fmt-check"]:
            return _unformatted(go)
        case ["actionlint"]:
            # Without the programs that it would run if they happen to be on PATH: the same verdict everywhere.
            return _tool(go, "actionlint", "-shellcheck=", "-pyflakes=", *map(str, sorted(WORKFLOWS.iterdir())))
        case ["vuln"]:
            return _vulnerable(go)
        case ["tool", name, *rest]:
            return _tool(go, name, *rest)
    return subprocess.run([go.path, *arguments], cwd=SOURCES, env=go.environment(), check=False).returncode


def _unformatted(go: Go) -> int:
    """List the files that gofmt would change; fail when there are any."""
    gofmt = go.path.with_name("gofmt")
    command = [str(gofmt), "-l", str(SOURCES), str(ROOT / "tests" / "kubernetes"), str(ROOT / "tests" / "compose")]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if listed:
        sys.stderr.write(f"gofmt would change:\n{listed}")
    return int(bool(listed))


def _tool(go: Go, name: str, *arguments: str) -> int:
    """Build a tool, unless Go's cache has it, and run it on the engine's sources."""
    command = [str(go.path), "tool", f"-modfile={TOOLS}", name, *arguments]
    return subprocess.run(command, cwd=SOURCES, env=_reachable(go), check=False).returncode


def _reachable(go: Go) -> dict[str, str]:
    """The environment in which a tool finds the same `go`, which it asks for the sources' packages."""
    environment = go.environment()
    return environment | {"PATH": f"{go.path.parent}{os.pathsep}{environment.get('PATH', '')}"}


def _vulnerable(go: Go) -> int:
    returned = _tool(go, "govulncheck", f"-db={DATABASE}", "./...")
    if returned not in (0, _VULNERABLE):
        sys.stderr.write(
            f"govulncheck could not decide. If {DATABASE} cannot be reached from here, name a mirror or a folder with "
            "the database: make vuln GOVULNDB=file:///path\n"
        )
    return returned


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
