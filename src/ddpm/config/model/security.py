"""`kafka.tls` and `kafka.sasl`: how a cluster is reached, and `Cluster`, brokers together with that.

What is said here once is meant for every client of Kafka, those of ddpm and those of its engines.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar, Self, overload

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ddpm.config.address import web_fault
from ddpm.config.model.secret import Password
from ddpm.config.model.values import FilePath, Model, NonEmptyStr, broken_rule


class Mechanism(StrEnum):
    """How a client proves to a broker who it is."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"
    OAUTHBEARER = "OAUTHBEARER"
    AWS_MSK_IAM = "AWS_MSK_IAM"

    @property
    def takes_password(self) -> bool:
        """Whether it needs a name and a password."""
        return self is not Mechanism.OAUTHBEARER


class Tls(Model):
    """`app.kafka.tls`: brokers are spoken to in TLS; `tls: true` trusts what the system trusts."""

    # The fields that name files.
    files: ClassVar[tuple[str, ...]] = ("ca", "cert", "key")

    ca: FilePath | None = Field(
        default=None,
        examples=["ca.pem"],
        description="PEM certificates of which one signed the brokers'; by default those that the system trusts "
        "(docs/security.md#tls)",
    )
    cert: FilePath | None = Field(
        default=None, examples=["client.pem"], description="the client's own certificate in PEM, with those behind it"
    )
    key: FilePath | None = Field(default=None, examples=["client.key"], description="its private key in PEM")
    key_password: Password | None = Field(
        default=None, examples=["${KEY_PASSWORD}"], description="what that key is encrypted with"
    )
    server_name: NonEmptyStr | None = Field(
        default=None,
        examples=["kafka.example.com"],
        description="the name that certificates are compared with; by default that of each broker's address",
    )
    verify: bool = Field(default=True, description="whether the brokers' certificates are checked")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.key is not None and self.cert is None:
            raise broken_rule("a key without a certificate; name its certificate in `cert`", "key")
        if self.cert is not None and self.key is None:
            raise broken_rule("a certificate without its key; name the private key in `key`", "cert")
        if self.key_password is not None and self.key is None:
            raise broken_rule("there is no `key` that it could belong to", "key_password")
        if not self.verify:
            for name in ("ca", "server_name"):
                if getattr(self, name) is not None:
                    raise broken_rule("with verify: false no certificate is compared with it; omit one of them", name)
        return self


def _token_url(url: str) -> str:
    if fault := web_fault(url):
        msg = f"not the address of a token server: {fault}; write for example https://login.example.com/oauth2/token"
        raise ValueError(msg)
    return url


class OAuth(Model):
    """`app.kafka.sasl.oauth`: where a token for the brokers comes from (OAuth 2.0, client credentials)."""

    token_url: Annotated[NonEmptyStr, AfterValidator(_token_url)] = Field(
        examples=["https://login.example.com/oauth2/token"], description="the server that gives tokens"
    )
    client_id: NonEmptyStr = Field(examples=["ddpm"], description="who ddpm is to that server")
    client_secret: Password = Field(examples=["${CLIENT_SECRET}"], description="how it proves that")
    scopes: tuple[NonEmptyStr, ...] = Field(
        default=(), examples=[["openid"]], description="the rights that are asked for; none by default"
    )


class Sasl(Model):
    """`app.kafka.sasl`: who ddpm is to the brokers."""

    mechanism: Mechanism = Field(
        examples=["SCRAM-SHA-512"], description="how ddpm proves who it is (docs/security.md#sasl)"
    )
    username: NonEmptyStr | None = Field(
        default=None, examples=["ddpm"], description="for `PLAIN` and SCRAM; of `AWS_MSK_IAM` the access key id"
    )
    password: Password | None = Field(
        default=None,
        examples=["${KAFKA_PASSWORD}"],
        description="for `PLAIN` and SCRAM; of `AWS_MSK_IAM` the secret access key",
    )
    oauth: OAuth | None = Field(
        default=None,
        examples=[
            {
                "token_url": "https://login.example.com/oauth2/token",
                "client_id": "ddpm",
                "client_secret": "${CLIENT_SECRET}",
            }
        ],
        description="for `OAUTHBEARER`: where tokens come from (client credentials)",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        mechanism = self.mechanism
        if mechanism is Mechanism.OAUTHBEARER and self.oauth is None:
            msg = "OAUTHBEARER needs `oauth` with token_url, client_id and client_secret"
            raise broken_rule(msg, "mechanism")
        if mechanism is not Mechanism.OAUTHBEARER and self.oauth is not None:
            raise broken_rule(f"it is for mechanism: OAUTHBEARER; this is {mechanism}", "oauth")
        for name in ("username", "password"):
            if mechanism.takes_password and getattr(self, name) is None:
                raise broken_rule(f"{mechanism} needs `{name}`", "mechanism")
            if not mechanism.takes_password and getattr(self, name) is not None:
                raise broken_rule(f"{mechanism} takes no `{name}`; omit it", name)
        return self


class Security(Model):
    """How brokers are spoken to; in plain text and without a name by default."""

    tls: Tls | None = None
    sasl: Sasl | None = None

    @property
    def plain(self) -> bool:
        """Whether there is nothing to do."""
        return self.tls is None and self.sasl is None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that clients read."""
        named = [] if self.tls is None else [getattr(self.tls, name) for name in Tls.files]
        return tuple(path for path in named if path is not None)


def without_tls(tls: Tls | None, sasl: Sasl | None) -> None:
    """Raise an error of the section if its mechanism needs TLS and there is none."""
    if sasl is not None and sasl.mechanism is Mechanism.AWS_MSK_IAM and tls is None:
        raise broken_rule("AWS_MSK_IAM is spoken in TLS alone; set `tls: true`", "sasl", "mechanism")


def _on_and_off(tls: object) -> object:
    """Let true stand for TLS with the certificates of the system, and false for none."""
    if tls is True:
        return {}
    return None if tls is False else tls


TlsOrNot = Annotated[Tls | None, BeforeValidator(_on_and_off)]


class Cluster(Sequence[str]):
    """The addresses of brokers, `host:port`, and how they are spoken to.

    It is passed wherever addresses are, so that what connects finds both. Two are equal when both are.
    """

    __slots__ = ("_addresses", "security")

    def __init__(self, addresses: Iterable[str], security: Security | None = None) -> None:
        self._addresses = tuple(addresses)
        self.security = security or Security()

    @classmethod
    def of(cls, brokers: Sequence[str]) -> "Cluster":
        """The cluster that brokers are; addresses alone are spoken to in plain text."""
        return brokers if isinstance(brokers, Cluster) else cls(brokers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._addresses[index]

    def __len__(self) -> int:
        return len(self._addresses)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Cluster):
            return self._addresses == other._addresses and self.security == other.security
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self._addresses, self.security))

    def __repr__(self) -> str:
        return f"Cluster({self._addresses!r}, {self.security!r})"
