"""A real Docker daemon, and an image that holds the engine alone. Started when the first test asks for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ddpm.engine.progress import Progress
from harness import images
from harness.dockerd import Dockerd


@pytest.fixture(scope="session")
def dockerd(data_dir: Path) -> Iterator[Dockerd]:
    with Dockerd(data_dir / "docker") as daemon:
        yield daemon


@pytest.fixture(scope="session")
def engine_image(dockerd: Dockerd, engine_binary: Path, data_dir: Path, progress: Progress) -> str:
    # With the binary Go's cache has what it is made of.
    del engine_binary
    return images.engine(dockerd, data_dir, progress)
