"""Fuzzes the engine's packages, each target for some seconds, and says how many inputs a second each one tried.

    scripts/fuzz.py [SECONDS [TARGET...]]

A find ends with exit code 1; Go then names the file that holds the input. It shrinks every interesting input, for a
minute each unless it is asked for another, and tries nothing else meanwhile. Targets that ask a server, such as
Postgres, are as slow as its answers.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from ddpm.devstack import EmbeddedPostgres
from ddpm.engine.progress import Terminal
from ddpm.engine.toolchain import find_go

ENGINE = Path(__file__).parents[1] / "cmd" / "engine"
_TARGET = re.compile(r"^func (Fuzz\w+)\(", re.MULTILINE)
_EXECS = re.compile(r"elapsed: (\d+)s, execs: (\d+)")


def targets() -> Iterator[tuple[str, str]]:
    """Each fuzz target, with the folder of its package below the engine's."""
    for path in sorted(ENGINE.rglob("*_test.go")):
        for name in _TARGET.findall(path.read_text("utf-8")):
            yield str(path.parent.relative_to(ENGINE)), name


def _postgres(folder: Path, progress: Terminal) -> EmbeddedPostgres:
    folder.chmod(0o711)  # the server's own user has to pass through
    return EmbeddedPostgres(folder / "postgres", progress=progress)


def main(arguments: list[str]) -> int:
    """Fuzz, and print a line for each target."""
    seconds = int(arguments[0]) if arguments else 10
    progress = Terminal(Console(stderr=True))
    go = find_go(progress)
    broken = 0
    with (
        tempfile.TemporaryDirectory(prefix="ddpm-fuzz-") as folder,
        _postgres(Path(folder), progress) as postgres,
    ):
        environment = go.environment() | {"DDPM_TEST_POSTGRES_DSN": postgres.dsn, "DDPM_PYTHON": sys.executable}
        for package, name in targets():
            if arguments[1:] and name not in arguments[1:]:
                continue
            command = [str(go.path), "test", f"./{package}", "-run", "^$", "-fuzz", f"^{name}$"]
            ran = subprocess.run(
                [*command, f"-fuzztime={seconds}s", "-fuzzminimizetime=10x"],
                cwd=ENGINE,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            rates = [(int(at), int(execs)) for at, execs in _EXECS.findall(ran.stdout)]
            rate = f"{rates[-1][1] / rates[-1][0]:>9,.0f} a second" if rates and rates[-1][0] else "no inputs"
            print(f"{package}.{name}: {rate}", flush=True)
            if ran.returncode:
                broken += 1
                print(ran.stdout + ran.stderr, file=sys.stderr)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
