"""Programs of others that tests use: on PATH, or unpacked into the cache folder where installing would start a service.

`scripts/test_tools.py` makes them exist; here they are only found.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from ddpm.engine.cache import cache_dir


@dataclass(frozen=True)
class Tool:
    """A program: the names it goes by, Debian's package, and whether that package would start a service.

    `libraries` are the packages that such a program needs besides: they are installed. `folders` are where the package
    has the program, below the root; those that are not on PATH are looked into on the machine as well.
    """

    names: tuple[str, ...]
    package: str
    service: bool = False
    libraries: tuple[str, ...] = ()
    folders: tuple[str, ...] = ("usr/bin", "usr/sbin")


CHROMIUM = Tool(("chromium", "chromium-browser", "google-chrome"), "chromium")
CHROMEDRIVER = Tool(("chromedriver",), "chromium-driver")
DOT = Tool(("dot",), "graphviz")
PROMETHEUS = Tool(("prometheus",), "prometheus", service=True)
PROMTOOL = Tool(("promtool",), "prometheus", service=True)
PUSHGATEWAY = Tool(("prometheus-pushgateway", "pushgateway"), "prometheus-pushgateway", service=True)
PGBOUNCER = Tool(("pgbouncer",), "pgbouncer", service=True, libraries=("libc-ares2",))
# Unlike the embedded one it was built with TLS.
POSTGRES = Tool(
    ("postgres",),
    "postgresql-15",
    service=True,
    libraries=("libpq5", "libicu72", "libxml2", "libllvm14"),
    folders=("usr/lib/postgresql/*/bin",),
)
DOCKERD = Tool(("dockerd",), "docker.io", service=True, libraries=("libdevmapper1.02.1",))
CONTAINERD = Tool(("containerd",), "containerd", service=True)
RUNC = Tool(("runc",), "runc")
DOCKER = Tool(("docker",), "docker.io", service=True)
DEBOOTSTRAP = Tool(("debootstrap",), "debootstrap")
SYSTEMD_ANALYZE = Tool(("systemd-analyze",), "systemd")
TOOLS = (
    CHROMIUM,
    CHROMEDRIVER,
    DOT,
    PROMETHEUS,
    PROMTOOL,
    PUSHGATEWAY,
    PGBOUNCER,
    POSTGRES,
    DOCKERD,
    CONTAINERD,
    RUNC,
    DOCKER,
    DEBOOTSTRAP,
    SYSTEMD_ANALYZE,
)


def unpacked(tool: Tool) -> Path:
    """Where the package of a tool is unpacked."""
    return cache_dir() / "test-tools" / tool.package


def find(tool: Tool) -> Path | None:
    """The program's path; None when it is missing."""
    roots = (Path("/"), unpacked(tool))
    folders = [None, *(str(folder) for root in roots for each in tool.folders for folder in sorted(root.glob(each)))]
    found = (shutil.which(name, path=folder) for folder in folders for name in tool.names)
    return next((Path(path) for path in found if path), None)


def require(tool: Tool) -> Path:
    """The program's path; skips the test when it is missing."""
    path = find(tool)
    if path is None:
        pytest.skip(f"{tool.names[0]} is missing: `make test-tools` fetches it")
    return path
