"""`ddpm doctor` in worlds that are broken, each in one place: that place fails, and nothing else does."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import psycopg
import pytest
import trustme
import yaml
from kafka import KafkaConsumer

from ddpm.broker.topics import TopicSpec, ensure_topics
from ddpm.devstack import EmbeddedPostgres
from ddpm.engine.process import free_port
from ddpm.engine.progress import Progress
from ddpm.store.checkup import database_facts
from harness.faults import may_mount, small_disk
from harness.folders import FreshDir
from harness.process import THIS_DDPM, Ddpm, ddpm
from harness.secured_kafka import PASSWORD, USER, Certificates, SecuredKafka, certificates
from harness.waiting import eventually
from harness.world import World

# kafka-python does not close the socket of a connection that is refused; the garbage collector does.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

COLUMNS = {"n": "integer"}
FILE, ENVIRONMENT = 2, 3


class DeadEnd(SecuredKafka):
    """A broker that lets clients of one listener in, and gives them an address at which nobody is."""

    def _settings(self, logs: Path, port: int, controller_port: int) -> dict[str, str | int]:
        settings = super()._settings(logs, port, controller_port)
        own = f"SASL_PLAIN://{self.at('sasl_plain')}"
        settings["advertised.listeners"] = str(settings["advertised.listeners"]).replace(
            own, "SASL_PLAIN://127.0.0.1:1"
        )
        return settings


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secured(fresh_dir: FreshDir, made: Certificates, progress: Progress) -> Iterator[SecuredKafka]:
    with DeadEnd(fresh_dir("doctor"), made, progress=progress, authorizer=True) as server:
        yield server


@pytest.fixture
def world(secured: SecuredKafka, postgres: EmbeddedPostgres, engine_binary: Path) -> World:
    """With the listener whose clients may do everything."""
    return World(secured.bootstrap, postgres.dsn, engine_binary)


@dataclass
class Patient:
    """A configuration that is all right but for one thing."""

    world: World
    folder: Path

    def __post_init__(self) -> None:
        self.config = self.world.config(
            postgres={"columns": COLUMNS}, server={"port": free_port()}, engine={"binary": str(self.world.engine)}
        )
        self.app: dict[str, Any] = self.config["app"]
        self.world.create_topic()

    @property
    def dsn(self) -> SplitResult:
        return urlsplit(self.world.dsn)

    def address(self, **other: str) -> str:
        """The database's address with another user, password or path."""
        user, password = other.get("user", self.dsn.username), other.get("password", self.dsn.password)
        netloc = f"{user}:{password}@{self.dsn.hostname}:{other.get('port', self.dsn.port)}"
        return urlunsplit(self.dsn._replace(netloc=netloc, path=other.get("path", self.dsn.path)))

    def examined(self, *before: str) -> tuple[int, list[dict[str, str]]]:
        """The exit code of `ddpm doctor`, and its findings; `before` is what runs it."""
        (self.folder / "app-config.yaml").write_text(yaml.safe_dump(self.config))
        ran = ddpm("doctor", "--json", cwd=self.folder, program=(*before, *THIS_DDPM))
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran.returncode, json.loads(ran.stdout)["findings"]

    def blamed(self, check: str, *words: str, code: int = ENVIRONMENT, before: tuple[str, ...] = ()) -> dict[str, str]:
        """The only failure, which is of this check and has all words."""
        ended, found = self.examined(*before)
        (failed,) = (each for each in found if each["verdict"] == "fail")
        assert failed["check"] == check, failed
        said = f"{failed['about']} {failed['text']} {failed['hint']}"
        for word in words:
            assert word in said, said
        assert failed["hint"], "it says what to do"
        assert ended == code
        return failed


@pytest.fixture
def patient(world: World, tmp_path: Path) -> Patient:
    return Patient(world, tmp_path)


