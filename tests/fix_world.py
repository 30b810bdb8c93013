"""A fresh corner of the real servers for every test that asks for one."""

from pathlib import Path

import pytest

from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from harness.world import World


@pytest.fixture
def world(kafka: EmbeddedKafka, postgres: EmbeddedPostgres, engine_binary: Path) -> World:
    return World(kafka.bootstrap, postgres.dsn, engine_binary)
