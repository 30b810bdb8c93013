"""Images for tests, built by a real Docker from the project's Dockerfile on a base of the tests' own.

No image can be pulled from everywhere that tests run, so the base is a small Debian that debootstrap makes from
packages. It is kept in the user's cache folder.
"""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

import ddpm
from ddpm.engine.binary import BUILD_FLAGS
from ddpm.engine.cache import cache_dir, make_once
from ddpm.engine.progress import Progress
from ddpm.engine.toolchain import Go, find_go
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
_GO = "ddpm-go:test"
ENGINE = "ddpm-engine:test"
# Bytes; what Go keeps of a compilation beside the package itself is a few lines.
_SMALL = 65536


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
    for name, value in {"VERSION": ddpm.__version__, **arguments}.items():
        command += ["--build-arg", f"{name}={value}"]
    _docker(daemon, [*command, CHECKOUT])
    return tag


def engine(daemon: Dockerd, folder: Path, progress: Progress) -> str:
    """Build the bare engine as the Dockerfile does, with the Go of this machine, and return the tag.

    What Go has compiled for the engine of this machine is put into the builder's caches first: the same sources with
    the same flags are not compiled twice.

    Args:
        daemon: Builds it.
        folder: For files on the way.
        progress: Shows fetching a Go, where there is none.

    """
    go = find_go(progress)
    root = Path(_said(go, "env", "GOROOT").strip())
    modules = Path(_said(go, "env", "GOMODCACHE").strip())
    compiled = Path(_said(go, "env", "GOCACHE").strip())
    context = folder / "go.tar"
    with tarfile.open(context, "w") as archive:
        lines = (
            f"FROM {base(daemon)}",
            "COPY go /usr/local/go",
            "ENV PATH=/usr/local/go/bin:$PATH GOTOOLCHAIN=local",
            "RUN --mount=type=bind,target=/context"
            " --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build"
            " cp -r /context/compiled/. /root/.cache/go-build/ && cp -r /context/modules/. /go/pkg/mod/",
        )
        text = "\n".join(lines).encode()
        # The first entry: Docker knows an archive by its beginning, and takes what it does not know for a Dockerfile.
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
        archive.add(root, "go")
        for file in _packages_of_engine(go, compiled):
            archive.add(file, f"compiled/{file.relative_to(compiled)}")
        for module in _modules_of_engine(go, modules):
            archive.add(module, f"modules/{module.relative_to(modules)}")
    try:
        with context.open("rb") as stream:
            _docker(daemon, [_docker_program(), "build", "--network", "host", "--tag", _GO, "-"], stream)
    finally:
        context.unlink()
    return build(daemon, ENGINE, target="engine", GO_BASE=_GO)


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


def _packages_of_engine(go: Go, compiled: Path) -> Iterator[Path]:
    """The files of Go's build cache that a build of the engine reads: packages, and the small ones that say which."""
    listed = _said(go, "list", "-deps", "-export", "-f", "{{.Export}}", *BUILD_FLAGS, ".").split()
    yield from (Path(path) for path in listed if Path(path).is_relative_to(compiled))
    known = set(listed)
    for file in compiled.glob("[0-9a-f][0-9a-f]/*"):
        if str(file) not in known and (file.name.endswith("-a") or file.stat().st_size < _SMALL):
            yield file


def _modules_of_engine(go: Go, modules: Path) -> Iterator[Path]:
    """The downloads of the modules that the engine is built of."""
    template = "{{with .Module}}{{if .GoMod}}{{.GoMod}}{{end}}{{end}}"
    for path in sorted(set(_said(go, "list", "-deps", "-f", template, ".").split())):
        # The definition, VERSION.mod, stands beside VERSION.zip and what belongs to it.
        definition = Path(path)
        if definition.is_relative_to(modules):
            yield from sorted(definition.parent.glob(f"{definition.stem}.*"))


def _said(go: Go, *arguments: str) -> str:
    sources = CHECKOUT / "cmd" / "engine"
    return subprocess.run(
        [go.path, *arguments], cwd=sources, env=go.environment(), check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def _docker_program() -> Path:
    """The client of the daemon's own version; newer ones build with a plugin that may not be there."""
    own = unpacked(DOCKER) / "usr" / "bin" / "docker"
    return own if own.is_file() else require(DOCKER)


def _docker(daemon: Dockerd, command: list[str | Path], context: IO[bytes] | None = None) -> None:
    env = os.environ | {"DOCKER_HOST": daemon.url, "DOCKER_BUILDKIT": "1"}
    ran = subprocess.run(command, env=env, stdin=context, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-8000:]
