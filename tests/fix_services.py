"""The real services of a test run: Kafka, PostgreSQL, the engine. Started when the first test asks for them."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from ddpm.engine import binary
from ddpm.engine.progress import Progress, Terminal
from harness import mutants
from harness.cluster import Cluster, cluster_of_three
from harness.folders import FreshDir, fresh_in


@pytest.fixture(scope="session")
def progress(request: pytest.FixtureRequest) -> Iterator[Progress]:
    """Shows downloads and builds past pytest's capturing: the first run takes minutes."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled(), os.fdopen(os.dup(sys.stderr.fileno()), "w") as terminal:
        yield Terminal(Console(file=terminal))


@pytest.fixture(scope="session")
def data_dir() -> Iterator[Path]:
    """A folder that the user of Postgres can enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="ddpm-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def fresh_dir(data_dir: Path) -> FreshDir:
    """Makes a folder for a server of a test's own."""
    return partial(fresh_in, data_dir)


@pytest.fixture(scope="session")
def kafka(data_dir: Path, progress: Progress) -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(data_dir / "kafka", progress=progress) as server:
        yield server


@pytest.fixture(scope="session")
def cluster(data_dir: Path, progress: Progress) -> Iterator[Cluster]:
    """Three brokers, of which a test may stop and move one that it starts again."""
    with cluster_of_three(data_dir / "cluster", progress) as servers:
        yield servers


@pytest.fixture(scope="session")
def postgres(data_dir: Path, progress: Progress) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(data_dir / "postgres", progress=progress) as server:
        yield server


@pytest.fixture(scope="session")
def engine_binary(progress: Progress) -> Path:
    return binary.locate(None, progress)


@pytest.fixture
def mutate(progress: Progress, tmp_path: Path) -> mutants.Mutate:
    """Builds an engine with a few lines changed (`harness.mutants`), for what must not pass, or must be told."""
    return partial(mutants.build, tmp_path / "mutant", progress)
