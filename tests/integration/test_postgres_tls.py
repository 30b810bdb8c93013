"""verify-full and client certificates, through Python and the engine alike, and what is said of each fault."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization

from ddpm.devstack import EmbeddedKafka
from ddpm.engine.progress import Progress
from ddpm.errors import ServiceError
from ddpm.store.connection import reachable
from harness.addresses import read_by_the_engine
from harness.audit import audit
from harness.folders import FreshDir
from harness.process import Ddpm, ddpm
from harness.secured import PASSWORD, ROLE, SecuredPostgres, secured_postgres
from harness.waiting import eventually
from harness.world import World, json_records

COLUMNS = {"n": "integer"}


@pytest.fixture(scope="module")
def server(fresh_dir: FreshDir, progress: Progress) -> Iterator[SecuredPostgres]:
    with secured_postgres(fresh_dir("secured"), progress) as server:
        yield server


def verifying(server: SecuredPostgres, folder: Path) -> str:
    """What a URL says to trust the server's authority and no other."""
    return f"sslmode=verify-full&sslrootcert={server.roots(folder)}"


def python_says(url: str) -> str:
    with pytest.raises(ServiceError) as caught:
        reachable(url, 5)
    text = str(caught.value)
    assert PASSWORD not in text
    return text


def engine_says(folder: Path, *urls: str) -> list[str]:
    answers = read_by_the_engine(folder, urls, DDPM_TEST_ADDRESSES_ASKED="yes")
    assert all(PASSWORD not in answer.get("error", "") for answer in answers)
    return [answer.get("fault") or answer.get("error", "let in") for answer in answers]


def test_each_fault_is_named_by_both_clients(server: SecuredPostgres, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    roots, client = verifying(server, tmp_path), server.client(tmp_path).options
    cases = {
        "another authority": (
            server.url(f"sslmode=verify-full&sslrootcert={server.roots(other, server.other)}", client),
            "signed by an authority that is not among those of sslrootcert",
            "signed by an authority that is not among those of sslrootcert",
        ),
        "another host name": (
            server.url(roots, client, host="127.0.0.1"),
            'server certificate for "localhost" does not match host name "127.0.0.1"',
            "is for another host name",
        ),
        "no client certificate": (
            server.url(roots),
            "connection requires a valid client certificate",
            "wants a client certificate: name sslcert and sslkey",
        ),
        "a client certificate of another user": (
            server.url(roots, server.client(other, "someone").options),
            "or the name (CN) of the client certificate is another than the user's",
            "password authentication failed",
        ),
    }
    for name, days, by in (("expired", -1, server.authority), ("strange", 1, server.other)):
        folder = tmp_path / name
        folder.mkdir()
        url = server.url(roots, server.client(folder, days=days, by=by).options)
        said = {
            "expired": "renew the client certificate",
            "strange": "the server does not trust the client certificate",
        }
        said_by_engine = {
            "expired": "client certificate of sslcert has expired",
            "strange": "does not trust the client",
        }
        cases[f"{name} client certificate"] = (url, said[name], said_by_engine[name])
    answers = engine_says(tmp_path, *(url for url, _, _ in cases.values()))
    for (name, (url, wanted, wanted_of_engine)), answer in zip(cases.items(), answers, strict=True):
        assert wanted in python_says(url), name
        assert wanted_of_engine in answer, name


def test_an_expired_certificate_of_the_server_is_named_by_both_clients(server: SecuredPostgres, tmp_path: Path) -> None:
    good = server.url(verifying(server, tmp_path), server.client(tmp_path).options)
    server.certify(days=-1)
    try:
        assert "has expired" in python_says(good)
        assert "has expired, or is not valid yet (current time" in engine_says(tmp_path, good)[0]
    finally:
        server.certify()
    reachable(good, 5)
    assert engine_says(tmp_path, good) == ["let in"]


def test_the_certificates_of_the_machine_are_found_by_both_clients(
    server: SecuredPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url("sslmode=verify-full", "sslrootcert=system", server.client(tmp_path).options)
    assert "signed by an authority" in python_says(url)
    assert "signed by an authority" in engine_says(tmp_path, url)[0]
    monkeypatch.setenv("SSL_CERT_FILE", str(server.roots(tmp_path)))
    reachable(url, 5)
    assert engine_says(tmp_path, url) == ["let in"]


def test_a_key_with_a_password_is_read_by_both_clients(server: SecuredPostgres, tmp_path: Path) -> None:
    client = server.client(tmp_path)
    key = serialization.load_pem_private_key(client.key.read_bytes(), None)
    form, encryption = (
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"for-the-key"),
    )
    client.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, encryption))
    url = server.url(verifying(server, tmp_path), client.options, "sslpassword=for-the-key")
    reachable(url, 5)
    assert engine_says(tmp_path, url) == ["let in"]


def test_a_start_without_the_client_certificate_says_so(
    kafka: EmbeddedKafka, server: SecuredPostgres, engine_binary: Path, tmp_path: Path
) -> None:
    world = World(kafka.bootstrap, server.dsn, engine_binary)
    world.create_topic()
    config = world.config(postgres={"url": server.url(verifying(server, tmp_path)), "columns": COLUMNS})
    (tmp_path / "app-config.yaml").write_text(json.dumps(config))
    ran = ddpm("provision", "--config", "app-config.yaml", cwd=tmp_path)
    assert ran.returncode != 0
    assert "connection requires a valid client certificate" in ran.stderr
    assert "name a client certificate in app.postgres.url: sslcert and sslkey" in ran.stderr


def test_a_run_with_certificates_outlives_one_that_expires(
    kafka: EmbeddedKafka, server: SecuredPostgres, engine_binary: Path, tmp_path: Path
) -> None:
    world = World(kafka.bootstrap, server.dsn, engine_binary)
    world.create_topic()
    client = server.client(tmp_path)
    # libpq's other form, and the certificates of the machine.
    address = (
        f"host=localhost port={server.port} user={ROLE} password='{PASSWORD}' dbname=shop "
        f"sslmode=verify-full sslrootcert=system sslcert={client.cert} sslkey={client.key}"
    )
    config = world.config(postgres={"url": address, "columns": COLUMNS})
    with Ddpm(config, tmp_path, {"SSL_CERT_FILE": str(server.roots(tmp_path))}) as running:
        running.wait_healthy()
        world.produce(json_records([{"n": n} for n in range(100)]))
        world.wait_consumed()
        engine = running.engine_pid
        server.certify(days=-1)
        with psycopg.connect(server.dsn, autocommit=True) as admin:
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [ROLE])
        world.produce(json_records([{"n": n} for n in range(100, 200)]))

        def says() -> bool:
            reasons = json.dumps(running.health()[1])
            return "does not take rows (tls): the certificate of" in reasons and "has expired" in reasons

        eventually(says, "the engine's reason to wait names the certificate")
        server.certify()
        world.wait_consumed()
        eventually(lambda: running.health()[0] == 200, "it is well again by itself")
        assert running.engine_pid == engine
        assert PASSWORD not in running.log
        assert running.stop() == 0
    books = audit(world, lambda record: json.loads(record.value or b""))
    assert (books.rows, books.dead) == (200, 0)
