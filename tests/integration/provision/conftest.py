import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from confluent_kafka import Consumer

from ddpm.broker.topics import TopicSpec, ensure_topics
from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from harness.waiting import eventually

Role = Callable[..., str]


@pytest.fixture
def tag() -> str:
    return uuid.uuid4().hex[:8]


@pytest.fixture
def brokers(kafka: EmbeddedKafka) -> list[str]:
    return [kafka.bootstrap]


@pytest.fixture
def url(postgres: EmbeddedPostgres, tag: str) -> Iterator[str]:
    """A database of its own, whose owner may do everything."""
    name = f"provision_{tag}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield urlunsplit(urlsplit(postgres.dsn)._replace(path=f"/{name}"))
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def role(url: str, tag: str) -> Iterator[Role]:
    """Makes a role without any rights but those that are given; returns the URL it connects by."""
    name = f"role_{tag}"

    def make(*statements: str) -> str:
        database = urlsplit(url).path[1:]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'role-password'".encode())
            connection.execute(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC".encode())
            for statement in statements:
                connection.execute(statement.format(role=name, database=database).encode())
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"{name}:role-password@{parts.hostname}:{parts.port}"))

    yield make
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
            connection.execute(f"DROP OWNED BY {name} CASCADE".encode())
            connection.execute(f"DROP ROLE {name}".encode())


@contextmanager
def member(brokers: list[str], group: str, topic: str) -> Iterator[Consumer]:
    """A member of the group that has the topic's only partition; its client is librdkafka, not ddpm's own."""
    ensure_topics(brokers, [TopicSpec(topic, 1)])
    consumer = Consumer(
        {
            "bootstrap.servers": ",".join(brokers),
            "group.id": group,
            "client.id": "ddpm-returns",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])

    def assigned() -> bool:
        consumer.poll(0.1)
        return bool(consumer.assignment())

    try:
        eventually(assigned, "the consumer has joined its group")
        yield consumer
    finally:
        consumer.close()
