"""`kafka.tls` and `kafka.sasl`: what may stand there, its files, and settings of other clients in its place."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from ddpm.components.security import handed_over
from ddpm.config.model import Cluster, Security
from ddpm.contract import Env
from ddpm.orchestrator.prepare import rendered
from unit.config.folder import Folder

PASSWORD = "hunter2-of-kafka"
CONFIG = """\
app:
  kafka:
    brokers: ["broker:9093"]
    topics: [orders]
    consumer_group: group
{more}
  postgres: {{url: embedded, table: orders}}
{sinks}"""
SASL = "sasl: {mechanism: SCRAM-SHA-512, username: ddpm, password: '${KAFKA_PASSWORD}'}"
ENV = {"KAFKA_PASSWORD": PASSWORD}


def config(*lines: str, sinks: str = "") -> str:
    return CONFIG.format(more="\n".join(f"    {line}" for line in lines), sinks=sinks)


@pytest.fixture
def pems(folder: Folder) -> Path:
    """A CA, a certificate with its key, another key, and the key in other forms."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder.path / "ca.pem")
    made, other = authority.issue_cert("ddpm.example.com"), authority.issue_cert("ddpm.example.com")
    made.cert_chain_pems[0].write_to_path(folder.path / "client.pem")
    made.private_key_pem.write_to_path(folder.path / "client.key")
    other.private_key_pem.write_to_path(folder.path / "other.key")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    expired = authority.issue_cert("ddpm.example.com", not_after=yesterday)
    expired.cert_chain_pems[0].write_to_path(folder.path / "expired.pem")
    expired.private_key_pem.write_to_path(folder.path / "expired.key")
    key = serialization.load_pem_private_key(made.private_key_pem.bytes(), None)
    for name, form in (
        ("encrypted.key", serialization.PrivateFormat.PKCS8),
        ("old.key", serialization.PrivateFormat.TraditionalOpenSSL),
    ):
        encrypted = key.private_bytes(
            serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(PASSWORD.encode())
        )
        (folder.path / name).write_bytes(encrypted)
    (folder.path / "store.jks").write_bytes(b"\xfe\xed\xfe\xed\x00\x00")
    (folder.path / "store.p12").write_bytes(b"\x30\x82\x00\x00")
    return folder.path


def test_files_become_absolute_and_secrets_stay_hidden(folder: Folder, pems: Path) -> None:
    tls = "tls: {ca: ca.pem, cert: client.pem, key: encrypted.key, key_password: '${KAFKA_PASSWORD}'}"
    found = folder.load(config(tls, SASL), ENV)
    pipeline = found.config.pipelines[0]
    security = pipeline.kafka.cluster.security
    assert security.files == (pems / "ca.pem", pems / "client.pem", pems / "encrypted.key")
    assert PASSWORD not in repr(pipeline) + str(pipeline)
    assert PASSWORD in found.config.secrets
    made = rendered(found.config, pipeline)
    assert PASSWORD not in made.text
    assert made.text.count(f"security_env: {Env.KAFKA_SECURITY}") == 3
    handed = json.loads(handed_over(security)[Env.KAFKA_SECURITY])
    assert handed["sasl"]["password"] == handed["tls"]["key_password"] == PASSWORD


def test_a_password_that_looks_like_an_address_is_hidden_whole() -> None:
    security = Security.model_validate({"sasl": {"mechanism": "PLAIN", "username": "u", "password": "a://b:c@d"}})
    assert "a://" not in repr(security)


def test_tls_is_switched_on_and_off_by_a_word(folder: Folder) -> None:
    for word, on in (("true", True), ("false", False)):
        tls = folder.load(config(f"tls: {word}")).config.pipelines[0].kafka.tls
        assert (tls is not None) is on


