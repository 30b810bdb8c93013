"""Databases in other encodings than UTF-8: what they can hold arrives as it is, what they cannot is poison."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from harness.audit import Poison, Row, audit
from harness.process import Ddpm
from harness.world import World

COLUMNS = {"said": "text", "told": "jsonb"}


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def encoded(
    request: pytest.FixtureRequest, kafka: EmbeddedKafka, postgres: EmbeddedPostgres, engine_binary: Path
) -> Iterator[tuple[str, World]]:
    """The encoding of a database, and a world in it."""
    name = f"encoded_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        create = sql.SQL("CREATE DATABASE {} ENCODING {} LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
        admin.execute(create.format(sql.Identifier(name), request.param))
        world = World(kafka.bootstrap, postgres.dsn.replace("/ddpm?", f"/{name}?client_encoding=utf8&"), engine_binary)
        yield request.param, world
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_database_in_another_encoding(encoded: tuple[str, World], tmp_path: Path) -> None:
    encoding, world = encoded

    def expected(record: RawRecord) -> Row | Poison:
        document: Row = json.loads(record.value or b"")
        return Poison("22P05") if "€" in document["said"] and encoding == "LATIN1" else document

    world.create_topic()
    texts = ["plain", "käse", "€ 5", "more"] * 5
    url = world.dsn.replace("client_encoding=utf8&", "")
    with Ddpm(world.config(postgres={"url": url, "columns": COLUMNS}), tmp_path) as running:
        running.wait_healthy()
        documents = [{"said": text, "told": {"ä": "ö"}} for text in texts]
        world.produce(Record(value=json.dumps(each, ensure_ascii=False).encode()) for each in documents)
        world.wait_consumed()
        assert running.stop() == 0
    assert f"holds text in {encoding}" in running.log
    books = audit(world, expected)
    assert (books.produced, books.dead) == (20, 5 if encoding == "LATIN1" else 0)
