"""Images for tests, built by a real Docker from the project's Dockerfile on a base of the tests' own.

No image can be pulled from everywhere that tests run, so the base is a small Debian that debootstrap makes from
packages. It is kept in the user's cache folder.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ddpm.engine.cache import cache_dir, make_once
from harness.dockerd import Dockerd
from harness.tools import DEBOOTSTRAP, DOCKER, require, unpacked

CHECKOUT = Path(__file__).parents[2]
DOCKERFILE = CHECKOUT / "deployments" / "docker" / "Dockerfile"
BASE = "ddpm-base:test"
_RELEASE = "bookworm"
_PACKAGES = "ca-certificates,python3,python3-venv"
# What a package manager needs and a running program does not.
_CHAFF = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")
_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_BARE = "ddpm-debian:test"


def build(daemon: Dockerd, tag: str, *, target: str | None = None, **arguments: str) -> str:
    """Build the project's Dockerfile with BuildKit, and return the tag."""
    command: list[str | Path] = [
        _docker_program(),
        "build",
        "--network",
        "host",
        "--file",
        DOCKERFILE,
        "--tag",
        tag,
        "--quiet",
    ]
    command += ["--target", target] if target else []
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    _docker(daemon, [*command, CHECKOUT])
    return tag


def base(daemon: Dockerd) -> str:
    """Import the base image, and return its tag."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a system of its own")
    folder = make_once(cache_dir() / "test-tools" / f"debian-{_RELEASE}-python", _bootstrap)
    _docker(daemon, [_docker_program(), "import", folder / "base.tar", _BARE])
    if not _BUNDLE.is_file():
        return _BARE
    # Builds go through the same proxies as this machine, whose certificates may be its own.
    lines = (f"FROM {_BARE}", f"COPY {_BUNDLE.name} {_BUNDLE}", f"ENV PIP_CERT={_BUNDLE}")
    daemon.build(BASE, "\n".join(lines) + "\n", _BUNDLE)
    return BASE


def _bootstrap(folder: Path) -> None:
    root = folder / "root"
    try:
        command: list[str | Path] = [
            require(DEBOOTSTRAP),
            "--variant=minbase",
            f"--include={_PACKAGES}",
            _RELEASE,
            root,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for chaff in _CHAFF:
            shutil.rmtree(root / chaff)
            (root / chaff).mkdir()
        subprocess.run(["tar", "--create", "--file", folder / "base.tar", "--directory", root, "."], check=True)
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)


def _docker_program() -> Path:
    """The client of the daemon's own version; newer ones build with a plugin that may not be there."""
    own = unpacked(DOCKER) / "usr" / "bin" / "docker"
    return own if own.is_file() else require(DOCKER)


def _docker(daemon: Dockerd, command: list[str | Path]) -> None:
    env = os.environ | {"DOCKER_HOST": daemon.url, "DOCKER_BUILDKIT": "1"}
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-8000:]
