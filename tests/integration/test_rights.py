"""A role with exactly the rights that docs/deploy.md lists runs a pipeline; without one of them ddpm names it."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import yaml

from harness.process import Ddpm, ddpm
from harness.world import World, json_records

DOCS = Path(__file__).parents[2] / "docs" / "deploy.md"
PASSWORD = "loader-password"


def documented(world: World, schema: str, role: str) -> list[str]:
    """The statements of the document, for this world's names."""
    block = re.search(r"<!-- grants:[^\n]*-->\n```sql\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    names = {
        "shop": urlsplit(world.dsn).path[1:],
        "loader": role,
        "public": schema,
        "orders": f"{schema}.{world.table}",
        "ddpm_sources": f"{schema}.ddpm_sources",
        "ddpm_schema": f"{schema}.ddpm_schema",
    }
    pattern = re.compile(rf"\b({'|'.join(names)})\b")
    return [pattern.sub(lambda match: names[match[1]], line) for line in block[1].splitlines()]


@pytest.fixture
def schema(world: World) -> Iterator[str]:
    """A schema in which the owner has made the tables, and a role without any rights."""
    name = f"rights_{world.tag}"
    database = urlsplit(world.dsn).path[1:]
    revoked = f"ON DATABASE {database} FROM PUBLIC"
    world.execute(f"CREATE SCHEMA {name}", f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'", f"REVOKE ALL {revoked}")
    yield name
    world.execute(
        f"DROP SCHEMA {name} CASCADE",
        f"DROP OWNED BY {name}",
        f"DROP ROLE {name}",
        f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO PUBLIC",
    )


def test_the_documented_rights_are_enough_and_each_is_needed(world: World, schema: str, tmp_path: Path) -> None:
    parts = urlsplit(world.dsn)
    poor = urlunsplit(parts._replace(netloc=f"{schema}:{PASSWORD}@{parts.hostname}:{parts.port}"))
    config = world.config(postgres={"table": f"{schema}.{world.table}"})
    path = tmp_path / "app-config.yaml"
    path.write_text(yaml.safe_dump(config))
    world.create_topic()
    world.produce(json_records([{"n": n} for n in range(30)] + ["\0"]))
    made = ddpm("provision", "--config", str(path), cwd=tmp_path)
    assert made.returncode == 0, made.stderr

    config["app"]["postgres"]["url"] = poor
    path.write_text(yaml.safe_dump(config))
    statements = documented(world, schema, schema)
    world.execute(f"REVOKE ALL ON {schema}.ddpm_schema FROM PUBLIC")
    for statement in statements:
        refused = ddpm("provision", "--config", str(path), cwd=tmp_path)
        assert refused.returncode == 3, refused.stderr
        assert "Traceback" not in refused.stderr
        world.execute(statement)
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        world.wait_consumed()
        assert running.stop() == 0
    with psycopg.connect(world.dsn) as connection:
        row = connection.execute(f'SELECT count(*) FROM {schema}."{world.table}"'.encode()).fetchone()
    assert row == (30,)
    assert len(world.dead()) == 1
