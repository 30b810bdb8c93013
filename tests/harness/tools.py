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

    `libraries` are the packages that such a program needs besides: they are installed.
    """

    names: tuple[str, ...]
    package: str
    service: bool = False
    libraries: tuple[str, ...] = ()


CHROMIUM = Tool(("chromium", "chromium-browser", "google-chrome"), "chromium")
CHROMEDRIVER = Tool(("chromedriver",), "chromium-driver")
DOT = Tool(("dot",), "graphviz")
PROMETHEUS = Tool(("prometheus",), "prometheus", service=True)
PROMTOOL = Tool(("promtool",), "prometheus", service=True)
PUSHGATEWAY = Tool(("prometheus-pushgateway", "pushgateway"), "prometheus-pushgateway", service=True)
PGBOUNCER = Tool(("pgbouncer",), "pgbouncer", service=True, libraries=("libc-ares2",))
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
    folders = (None, *(str(unpacked(tool) / "usr" / folder) for folder in ("bin", "sbin")))
    found = (shutil.which(name, path=folder) for folder in folders for name in tool.names)
    return next((Path(path) for path in found if path), None)


def require(tool: Tool) -> Path:
    """The program's path; skips the test when it is missing."""
    path = find(tool)
    if path is None:
        pytest.skip(f"{tool.names[0]} is missing: `make test-tools` fetches it")
    return path
