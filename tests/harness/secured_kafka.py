"""A broker with a listener for each way of being secured, and the certificates for it and its clients."""

import datetime
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from ddpm.broker.connection import admin
from ddpm.devstack import EmbeddedKafka
from ddpm.devstack.ports import HOST, free_ports
from ddpm.engine.progress import Progress
from harness.tokens import AUDIENCE, ISSUER

USER, PASSWORD = "ddpm", "password-of-ddpm"
# Of another user, by PLAIN alone.
AWKWARD_USER, AWKWARD = "awkward", "p@:/?#%${}'\"\\ w"
# Of every listener but that for tests, which is in plain text, and whose clients may do everything.
_LISTENERS = {"tls": "SSL", "mtls": "SSL", "sasl_ssl": "SASL_SSL", "sasl_plain": "SASL_PLAINTEXT", "oauth": "SASL_SSL"}
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
_OAUTH = "org.apache.kafka.common.security.oauthbearer"


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: a CA, a client's certificate and its key, another CA, and what brokers have."""

    ca: Path
    client: Path
    client_key: Path
    other_ca: Path
    other_client: Path
    other_key: Path
    broker: Path
    expired: Path
    other_names: Path

    def client_tls(self) -> dict[str, str]:
        """The keys of `kafka.tls` for a client with a certificate."""
        return {"ca": str(self.ca), "cert": str(self.client), "key": str(self.client_key)}


def certificates(folder: Path) -> Certificates:
    """Make them all."""
    authority, other = trustme.CA(), trustme.CA()
    for name, each in (("ca", authority), ("other-ca", other)):
        each.cert_pem.write_to_path(folder / f"{name}.pem")
    for name, each in (("client", authority), ("other-client", other)):
        made = each.issue_cert("ddpm.example.com", common_name="ddpm")
        made.private_key_pem.write_to_path(folder / f"{name}.key")
        for index, blob in enumerate(made.cert_chain_pems):
            blob.write_to_path(folder / f"{name}.pem", append=index > 0)
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    brokers = {
        "broker": authority.issue_cert(HOST, "localhost", common_name="broker"),
        "expired": authority.issue_cert(HOST, "localhost", common_name="broker", not_after=yesterday),
        "other-names": authority.issue_cert("kafka.example.com", common_name="broker"),
    }
    for name, made in brokers.items():
        path = folder / f"{name}.pem"
        # Java takes private keys as PKCS8 alone.
        key = load_pem_private_key(made.private_key_pem.bytes(), None)
        written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(written + b"".join(blob.bytes() for blob in made.cert_chain_pems))
    return Certificates(
        ca=folder / "ca.pem",
        client=folder / "client.pem",
        client_key=folder / "client.key",
        other_ca=folder / "other-ca.pem",
        other_client=folder / "other-client.pem",
        other_key=folder / "other-client.key",
        broker=folder / "broker.pem",
        expired=folder / "expired.pem",
        other_names=folder / "other-names.pem",
    )


class SecuredKafka(EmbeddedKafka):
    """A broker whose `bootstrap` is in plain text, for tests; clients of the others need rights where there are any."""

    def __init__(
        self,
        data_dir: Path,
        made: Certificates,
        keys_url: str | None = None,
        *,
        progress: Progress | None = None,
        authorizer: bool = False,
    ) -> None:
        super().__init__(data_dir, progress=progress)
        self._made = made
        self._keys_url = keys_url
        self._authorizer = authorizer
        names = [name for name in _LISTENERS if name != "oauth" or keys_url is not None]
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))

    def let_in(self, password: str) -> None:
        """Give the user another SCRAM password: that of before is refused from now on."""
        mechanism = ScramMechanism.SCRAM_SHA_512
        with admin([self.bootstrap]) as client:
            # Its parameter is called password, and is bytes.
            changed = UserScramCredentialUpsertion(USER, mechanism, password.encode())
            assert client.alter_user_scram_credentials([changed]) == {USER: None}

    def at(self, listener: str, host: str = HOST) -> str:
        """The address of a listener: tls, mtls, sasl_ssl, sasl_plain or oauth."""
        return f"{host}:{self._ports[listener]}"

    def _settings(self, logs: Path, port: int, controller_port: int) -> dict[str, str | int]:
        settings = super()._settings(logs, port, controller_port)
        secured = [f"{name.upper()}://{HOST}:{port}" for name, port in self._ports.items()]
        protocols = [f"{name.upper()}:{protocol}" for name, protocol in _LISTENERS.items() if name in self._ports]
        for name in ("listeners", "advertised.listeners"):
            settings[name] = ",".join([str(settings[name]), *secured])
        settings["listener.security.protocol.map"] = ",".join(
            [str(settings["listener.security.protocol.map"]), *protocols]
        )
        settings |= {
            "inter.broker.listener.name": "PLAINTEXT",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._made.broker),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self._made.ca),
            "ssl.client.auth": "none",
            "listener.name.mtls.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
        }
        if self._keys_url is not None:
            settings |= self._oauth(self._keys_url)
        given = {USER: PASSWORD, AWKWARD_USER: AWKWARD}
        users = f"{_PLAIN} required {' '.join(f'user_{name}={_quoted(each)}' for name, each in given.items())};"
        for name in ("sasl_ssl", "sasl_plain"):
            own = f"listener.name.{name}"
            settings |= {
                f"{own}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
                f"{own}.plain.sasl.jaas.config": users,
                f"{own}.scram-sha-256.sasl.jaas.config": f"{_SCRAM} required;",
                f"{own}.scram-sha-512.sasl.jaas.config": f"{_SCRAM} required;",
            }
        if self._authorizer:
            settings |= {
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
                "allow.everyone.if.no.acl.found": "false",
            }
        return settings

    def _oauth(self, keys_url: str) -> dict[str, str]:
        return {
            "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.oauth.oauthbearer.sasl.server.callback.handler.class": (
                f"{_OAUTH}.OAuthBearerValidatorCallbackHandler"
            ),
            "listener.name.oauth.oauthbearer.sasl.jaas.config": f"{_OAUTH}.OAuthBearerLoginModule required;",
            "listener.name.oauth.sasl.oauthbearer.jwks.endpoint.url": keys_url,
            "listener.name.oauth.sasl.oauthbearer.expected.audience": AUDIENCE,
            "listener.name.oauth.sasl.oauthbearer.expected.issuer": ISSUER,
        }

    def _java_options(self) -> tuple[str, ...]:
        return () if self._keys_url is None else (f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self._keys_url}",)

    def _format_options(self) -> tuple[str, ...]:
        mechanisms = ("SCRAM-SHA-256", "SCRAM-SHA-512")
        users = (f"{each}=[name={USER},password={PASSWORD}]" for each in mechanisms)
        return tuple(part for user in users for part in ("--add-scram", user))


def _quoted(text: str) -> str:
    """A text as a value of JAAS within a file of Java's properties, which both have escapes."""
    in_jaas = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"{}"'.format(in_jaas.replace("\\", "\\\\"))
