"""`app.server`, `app.logger` and `app.metrics`: what people and monitoring see of ddpm."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, field_validator

from ddpm.config.address import web_fault
from ddpm.config.model.values import Model, NonEmptyStr


class LogLevel(StrEnum):
    """Levels a user may name; the engine knows the same ones."""

    TRACE = "TRACE"
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Server(Model):
    """`app.server`: where people and Prometheus find ddpm, and who may use it.

    `token` is what a client must send as `Authorization: Bearer …`; without it only loopback may be bound, unless
    `insecure` says that whoever reaches the port may do everything. `allowed_hosts` are names besides the bound
    address and localhost by which clients may call it.
    """

    host: NonEmptyStr = "127.0.0.1"
    port: int = Field(default=4195, ge=0, le=65_535)
    token: Annotated[str, Field(min_length=16)] | None = Field(default=None, repr=False)
    insecure: bool = False
    allowed_hosts: tuple[NonEmptyStr, ...] = ()


class Metrics(Model):
    """`app.metrics`: `push_gateway` is the URL of a Prometheus PushGateway that a bounded run reports to at its end."""

    push_gateway: NonEmptyStr | None = Field(default=None, examples=["http://localhost:9091"])

    @field_validator("push_gateway")
    @classmethod
    def _push_gateway_is_http(cls, url: str | None) -> str | None:
        fault = None if url is None else web_fault(url)
        if fault:
            msg = f"not the address of a PushGateway: {fault}; write for example http://localhost:9091"
            raise ValueError(msg)
        return url


class Logger(Model):
    """`app.logger`."""

    level: LogLevel = LogLevel.INFO
    format: Literal["auto", "console", "json"] = "auto"

    @field_validator("level", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value
