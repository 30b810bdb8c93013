"""A real Docker daemon, and an image that holds the engine alone. Started when the first test asks for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.dockerd import Dockerd


@pytest.fixture(scope="session")
def dockerd(data_dir: Path) -> Iterator[Dockerd]:
    with Dockerd(data_dir / "docker") as daemon:
        yield daemon


@pytest.fixture(scope="session")
def engine_image(dockerd: Dockerd, engine_binary: Path) -> str:
    return dockerd.engine_image(engine_binary)
