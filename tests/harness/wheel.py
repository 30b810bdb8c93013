"""Building ddpm's distributions, and environments with nothing in them but what a lock names."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Built:
    """The two distributions of one build."""

    wheel: Path
    sdist: Path


def build(source: Path, into: Path, env: Mapping[str, str], *, umask: int = 0o022) -> Built:
    """Build both from a folder with ddpm's sources."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(into), "-t", "sdist", "-t", "wheel"]
    ran = subprocess.run(
        command, cwd=source, env=os.environ | env, umask=umask, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (wheel,), (sdist,) = into.glob("*.whl"), into.glob("*.tar.gz")
    return Built(wheel, sdist)


class Environment:
    """A virtual environment of its own, which sees no package of the one that runs the tests."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.python = folder / "bin" / "python"
        self.ddpm = folder / "bin" / "ddpm"
        (self._packages,) = folder.glob("lib/python*/site-packages")
        self._copy("pip")

    def add_locked(self, lock: Path) -> None:
        """Put in what a lock pins, copied from the environment of the tests: a registry need not be asked."""
        for line in lock.read_text().splitlines():
            if "==" in line:
                wanted = Requirement(line.rstrip(" \\"))
                if wanted.marker is None or wanted.marker.evaluate():
                    assert distribution(wanted.name).version in wanted.specifier, f"{lock.name} and dev.lock differ"
                    self._copy(wanted.name)

    def install(self, wheel: Path, extra: str = "") -> None:
        """Install a wheel; fails unless everything that it requires is there already."""
        options = ["--no-index", "--disable-pip-version-check", "--quiet", "--force-reinstall", "--no-deps"]
        for more in (options, options[:-2]):
            wanted = f"ddpm{extra} @ {wheel.as_uri()}"
            ran = subprocess.run(
                [self.python, "-m", "pip", "install", *more, wanted], capture_output=True, text=True, check=False
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr

    def _copy(self, name: str) -> None:
        for file in distribution(name).files or ():
            # Scripts stand outside and name the other environment's interpreter.
            if ".." not in file.parts:
                target = self._packages / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(str(file.locate()), target)