def test_a_cluster_is_its_addresses_and_how_they_are_spoken_to() -> None:
    secured = Security.model_validate({"tls": {}})
    one = Cluster(["a:1", "b:2"], secured)
    assert list(one) == ["a:1", "b:2"]
    assert (one[0], len(one), "a:1" in one) == ("a:1", 2, True)
    assert one == Cluster(("a:1", "b:2"), Security.model_validate({"tls": {}}))
    assert one != Cluster(["a:1", "b:2"])
    assert Cluster.of(one) is one
    assert len({one, Cluster(["a:1", "b:2"], secured), Cluster.of(["a:1", "b:2"])}) == 2


def test_a_kafka_sink_has_the_pipelines_brokers_or_its_own_and_no_password_goes_elsewhere(folder: Folder) -> None:
    sinks = f"""\
  sinks:
    - kafka: {{topic: same}}
    - kafka: {{topic: elsewhere, name: plain, brokers: ["other:9092"]}}
    - kafka: {{topic: third, name: own, brokers: ["third:9093"], {SASL.replace("ddpm", "writer")}}}
"""
    found = folder.load(config(SASL, sinks=sinks), ENV)
    outputs, variables = [], []
    for pipeline in found.config.pipelines:
        (sink,) = pipeline.sinks
        output = sink.output(pipeline)[sink.engine_output]
        assert isinstance(output, dict)
        outputs.append(output.get("security_env"))
        variables.append(sink.environment())
    assert outputs[:2] == [Env.KAFKA_SECURITY, None]
    assert variables[:2] == [{}, {}]
    assert list(variables[2]) == [outputs[2]]
    assert str(outputs[2]).startswith(Env.SINK_SECURITY)
    assert json.loads(variables[2][str(outputs[2])])["sasl"]["username"] == "writer"


@pytest.mark.parametrize(
    ("lines", "message", "hint"),
    [
        (["tls: {ca: no.pem}"], "the file no.pem does not exist", "looked in"),
        (["tls: {ca: client.key}"], "client.key holds no certificate in PEM", "BEGIN CERTIFICATE"),
        (["tls: {ca: store.jks}"], "store.jks holds no certificate in PEM", "keytool -exportcert"),
        (["tls: {ca: store.p12}"], "store.p12 holds no certificate in PEM", "openssl pkcs12"),
        (["tls: {cert: client.pem, key: ca.pem}"], "ca.pem holds no private key in PEM", "BEGIN PRIVATE KEY"),
        (
            ["tls: {cert: client.pem, key: other.key}"],
            "other.key is not the key of the certificate client.pem",
            "belong together",
        ),
        (["tls: {cert: expired.pem, key: expired.key}"], "expired.pem expired on ", "have a new certificate issued"),
        (["tls: {cert: client.pem, key: encrypted.key}"], "encrypted.key is encrypted", "key_password"),
        (
            ["tls: {cert: client.pem, key: encrypted.key, key_password: wrong}"],
            "encrypted.key cannot be decrypted",
            "check key_password",
        ),
        (["tls: {cert: client.pem, key: old.key}"], "old.key is encrypted in the old form of OpenSSL", "-topk8"),
        (["tls: {cert: client.pem}"], "a certificate without its key", ""),
        (["tls: {key: client.key}"], "a key without a certificate", ""),
        (["tls: {verify: false, ca: ca.pem}"], "with verify: false no certificate is compared with it", ""),
        (["tls: yes-please"], "expected keys and values, got text", ""),
        (["sasl: {mechanism: PLAIN, password: x}"], "PLAIN needs `username`", ""),
        (["sasl: {mechanism: SCRAM-SHA-256, username: x}"], "SCRAM-SHA-256 needs `password`", ""),
        (["sasl: {mechanism: OAUTHBEARER}"], "OAUTHBEARER needs `oauth`", ""),
        (["sasl: {mechanism: AWS_MSK_IAM, username: x, password: y}"], "AWS_MSK_IAM is spoken in TLS alone", ""),
        (["sasl: {mechanism: GSSAPI}"], "expected one of PLAIN, SCRAM-SHA-256", ""),
        (["sasl: {mechanism: scram-sha-512, username: x, password: y}"], "expected one of PLAIN", "SCRAM-SHA-512"),
        (
            ["sasl: {mechanism: OAUTHBEARER, oauth: {token_url: 'login', client_id: x, client_secret: y}}"],
            "not the address of a token server",
            "",
        ),
    ],
)
def test_what_is_wrong_is_said_with_the_way_out(
    folder: Folder, pems: Path, lines: list[str], message: str, hint: str
) -> None:
    assert pems.is_dir()
    found = folder.error(config(*lines))
    assert found.message.startswith(message)
    assert hint in (found.hint or "")
    assert found.line == 6


