"""`app.server`, `app.logger` and `app.metrics`: what people and monitoring see of ddpm."""

import re
from collections import Counter
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from ddpm.config.address import web_fault
from ddpm.config.model.secret import Password, Secret
from ddpm.config.model.values import FilePath, Model, NonEmptyStr, broken_rule


class LogLevel(StrEnum):
    """Levels a user may name; the engine knows the same ones."""

    TRACE = "TRACE"
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Role(StrEnum):
    """What the owner of a token may do; each role may do what those before it may."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    def covers(self, needed: "Role") -> bool:
        """Whether this role may do what needs another one."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class ServerTls(Model):
    """`app.server.tls`: console, API, probes and metrics are spoken to in TLS, 1.2 or 1.3."""

    # The fields that name files.
    files: ClassVar[tuple[str, ...]] = ("cert", "key", "client_ca")

    cert: FilePath = Field(
        examples=["server.pem"],
        description="the server's certificate in PEM, with those behind it (docs/security.md#tls-of-ddpm-itself)",
    )
    key: FilePath = Field(examples=["server.key"], description="its private key in PEM")
    key_password: Password | None = Field(
        default=None, examples=["${KEY_PASSWORD}"], description="what that key is encrypted with"
    )
    client_ca: FilePath | None = Field(
        default=None,
        examples=["clients.pem"],
        description="PEM certificates of which one signed the client's: then all but probes need a certificate",
    )


_TOKEN_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.@-]{0,62}")


def _token_name(name: str) -> str:
    if not _TOKEN_NAME.fullmatch(name):
        msg = f'"{name}" is not the name of a token: 1 to 63 of the characters a-z, A-Z, 0-9, "_", ".", "@" and "-"'
        raise ValueError(msg)
    return name


class Token(Model):
    """One of `app.server.tokens`: who may do what."""

    name: Annotated[NonEmptyStr, AfterValidator(_token_name)] = Field(
        examples=["grafana"], description="whose it is, as the audit log and the console show it"
    )
    role: Role = Field(examples=["read"], description="what its owner may do (docs/security.md#roles)")
    token: Annotated[Password, Field(min_length=16)] = Field(
        examples=["${file:/run/secrets/grafana}"], description="what its owner sends as `Authorization: Bearer …`"
    )

    @field_validator("role", mode="before")
    @classmethod
    def _known_role(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value


def _off_is_none(tls: object) -> object:
    """Let `tls: false` stand for none."""
    return None if tls is False else tls


class Server(Model):
    """`app.server`: where people and Prometheus find ddpm, and who may use it."""

    host: NonEmptyStr = Field(default="127.0.0.1", description="the address of console, API, `/health` and `/metrics`")
    port: int = Field(default=4195, ge=0, le=65_535, description="their port; 0 takes a free one")
    token: Annotated[Secret, Field(min_length=16)] | None = Field(
        examples=["${DDPM_TOKEN}"],
        default=None,
        description="what clients send as `Authorization: Bearer …`; required beyond loopback",
    )
    tokens: tuple[Token, ...] = Field(
        default=(),
        examples=[[{"name": "grafana", "role": "read", "token": "${file:/run/secrets/grafana}"}]],
        description="tokens with a name and a role each, besides `token`, which may do everything",
    )
    tls: Annotated[ServerTls | None, BeforeValidator(_off_is_none)] = None
    protect_metrics: bool = Field(
        default=False, description="whether `/metrics` asks for a token, too; its role is at least `read`"
    )
    insecure: bool = Field(
        default=False,
        description="do without a token beyond loopback: anyone who reaches the port may then do everything",
    )
    allowed_hosts: tuple[NonEmptyStr, ...] = Field(
        examples=[["ddpm.example.org"]], default=(), description="names besides its addresses that it answers to"
    )

    @model_validator(mode="after")
    def _tokens_differ(self) -> Self:
        named = Counter(each.name for each in self.tokens)
        seen = {self.token.revealed} if self.token is not None else set()
        for index, each in enumerate(self.tokens):
            if named[each.name] > 1:
                raise broken_rule(f'two tokens are called "{each.name}"; each has a name of its own', "tokens", index)
            if each.token.revealed in seen:
                raise broken_rule("this token is that of another one, too; each has its own", "tokens", index)
            seen.add(each.token.revealed)
        return self

    @property
    def asks(self) -> bool:
        """Whether clients need a token."""
        return self.token is not None or bool(self.tokens)


class Metrics(Model):
    """`app.metrics`: where metrics go by themselves."""

    push_gateway: Secret | None = Field(
        default=None,
        examples=["http://localhost:9091"],
        description="the URL of a Prometheus PushGateway that bounded runs report to at their end",
    )

    @field_validator("push_gateway")
    @classmethod
    def _push_gateway_is_http(cls, url: Secret | None) -> Secret | None:
        fault = None if url is None else web_fault(url)
        if fault:
            msg = f"not the address of a PushGateway: {fault}; write for example http://localhost:9091"
            raise ValueError(msg)
        return url


class Logger(Model):
    """`app.logger`."""

    level: LogLevel = Field(default=LogLevel.INFO, description="what is logged at least")
    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="lines for people, or JSON for machines; `auto` is `console` on a terminal"
    )

    @field_validator("level", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value
