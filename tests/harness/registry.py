"""A real schema registry, Apicurio's, fetched from the repository that Kafka's jars come from."""

import os
import signal
import tarfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx2 as httpx

from ddpm.devstack.embedded import EmbeddedServer
from ddpm.devstack.jars import Jar, fetch
from ddpm.devstack.java import find_java
from ddpm.devstack.processes import ServerCommand
from ddpm.engine.cache import cache_dir, make_once
from ddpm.engine.progress import Progress


@dataclass(frozen=True, slots=True)
class Distribution(Jar):
    """A server with all its jars in one archive."""

    @property
    def name(self) -> str:
        return f"{self.artifact}-{self.version}-all.tar.gz"


# The newest one that runs on Java 17.
APICURIO = Distribution(
    "io.apicurio",
    "apicurio-registry-app",
    "3.0.9",
    "2b28181501a20cbf6efcd77f9b7153908fc01f3d3a7c32024c0bd9e1b04c8a43",
    108_860_403,
)


class Registry(EmbeddedServer):
    """A registry that keeps its schemas in memory; a context manager."""

    def __init__(self, data_dir: Path, progress: Progress) -> None:
        super().__init__("the schema registry", data_dir, "registry.log", None, progress)
        self._folder = Path()
        self._java = Path()

    @property
    def url(self) -> str:
        """Where it speaks Confluent's API."""
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def _prepare(self) -> None:
        self._java = find_java(self._progress)
        folder = cache_dir() / "test-tools" / f"apicurio-{APICURIO.version}-{APICURIO.sha256[:16]}"
        self._folder = make_once(folder, partial(_unpack, progress=self._progress))

    def _command(self, port: int) -> ServerCommand:
        jar = self._folder / f"{APICURIO.artifact}-{APICURIO.version}-runner.jar"
        settings = {"QUARKUS_HTTP_HOST": "127.0.0.1", "QUARKUS_HTTP_PORT": str(port)}
        return ServerCommand(
            title=self.title,
            argv=(str(self._java), "-Xmx256m", "-jar", str(jar)),
            cwd=self.data_dir,
            log=self.log,
            env={name: value for name, value in os.environ.items() if not name.startswith("QUARKUS_")} | settings,
            stop_signal=signal.SIGTERM,
        )

    def _answers(self, port: int) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/apis/ccompat/v7/subjects", trust_env=False).is_success
        except httpx.HTTPError:
            return False


def _unpack(folder: Path, progress: Progress) -> None:
    fetch((APICURIO,), folder, progress, whose="the schema registry of the tests")
    archive = folder / APICURIO.name
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    archive.unlink()
