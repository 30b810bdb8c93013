"""Makes sure that the programs which the tests use are on this machine: a browser, Prometheus, Docker, systemd.

On Debian and its relatives what is missing is installed; packages that would start a service are unpacked into the
user's cache folder instead. Elsewhere it says what to install. It is quick when everything is there.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from ddpm.engine.cache import make_once
from ddpm.errors import DdpmError, MissingToolError
from harness.tools import TOOLS, Tool, find, unpacked


def main() -> int:
    """Install what is missing."""
    missing = _missing(TOOLS)
    if not missing:
        return 0
    try:
        _fetch(missing)
        missing = _missing(missing)
        if missing:
            raise _left_to_do(missing, "they are still missing after an installation without errors")
    except DdpmError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _missing(tools: Sequence[Tool]) -> list[Tool]:
    return [tool for tool in tools if find(tool) is None]


def _fetch(missing: Sequence[Tool]) -> None:
    if not shutil.which("apt-get"):
        raise _left_to_do(missing, "there is no apt-get to install them with")
    root = _as_root()
    if root is None and not all(tool.service for tool in missing):
        raise _left_to_do(missing, "this is not root, and sudo asks for a password")
    sys.stderr.write(f"installing what the tests need (once): {_packages(missing)}\n")
    try:
        if root is not None:
            _run(*root, "apt-get", "update", "-q")
        installed = [tool.package for tool in missing if not tool.service]
        installed += [library for tool in missing for library in tool.libraries]
        if installed and root is not None:
            noninteractive = (*root, "env", "DEBIAN_FRONTEND=noninteractive")
            _run(*noninteractive, "apt-get", "install", "-qy", "--no-install-recommends", *installed)
        for tool in missing:
            if tool.service:
                make_once(unpacked(tool), partial(_unpack, tool.package))
    except subprocess.CalledProcessError as error:
        raise _left_to_do(missing, f"`{' '.join(map(str, error.cmd))}` ended with {error.returncode}") from error


def _as_root() -> tuple[str, ...] | None:
    """What to put before a command so that it runs as root; None when that needs a person."""
    if os.geteuid() == 0:
        return ()
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], check=False, capture_output=True).returncode == 0:
        return (sudo, "-n")
    return None


def _unpack(package: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as download:
        # The user that apt would switch to cannot write here.
        _run("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", package, cwd=download)
        (archive,) = Path(download).glob("*.deb")
        _run("dpkg", "-x", archive, folder)


def _run(*command: str | Path, cwd: str | None = None) -> None:
    subprocess.run(command, check=True, cwd=cwd, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def _packages(tools: Sequence[Tool]) -> str:
    return " ".join(dict.fromkeys(tool.package for tool in tools))


def _left_to_do(missing: Sequence[Tool], reason: str) -> MissingToolError:
    names = ", ".join(tool.names[0] for tool in missing)
    hint = f"install Debian's packages {_packages(missing)}, or put these programs on PATH in another way"
    return MissingToolError(f"the tests need {names}: {reason}", hint=hint)


if __name__ == "__main__":
    sys.exit(main())
