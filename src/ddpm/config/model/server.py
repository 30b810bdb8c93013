"""`app.server`, `app.logger` and `app.metrics`: what people and monitoring see of ddpm."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, field_validator

from ddpm.config.address import web_fault
from ddpm.config.model.secret import Secret
from ddpm.config.model.values import Model, NonEmptyStr


class LogLevel(StrEnum):
    """Levels a user may name; the engine knows the same ones."""

    TRACE = "TRACE"
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Server(Model):
    """`app.server`: where people and Prometheus find ddpm, and who may use it."""

    host: NonEmptyStr = Field(default="127.0.0.1", description="the address of console, API, `/health` and `/metrics`")
    port: int = Field(default=4195, ge=0, le=65_535, description="their port; 0 takes a free one")
    token: Annotated[Secret, Field(min_length=16)] | None = Field(
        examples=["${DDPM_TOKEN}"],
        default=None,
        description="what clients send as `Authorization: Bearer …`; required beyond loopback",
    )
    insecure: bool = Field(
        default=False,
        description="do without a token beyond loopback: anyone who reaches the port may then do everything",
    )
    allowed_hosts: tuple[NonEmptyStr, ...] = Field(
        examples=[["ddpm.example.org"]], default=(), description="names besides its addresses that it answers to"
    )


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
