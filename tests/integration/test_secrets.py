"""Secrets that are rotated while records flow, and one of awkward characters: taken up everywhere, and seen nowhere."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from ddpm.broker.connection import admin
from ddpm.broker.produce import Record
from ddpm.config.model import Cluster, Security
from ddpm.devstack import EmbeddedPostgres
from ddpm.engine.progress import Progress
from ddpm.errors import ServiceError
from harness.audit import audit
from harness.folders import FreshDir
from harness.leaks import answers, assert_nowhere, files, processes
from harness.process import Ddpm, ddpm
from harness.secured_kafka import AWKWARD, AWKWARD_USER, PASSWORD, USER, Certificates, SecuredKafka, certificates
from harness.tokens import CLIENT, SECRET, TokenServer, token_server
from harness.traffic import COLUMNS, Traffic, expected
from harness.waiting import eventually
from harness.world import World, json_records

# kafka-python does not close the socket of a connection that is refused; the garbage collector does.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

NEXT = "the-next-password-0123"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    with token_server() as server:
        yield server


@pytest.fixture(scope="module")
def secured(fresh_dir: FreshDir, made: Certificates, tokens: TokenServer, progress: Progress) -> Iterator[SecuredKafka]:
    with SecuredKafka(fresh_dir("secrets-kafka"), made, tokens.keys_url, progress=progress) as server:
        yield server


@pytest.fixture
def world(secured: SecuredKafka, postgres: EmbeddedPostgres, engine_binary: Path) -> World:
    """Tests themselves use the listener in plain text."""
    return World(secured.bootstrap, postgres.dsn, engine_binary)


def scram(secured: SecuredKafka, made: Certificates, password: str) -> dict[str, Any]:
    """The keys of `kafka` for a user with a password."""
    sasl = {"mechanism": "SCRAM-SHA-512", "username": USER, "password": password}
    return {"brokers": [secured.at("sasl_ssl")], "tls": {"ca": str(made.ca)}, "sasl": sasl}


def rotated_under_traffic(running: Ddpm, world: World, file: Path, before: str, rotate: Callable[[], object]) -> None:
    """Have a secret in a file rotated; nothing is lost, twice, or told, and a person does nothing."""
    after = NEXT
    with running, Traffic(world, per_second=500) as traffic:
        running.wait_healthy()
        traffic.wait_for(1_000)
        engine = running.engine_pid
        rotate()
        file.write_text(file.read_text().replace(before, after))
        eventually(lambda: running.engine_pid != engine, "an engine with the new secret is there", 30)
        running.wait_healthy()
        traffic.wait_for(1_000)
        produced = traffic.finish()
        world.wait_consumed()
        assert_nowhere([*answers(running.url), *processes(running.popen.pid)], before, after)
        assert running.stop() == 0
    assert audit(world, expected, crashed=True).produced == produced
    assert_nowhere(files(running.folder, file), before, after)


def test_a_rotated_sasl_password_in_an_environment_file_is_taken_up(
    world: World, secured: SecuredKafka, made: Certificates, tmp_path: Path
) -> None:
    world.create_topic()
    variables = tmp_path / "secrets.env"
    variables.write_text(f"# of the cluster\nKAFKA_PASSWORD='{PASSWORD}'\n")
    config = world.config(kafka=scram(secured, made, "${KAFKA_PASSWORD}"), postgres={"columns": COLUMNS})
    # What the process has from its start is out of date by then.
    env = {"DDPM_ENV_FILE": str(variables), "KAFKA_PASSWORD": PASSWORD}
    try:
        running = Ddpm(config, tmp_path, env)
        rotated_under_traffic(running, world, variables, PASSWORD, lambda: secured.let_in(NEXT))
        former = scram(secured, made, PASSWORD)
        with (
            pytest.raises(ServiceError, match="refuses the user"),
            admin(Cluster(former.pop("brokers"), Security.model_validate(former)), 4.0),
        ):
            pass
    finally:
        secured.let_in(PASSWORD)


def test_a_rotated_client_secret_of_oauth_is_taken_up(
    world: World, secured: SecuredKafka, made: Certificates, tokens: TokenServer, tmp_path: Path
) -> None:
    world.create_topic()
    file = tmp_path / "client-secret"
    file.write_text(SECRET)
    oauth = {
        "client_id": CLIENT,
        "client_secret": f"${{file:{file}}}",
        "token_url": tokens.token_url,
        "scopes": ["kafka"],
    }
    kafka = {
        "brokers": [secured.at("oauth")],
        "tls": {"ca": str(made.ca)},
        "sasl": {"mechanism": "OAUTHBEARER", "oauth": oauth},
    }
    running = Ddpm(world.config(kafka=kafka, postgres={"columns": COLUMNS}), tmp_path)
    try:
        rotated_under_traffic(running, world, file, SECRET, lambda: setattr(tokens, "secret", NEXT))
    finally:
        tokens.secret = SECRET


@pytest.fixture
def awkward(
    world: World, secured: SecuredKafka, made: Certificates, postgres: EmbeddedPostgres, tmp_path: Path
) -> Iterator[dict[str, Any]]:
    """A configuration whose users, of Kafka and of Postgres, both have the awkward password."""
    role = sql.Identifier(f"awkward_{world.tag}")
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "kafka").write_text(AWKWARD)
    (folder / "postgres").write_text(quote(AWKWARD, safe=""))
    parts = urlsplit(world.dsn)
    netloc = f"awkward_{world.tag}:${{file:{folder / 'postgres'}}}@{parts.hostname}:{parts.port}"
    secured.let_in(AWKWARD)
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} superuser login password {}").format(role, AWKWARD))
        try:
            yield world.config(
                kafka=scram(secured, made, f"${{file:{folder / 'kafka'}}}"),
                postgres={"url": urlunsplit(parts._replace(netloc=netloc)), "columns": {"n": "bigint"}},
            )
        finally:
            connection.execute(sql.SQL("reassign owned by {} to current_user").format(role))
            connection.execute(sql.SQL("drop role {}").format(role))
            secured.let_in(PASSWORD)


def test_an_awkward_password_works_everywhere_and_is_seen_nowhere(
    world: World, awkward: dict[str, Any], tmp_path: Path
) -> None:
    shown: list[tuple[str, bytes]] = []

    def run(*words: str) -> str:
        ran = ddpm(*words, "--config", str(tmp_path / "app-config.yaml"), cwd=tmp_path)
        shown.append((" ".join(words), (ran.stdout + ran.stderr).encode()))
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    running = Ddpm(awkward, tmp_path)
    for command in ("validate", "render", "provision"):
        run(command)
    with running:
        running.wait_healthy()
        world.produce([*json_records([{"n": n} for n in range(9)]), Record(value=b"poison", key=None, partition=0)])
        world.wait_consumed()
        assert world.count() == 9
        shown += [*answers(running.url), *processes(running.popen.pid)]
        for words in (("status", "pipeline"), ("logs",), ("events",)):
            run(*words, "--url", running.url)
        assert running.stop() == 0
    place = f"{world.topic}:0:0"
    assert '"n"' in run("peek", place)
    assert "row" in run("trace", place)
    assert "partition" in run("rows")
    run("offsets", "get")
    run("dlq", "list")
    assert "poison" in run("dlq", "show", "0:0")
    run("dlq", "replay", "--yes")
    run("replay", "--from", "2020-01-01T00:00:00Z", "--yes")
    assert world.count() == 9
    assert_nowhere([*shown, *files(tmp_path, *(tmp_path / "secrets").iterdir())], AWKWARD)


def test_an_awkward_password_works_with_plain(
    world: World, secured: SecuredKafka, made: Certificates, tmp_path: Path
) -> None:
    file = tmp_path / "kafka-password"
    file.write_text(AWKWARD)
    sasl = {"mechanism": "PLAIN", "username": AWKWARD_USER, "password": f"${{file:{file}}}"}
    kafka = {"brokers": [secured.at("sasl_ssl")], "tls": {"ca": str(made.ca)}, "sasl": sasl}
    world.create_topic()
    with Ddpm(world.config(kafka=kafka, postgres={"columns": {"n": "bigint"}}), tmp_path) as running:
        running.wait_healthy()
        world.produce([*json_records([{"n": n} for n in range(9)]), Record(value=b"poison", key=None)])
        world.wait_consumed()
        assert_nowhere([*answers(running.url), *processes(running.popen.pid)], AWKWARD)
        assert running.stop() == 0
    assert (world.count(), len(world.dead())) == (9, 1)
    assert_nowhere(files(tmp_path, file), AWKWARD)
