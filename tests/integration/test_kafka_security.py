"""Brokers that want TLS and SASL: every client of ddpm and of its engine gets in, and what is refused is said."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ddpm.broker.connection import admin
from ddpm.broker.dump import dump
from ddpm.broker.offsets import watermarks
from ddpm.broker.produce import Record, produce
from ddpm.broker.topics import TopicSpec, ensure_topics
from ddpm.broker.watch import ClusterWatch
from ddpm.config.model import Cluster, Security
from ddpm.devstack import EmbeddedPostgres
from ddpm.engine.progress import Progress
from ddpm.errors import ServiceError
from harness.folders import FreshDir
from harness.process import Ddpm, ddpm
from harness.secured_kafka import PASSWORD, USER, Certificates, SecuredKafka, certificates
from harness.tls import tls_in_front_of
from harness.tokens import AUDIENCE, CLIENT, SECRET, TokenServer, token_server
from harness.waiting import eventually
from harness.world import World, json_records

# kafka-python does not close the socket of a connection that is refused; the garbage collector does.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    with token_server() as server:
        yield server


@pytest.fixture(scope="module")
def secured(fresh_dir: FreshDir, made: Certificates, tokens: TokenServer, progress: Progress) -> Iterator[SecuredKafka]:
    with SecuredKafka(fresh_dir("secured"), made, tokens.keys_url, progress=progress) as server:
        yield server


@pytest.fixture
def tag() -> str:
    return uuid.uuid4().hex[:8]


WAYS = ("tls", "mtls", "plain", "scram-256", "scram-512", "scram without tls", "oauth")


def way(name: str, made: Certificates, tokens: TokenServer) -> tuple[str, dict[str, Any]]:
    """The listener for a way of being secured, and the keys of `kafka` for it."""
    tls = {"ca": str(made.ca)}
    user = {"username": USER, "password": PASSWORD}
    client = {"client_id": CLIENT, "client_secret": SECRET, "token_url": tokens.token_url, "scopes": ["kafka", "all"]}
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "tls": ("tls", {"tls": tls}),
        "mtls": ("mtls", {"tls": made.client_tls()}),
        "plain": ("sasl_ssl", {"tls": tls, "sasl": {"mechanism": "PLAIN", **user}}),
        "scram-256": ("sasl_ssl", {"tls": tls, "sasl": {"mechanism": "SCRAM-SHA-256", **user}}),
        "scram-512": ("sasl_ssl", {"tls": tls, "sasl": {"mechanism": "SCRAM-SHA-512", **user}}),
        "scram without tls": ("sasl_plain", {"sasl": {"mechanism": "SCRAM-SHA-512", **user}}),
        "oauth": ("oauth", {"tls": tls, "sasl": {"mechanism": "OAUTHBEARER", "oauth": client}}),
    }
    return ways[name]


def cluster(address: str, keys: dict[str, Any]) -> Cluster:
    return Cluster([address], Security.model_validate(keys))


@pytest.fixture(params=WAYS)
def kafka_keys(
    request: pytest.FixtureRequest, secured: SecuredKafka, made: Certificates, tokens: TokenServer
) -> dict[str, Any]:
    """The keys of `kafka` for each way."""
    listener, keys = way(request.param, made, tokens)
    return {"brokers": [secured.at(listener)], **keys}


def test_each_client_in_python_gets_in(kafka_keys: dict[str, Any], tag: str) -> None:
    brokers = Cluster(kafka_keys.pop("brokers"), Security.model_validate(kafka_keys))
    topic = f"seen-{tag}"
    ensure_topics(brokers, [TopicSpec(topic, 1, 1, {})])
    assert produce(brokers, topic, [Record(value=b"one", key=None)]) == 1
    assert [record.value for record in dump(brokers, [topic])] == [b"one"]
    assert sum(mark.end for mark in watermarks(brokers, [topic]).values()) == 1
    watch = ClusterWatch(brokers, {})
    try:
        watch.look()
    finally:
        watch.close()


@pytest.fixture
def world(secured: SecuredKafka, postgres: EmbeddedPostgres, engine_binary: Path) -> World:
    """Tests themselves use the listener in plain text."""
    return World(secured.bootstrap, postgres.dsn, engine_binary)


def test_records_reach_table_topic_and_dead_letters(kafka_keys: dict[str, Any], world: World, tmp_path: Path) -> None:
    copied = f"copied-{world.tag}"
    config = world.config(
        kafka=kafka_keys,
        postgres={"columns": {"n": "integer"}},
        sinks=["postgres", {"kafka": {"topic": copied}}],
        fan_out="together",
    )
    with Ddpm(config, tmp_path) as run:
        run.wait_healthy()
        world.produce([*json_records([{"n": n} for n in range(30)]), Record(value=b"poison", key=None)])
        world.wait_consumed()
        assert world.count() == 30
        assert [letter.value for letter in world.dead()] == [b"poison"]
        assert len(list(dump([world.bootstrap], [copied]))) == 30
        assert PASSWORD not in run.log
        assert SECRET not in run.log
    generated = "".join(path.read_text() for path in tmp_path.rglob("*.yaml") if path != run.config_path)
    assert "security_env" in generated
    assert PASSWORD not in generated
    assert SECRET not in generated


def said_by(brokers: Cluster) -> str:
    """What a client in Python and the watcher say, which is the same."""
    with pytest.raises(ServiceError) as caught, admin(brokers, 4.0):
        pass
    watch = ClusterWatch(brokers, {}, timeout=4.0)
    with pytest.raises(ServiceError) as seen:
        watch.look()
    watch.close()
    assert seen.value.message == caught.value.message
    assert caught.value.hint
    assert PASSWORD not in str(caught.value)
    return caught.value.message


def test_a_client_in_plain_text_is_named(secured: SecuredKafka) -> None:
    for listener in ("tls", "mtls"):
        address = secured.at(listener)
        expected = f"the broker at {address} speaks TLS, and is spoken to in plain text"
        assert said_by(Cluster([address])) == expected


def test_a_client_in_tls_is_named(secured: SecuredKafka, made: Certificates) -> None:
    brokers = cluster(secured.bootstrap, {"tls": {"ca": str(made.ca)}})
    assert said_by(brokers) == f"the broker at {secured.bootstrap} speaks plain text, and kafka.tls is set"


def test_each_fault_of_a_certificate_is_named(secured: SecuredKafka, made: Certificates) -> None:
    address, tls = secured.at("tls"), {"ca": str(made.ca)}
    whose = f"the certificate of the broker at {address}"
    assert said_by(cluster(address, {"tls": {"ca": str(made.other_ca)}})).startswith(
        f"{whose} is not signed by a CA in {made.other_ca}"
    )
    assert said_by(cluster(address, {"tls": {}})).startswith(f"{whose} is not signed by a CA that the system trusts")
    assert said_by(cluster(address, {"tls": tls | {"server_name": "kafka.example.com"}})) == (
        f'{whose} is for other names than "kafka.example.com"'
    )
    with tls_in_front_of(secured.bootstrap, made.expired) as relay:
        assert said_by(cluster(relay, {"tls": tls})) == f"the certificate of the broker at {relay} has expired"
    with tls_in_front_of(secured.bootstrap, made.other_names) as relay:
        assert said_by(cluster(relay, {"tls": tls})) == (
            f'the certificate of the broker at {relay} is for other names than "127.0.0.1"'
        )
    with admin(cluster(address, {"tls": {"verify": False}})):
        pass


def test_each_fault_of_a_clients_certificate_is_named(secured: SecuredKafka, made: Certificates) -> None:
    address = secured.at("mtls")
    without = said_by(cluster(address, {"tls": {"ca": str(made.ca)}}))
    assert without.startswith(f"the broker at {address} wants a certificate of the client, and there is none")
    other = {"ca": str(made.ca), "cert": str(made.other_client), "key": str(made.other_key)}
    refused = said_by(cluster(address, {"tls": other}))
    assert refused.startswith(f"the broker at {address} does not take the certificate {made.other_client}")


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_wrong_password_is_named(mechanism: str, secured: SecuredKafka, made: Certificates) -> None:
    address, tls = secured.at("sasl_ssl"), {"ca": str(made.ca)}
    sasl = {"mechanism": mechanism, "username": USER, "password": "another-password"}
    said = said_by(cluster(address, {"tls": tls, "sasl": sasl}))
    assert said.startswith(f'the broker at {address} refuses the user "{USER}" ({mechanism})')
    assert "another-password" not in said


def test_what_a_listener_wants_is_named(secured: SecuredKafka, made: Certificates, tokens: TokenServer) -> None:
    tls = {"ca": str(made.ca)}
    user = {"mechanism": "PLAIN", "username": USER, "password": PASSWORD}
    address = secured.at("sasl_plain")
    assert said_by(Cluster([address])).startswith(f"the broker at {address} wants to know who its clients are (SASL ")
    address = secured.at("tls")
    assert said_by(cluster(address, {"tls": tls, "sasl": user})) == (
        f"the broker at {address} takes no SASL on this listener, and kafka.sasl is set"
    )
    address = secured.at("oauth")
    assert said_by(cluster(address, {"tls": tls, "sasl": user})) == (
        f"the broker at {address} takes SASL OAUTHBEARER, not PLAIN"
    )


def test_each_fault_of_a_token_is_named(secured: SecuredKafka, made: Certificates, tokens: TokenServer) -> None:
    _, keys = way("oauth", made, tokens)
    address, oauth = secured.at("oauth"), keys["sasl"]["oauth"]

    def said_with(**changed: str) -> str:
        sasl = {"mechanism": "OAUTHBEARER", "oauth": oauth | changed}
        return said_by(cluster(address, {"tls": keys["tls"], "sasl": sasl}))

    wrong = said_with(client_secret="another-secret")
    assert wrong == f"the token server {tokens.token_url} answers 401 (invalid_client)"
    away = said_with(token_url="http://127.0.0.1:1/token")
    assert away == "the token server http://127.0.0.1:1/token cannot be reached: connection refused"
    tokens.audience = "others"
    try:
        assert said_with().startswith(f"the broker at {address} does not take the token of {tokens.token_url}")
    finally:
        tokens.audience = AUDIENCE
    assert "kafka all" in tokens.scopes


def test_every_command_gets_in(
    secured: SecuredKafka, made: Certificates, tokens: TokenServer, world: World, tmp_path: Path
) -> None:
    listener, keys = way("scram-512", made, tokens)
    config = world.config(
        kafka={"brokers": [secured.at(listener)], **keys},
        postgres={"columns": {"n": "integer"}},
        sinks=["postgres", {"kafka": {"topic": f"copied-{world.tag}"}}],
        fan_out="together",
    )
    records = tmp_path / "records"
    records.write_bytes(b'{"n": 1}\n{"n": 2}\npoison\n')

    def run(*arguments: str) -> str:
        ran = ddpm(*arguments, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        assert PASSWORD not in ran.stdout + ran.stderr
        return ran.stdout

    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        assert "3 records produced" in run("produce", str(records))
        world.wait_consumed()
        assert "not_json" in run("dlq", "list")
        assert world.topic in run("offsets", "get")
        assert "1 failed again" in run("dlq", "replay", "--yes")
        assert world.topic in run("trace", f"{world.topic}:0:0")
        run("replay", "--from", "1h", "--yes")
        assert world.count() == 2
    run("provision")


def test_a_start_and_a_sink_that_waits_say_why(
    secured: SecuredKafka, made: Certificates, tokens: TokenServer, world: World, tmp_path: Path
) -> None:
    address, (_, keys) = secured.at("sasl_ssl"), way("plain", made, tokens)
    refused = f'the broker at {address} refuses the user "{USER}" (PLAIN)'
    wrong = {**keys, "sasl": {**keys["sasl"], "password": "another-password"}}
    path = tmp_path / "app-config.yaml"
    path.write_text(yaml.safe_dump(world.config(kafka={"brokers": [address], **wrong})))
    started = ddpm("provision", "--config", str(path), cwd=tmp_path)
    assert started.returncode != 0
    assert refused in started.stderr
    assert "another-password" not in started.stderr
    elsewhere = {"kafka": {"topic": world.dead_topic, "brokers": [address], **wrong}}
    with Ddpm(world.config(sinks=[elsewhere]), tmp_path) as run:
        eventually(lambda: refused in str(run.health()[1]), "the pipeline says why its sink waits", 30)