def test_files_of_a_sink_are_looked_at_too(folder: Folder) -> None:
    sinks = '  sinks: [{kafka: {topic: t, brokers: ["other:9093"], tls: {ca: no.pem}}}]\n'
    assert folder.error(config(sinks=sinks)).path == "app.sinks[0].kafka.tls.ca"


def test_the_embedded_broker_takes_neither(folder: Folder) -> None:
    for lines, path in (("tls: true", "app.kafka.tls"), (SASL, "app.kafka.sasl")):
        found = folder.error(config(lines).replace('"broker:9093"', "embedded"), ENV)
        assert found.path == path
        assert "the embedded broker takes neither tls nor sasl" in found.message


def test_a_password_in_clear_text_is_a_warning(folder: Folder) -> None:
    plain = SASL.replace("SCRAM-SHA-512", "PLAIN")
    (warning,) = folder.problems(config(plain), ENV)
    assert warning.code == "clear-text"
    assert not folder.problems(config("tls: true", plain), ENV)
    assert not folder.problems(config(SASL), ENV)


JAAS = (
    "sasl.jaas.config: 'org.apache.kafka.common.security.scram.ScramLoginModule required "
    f'username="dave" password="{PASSWORD}";\''
)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("security.protocol: SASL_SSL", "write tls: true, or tls: { ca: ca.pem }, and sasl: {"),
        ("security.protocol: PLAINTEXT", "omit it"),
        ("sasl.mechanism: SCRAM-SHA-256", "sasl: { mechanism: SCRAM-SHA-256, username: …"),
        ("sasl.mechanism: GSSAPI", "does not speak Kerberos"),
        (JAAS, "sasl: { mechanism: SCRAM-SHA-512, username: dave, password: ${KAFKA_PASSWORD} }"),
        ("ssl.truststore.location: /etc/kafka/trust.jks", "tls: { ca: ca.pem }, in PEM; from a Java keystore: keytool"),
        (f"ssl.key.password: {PASSWORD}", "tls: { key_password: ${NAME} }"),
        ("ssl.endpoint.identification.algorithm: ''", "server_name"),
        ("ssl.enabled.protocols: TLSv1.3", "omit it"),
        ("sasl.mechanism: AWS_MSK_IAM", "mechanism: AWS_MSK_IAM"),
        (
            "sasl.client.callback.handler.class: software.amazon.msk.auth.iam.IAMClientCallbackHandler",
            "mechanism: AWS_MSK_IAM",
        ),
        ("group.id: orders", "write consumer_group"),
    ],
)
def test_settings_of_other_clients_are_recognised(folder: Folder, line: str, hint: str) -> None:
    for text in (config(line), config(line.replace(": ", "=", 1))):
        found = folder.error(text)
        assert hint in (found.hint or "")
        assert found.line == 6
        assert PASSWORD not in f"{found.message} {found.hint} {found.source_line}"


def test_a_whole_file_of_properties_is_recognised(folder: Folder) -> None:
    text = "app:\n  kafka:\n    security.protocol=SASL_SSL\n    sasl.mechanism=PLAIN\n"
    (found, *_) = folder.errors(text)
    assert "write tls: true" in (found.hint or "")