@contextmanager
def answering(status: int | None) -> Iterator[str]:
    """Where a server of HTTP answers everything so; where nothing is, without a status."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status or 500)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    if status is None:
        yield f"127.0.0.1:{free_port()}"
        return
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def verdicts(found: list[dict[str, str]]) -> set[str]:
    return {each["verdict"] for each in found}


def test_where_nothing_is_wrong_nothing_is_blamed(patient: Patient) -> None:
    code, found = patient.examined()
    assert (code, verdicts(found)) == (0, {"pass"}), found
    checks = {each["check"] for each in found}
    assert {"broker.reached", "topics", "group", "database.reached", "clock", "table.fits", "mappings"} <= checks
    with Ddpm(patient.config, patient.folder) as running:
        running.wait_healthy()
        code, found = patient.examined()
        assert (code, verdicts(found)) == (0, {"pass"}), found
        (own,) = (each for each in found if each["check"] == "running")
        assert (own["about"], own["text"]) == ("pipeline", "running: input and outputs are connected")
        shown = ddpm("doctor", cwd=patient.folder)
        assert shown.stdout.endswith("\nnothing is wrong\n")
        assert (patient.dsn.password or "nothing") not in shown.stdout
        assert running.stop() == 0


def test_a_broker_that_is_not_there(patient: Patient) -> None:
    patient.app["kafka"]["brokers"] = ["127.0.0.1:1"]
    patient.blamed("broker.reached", "127.0.0.1:1", "connection refused", "app.kafka.brokers")


def test_a_broker_whose_name_nobody_knows(patient: Patient) -> None:
    patient.app["kafka"]["brokers"] = ["kafka.invalid:9092"]
    patient.blamed("broker.reached", "kafka.invalid:9092", "name not known")


def test_one_broker_of_two_is_a_warning(patient: Patient) -> None:
    patient.app["kafka"]["brokers"] = ["127.0.0.1:1", patient.world.bootstrap]
    code, found = patient.examined()
    assert (code, [each["about"] for each in found if each["verdict"] == "warn"]) == (0, ["127.0.0.1:1"])


def test_an_address_that_the_cluster_gives_and_nobody_reaches(patient: Patient, secured: SecuredKafka) -> None:
    sasl = {"mechanism": "SCRAM-SHA-256", "username": USER, "password": PASSWORD}
    patient.app["kafka"] |= {"brokers": [secured.at("sasl_plain")], "sasl": sasl}
    patient.blamed("broker.advertised", "127.0.0.1:1", "advertised.listeners")


def test_an_authority_that_did_not_sign(patient: Patient, secured: SecuredKafka, made: Certificates) -> None:
    patient.app["kafka"] |= {"brokers": [secured.at("tls")], "tls": {"ca": str(made.other_ca)}}
    patient.blamed("broker.reached", "certificate", "tls.ca")


def test_plain_text_where_tls_is_spoken(patient: Patient, secured: SecuredKafka) -> None:
    patient.app["kafka"]["brokers"] = [secured.at("tls")]
    patient.blamed("broker.reached", "speaks TLS", "kafka.tls: true")


def test_a_wrong_password_for_kafka(patient: Patient, secured: SecuredKafka, made: Certificates) -> None:
    sasl = {"mechanism": "SCRAM-SHA-512", "username": USER, "password": "not this one"}
    patient.app["kafka"] |= {"brokers": [secured.at("sasl_ssl")], "tls": {"ca": str(made.ca)}, "sasl": sasl}
    failed = patient.blamed("broker.reached", "password", USER)
    assert "not this one" not in json.dumps(failed)


def test_rights_that_are_missing_in_kafka(patient: Patient, secured: SecuredKafka, made: Certificates) -> None:
    ensure_topics([secured.bootstrap], [TopicSpec(patient.world.dead_topic)])
    sasl = {"mechanism": "SCRAM-SHA-512", "username": USER, "password": PASSWORD}
    patient.app["kafka"] |= {"brokers": [secured.at("sasl_ssl")], "tls": {"ca": str(made.ca)}, "sasl": sasl}
    patient.blamed("kafka.rights", patient.world.topic, "kafka-acls", f"User:{USER}")


def test_somebody_else_in_the_group(patient: Patient) -> None:
    world = patient.world
    consumer = KafkaConsumer(
        world.topic, bootstrap_servers=[world.bootstrap], group_id=world.group, client_id="a-notebook"
    )
    try:
        eventually(lambda: (consumer.poll(200), consumer.assignment())[1], "it has joined")
        patient.blamed("group", "a-notebook", world.group)
    finally:
        consumer.close()


def test_a_database_that_is_not_there(patient: Patient) -> None:
    patient.app["postgres"]["url"] = patient.address(port="1")
    patient.blamed("database.reached", "127.0.0.1:1")


def test_a_wrong_password_for_postgres(patient: Patient, secured_role: str) -> None:
    patient.app["postgres"]["url"] = patient.address(user=secured_role, password="not-this-one")
    failed = patient.blamed("database.reached", "password")
    assert "not-this-one" not in json.dumps(failed)


@pytest.fixture
def secured_role(world: World) -> Iterator[str]:
    """A role with a password and hardly any rights."""
    role = f"doctor_{world.tag}"
    world.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret-of-role'")
    yield role
    world.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_database_of_that_name_is_not_there(patient: Patient) -> None:
    patient.app["postgres"]["url"] = patient.address(path="/nowhere")
    patient.blamed("database.reached", "nowhere")


def test_a_table_of_other_columns(patient: Patient) -> None:
    patient.world.execute(
        f'CREATE TABLE {patient.world.table} (source int, "partition" int, "offset" bigint, n text,'
        ' PRIMARY KEY (source, "partition", "offset"))'
    )
    patient.blamed("table.fits", patient.world.table, "ALTER TABLE", code=FILE)


def made_table(patient: Patient) -> None:
    patient.world.execute(
        f'CREATE TABLE {patient.world.table} (source int, "partition" int, "offset" bigint, n int,'
        ' PRIMARY KEY (source, "partition", "offset"))'
    )


def test_no_right_to_write(patient: Patient, secured_role: str) -> None:
    made_table(patient)
    patient.app["postgres"]["url"] = patient.address(user=secured_role, password="secret-of-role")
    patient.blamed("table.fits", "GRANT", secured_role, code=FILE)


def test_a_lock_that_somebody_holds(patient: Patient) -> None:
    made_table(patient)
    with psycopg.connect(patient.world.dsn, application_name="a-migration") as other:
        other.execute(f"LOCK TABLE {patient.world.table} IN ACCESS EXCLUSIVE MODE")
        held = other.info.backend_pid
        eventually(lambda: aged(patient.world, held), "it has been held for a while")
        patient.blamed("table.locks", f"process {held}", "a-migration", f"pg_terminate_backend({held})")


def test_what_a_role_may_not_see_of_the_sessions_of_others(patient: Patient, secured_role: str) -> None:
    made_table(patient)
    table, url = patient.world.table, patient.address(user=secured_role, password="secret-of-role")
    patient.world.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO {secured_role}")
    patient.app["postgres"]["url"] = url
    with ExitStack() as others:
        sessions = [others.enter_context(psycopg.connect(patient.world.dsn)) for _ in range(8)]
        facts = database_facts(url)
        taken = facts.connections - facts.connections_left
        sessions[0].execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        held = sessions[0].info.backend_pid
        _, shown = patient.examined()
    (locks,) = (each for each in shown if each["check"] == "table.locks")
    assert taken > len(sessions), locks
    assert (locks["verdict"], f"process {held} of " in locks["text"]) == ("warn", True)


def aged(world: World, pid: int) -> bool:
    with psycopg.connect(world.dsn) as looking:
        query = "SELECT now() - xact_start > interval '5 s' FROM pg_stat_activity WHERE pid = %s"
        return looking.execute(query, [pid]).fetchone() == (True,)


def test_a_database_that_is_read_only(patient: Patient, secured_role: str) -> None:
    patient.world.execute(f"ALTER ROLE {secured_role} SET default_transaction_read_only = on")
    patient.app["postgres"]["url"] = patient.address(user=secured_role, password="secret-of-role")
    patient.blamed("table.fits", "read-only", code=FILE)


@pytest.mark.parametrize(
    ("status", "words"), [(None, "does not answer"), (401, "does not let ddpm in"), (503, "answers 503")]
)
def test_a_schema_registry_that_cannot_be_asked(patient: Patient, status: int | None, words: str) -> None:
    with answering(status) as address:
        options = {"framing": "confluent", "registry": f"http://ddpm:hunter2secret@{address}"}
        patient.app["source"] = {"parser": "avro", "options": options}
        found = patient.blamed("registry", words, "registry")
        assert found["about"] == f"http://{address}"
        assert "hunter2secret" not in str(patient.examined())


def test_a_port_that_somebody_has(patient: Patient) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", patient.app["server"]["port"]))
        stranger.listen()
        patient.blamed("server.port", "listens there", "app.server.port")


def test_too_few_files(patient: Patient) -> None:
    patient.blamed("files.open", "100 files", "ulimit -n", before=("sh", "-c", 'ulimit -S -n 100; exec "$@"', "sh"))


def test_an_engine_that_is_damaged(patient: Patient) -> None:
    broken = patient.folder / "engine"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    patient.app["engine"]["binary"] = str(broken)
    patient.blamed("engine.binary", str(broken), "is not an engine")


def test_a_mapping_that_is_wrong(patient: Patient) -> None:
    patient.app["processors"] = [{"mapping": "root = thiss.("}]
    patient.blamed("mappings", "processors[0].mapping", code=FILE)


def test_a_file_that_is_no_configuration(patient: Patient) -> None:
    patient.app["kafkaa"] = {}
    patient.blamed("configuration", "unknown field", code=FILE)


def test_a_data_folder_that_is_a_file(patient: Patient) -> None:
    (patient.folder / ".ddpm").write_text("")
    patient.blamed("data.folder", "is a file")


def test_state_of_a_newer_ddpm(patient: Patient) -> None:
    (patient.folder / ".ddpm").mkdir()
    (patient.folder / ".ddpm" / "version.json").write_text('{"version": 99, "ddpm": "9.0"}')
    patient.blamed("data.folder", "9.0")


def test_a_disk_that_is_full(patient: Patient) -> None:
    if not may_mount():
        pytest.skip("needs the right to mount a small disk")
    with small_disk(10) as disk:
        (patient.folder / ".ddpm").symlink_to(disk)
        patient.blamed("data.disk", "MB are free", "make room")


def test_a_certificate_that_ends_soon(patient: Patient, secured: SecuredKafka, made: Certificates) -> None:
    soon = trustme.CA().issue_cert("ddpm", not_after=datetime.now(UTC) + timedelta(days=9, hours=1))
    cert, key = patient.folder / "soon.pem", patient.folder / "soon.key"
    soon.cert_chain_pems[0].write_to_path(cert)
    soon.private_key_pem.write_to_path(key)
    tls = {"ca": str(made.ca), "cert": str(cert), "key": str(key)}
    patient.app["kafka"] |= {"brokers": [secured.at("tls")], "tls": tls}
    _, found = patient.examined()
    (warned,) = (each for each in found if each["check"] == "certificates" and each["verdict"] == "warn")
    assert warned["text"].startswith(f"{cert} ends in 9 days")


def test_a_pipeline_that_does_not_run(patient: Patient) -> None:
    with Ddpm(patient.config, patient.folder) as running:
        running.wait_healthy()
        paused = ddpm("drain", "--url", running.url, cwd=patient.folder)
        assert paused.returncode == 0, paused.stderr
        patient.blamed("running", "pipeline", "stopped", "ddpm status pipeline")
        assert running.stop() == 0
