"""`app.engine` and `app.scale`: what runs the pipeline, in what, and how often."""

from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ddpm.config.address import web_fault
from ddpm.config.model.values import ByteSize, Duration, FilePath, Model, NonEmptyStr, broken_rule

DOCKER_SCHEMES = ("unix://", "tcp://", "http://", "https://", "ssh://", "npipe://")
HOST_NETWORK = "host"
_DOCKER_SERVERS = ("tcp", "http", "https", "ssh")


class Container(Model):
    """`app.engine.container`: the container that an engine runs in."""

    image: NonEmptyStr = Field(examples=["ddpm-engine:0.1.0"], description="the image that has the engine")
    network: NonEmptyStr = Field(default=HOST_NETWORK, description="`host`, or a network that exists")
    memory: ByteSize | None = Field(
        examples=["1GB"], default=None, description="how much memory the container may have"
    )
    cpus: float | None = Field(
        examples=[1.5],
        default=None,
        gt=0,
        le=1_024,
        allow_inf_nan=False,
        description="how many processors the container may use",
    )
    docker: NonEmptyStr | None = Field(
        default=None,
        examples=["unix:///var/run/docker.sock"],
        description="the address of the Docker daemon; by default as the docker command finds it",
    )
    user: NonEmptyStr | None = Field(examples=["10001:10001"], default=None, description="the user in the container")
    env: tuple[NonEmptyStr, ...] = Field(
        examples=[["REGION"]], default=(), description="variables of ddpm's own environment that mappings read"
    )
    files: tuple[FilePath, ...] = Field(
        examples=[["/srv/lookup.csv"]],
        default=(),
        description="files that mappings read besides those that the configuration names; at the same absolute path",
    )

    @field_validator("docker")
    @classmethod
    def _docker_is_an_address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(DOCKER_SCHEMES):
            msg = f'"{url}" is not the address of a Docker daemon; write for example unix:///var/run/docker.sock'
            raise ValueError(msg)
        named = url is not None and not url.startswith(("unix://", "npipe://"))
        fault = web_fault(str(url), _DOCKER_SERVERS) if named else None
        if fault:
            msg = f"not the address of a Docker daemon: {fault}; write for example tcp://docker:2376"
            raise ValueError(msg)
        return url

    @field_validator("network")
    @classmethod
    def _network_leads_to_kafka(cls, network: str) -> str:
        if network == "none" or network.startswith("container:"):
            msg = f'"{network}" cannot be used; write host, or the name of a network from which Kafka can be reached'
            raise ValueError(msg)
        return network


class Engine(Model):
    """`app.engine`: which engine runs, who starts it and in what, and how long it may take to drain."""

    launcher: Literal["process", "container", "external"] = Field(
        default="process",
        description="what starts the engine: ddpm as a process or a container, or others (docs/deploy-container.md)",
    )
    binary: FilePath | None = Field(
        examples=["bin/engine"],
        default=None,
        description="another build of the engine that contains ddpm's plugins; by default ddpm builds it",
    )
    drain: Duration = Field(default=20.0, description="how long a stop may take")
    memory_limit: ByteSize = Field(default=800_000_000, description="what the engine's garbage collector aims at")
    stall_timeout: Duration = Field(
        default=60.0, description="readable records and no commit for so long: the engines are restarted"
    )
    container: Container | None = Field(
        default=None, description="the container of an engine, with `launcher: container`"
    )
    url: NonEmptyStr | None = Field(
        default=None,
        examples=["http://orders-engine:4195"],
        description="the base URL of an engine that others run, with `launcher: external`",
    )

    @property
    def external(self) -> bool:
        """Whether others start and end it."""
        return self.launcher == "external"

    @field_validator("url")
    @classmethod
    def _url_is_http(cls, url: str | None) -> str | None:
        fault = web_fault(url or "http://none")
        if fault is None and "?" in (url or ""):
            fault = "it has a query"
        if fault:
            msg = f"not the address of an engine: {fault}; write for example http://orders-engine:4195"
            raise ValueError(msg)
        return url and url.rstrip("/")

    @model_validator(mode="after")
    def _sections_fit_the_launcher(self) -> "Engine":
        for name, section in (("container", self.container), ("url", self.url)):
            wanted = {"container": "container", "url": "external"}[name]
            if section is None and self.launcher == wanted:
                msg = f"the launcher {wanted} needs it"
                raise PydanticCustomError("missing_section", "{text}", {"text": msg, "at": (name,)})
            if section is not None and self.launcher != wanted:
                raise broken_rule(f"is for the launcher {wanted} only; write launcher: {wanted}, or remove it", name)
        if self.container and self.container.memory and self.container.memory <= self.memory_limit:
            msg = (
                f"must be above engine.memory_limit, which is {self.memory_limit} bytes and what the engine aims at; "
                f"is {self.container.memory}"
            )
            raise broken_rule(msg, "container", "memory")
        return self


class Scale(Model):
    """`app.scale`: how many replicas run, decided by how long the oldest record has been waiting.

    The wait must be above `target_lag` for `up_after` before there are more, and far below it for `down_after` before
    there are fewer.
    """

    min: int = Field(default=1, ge=1, le=64, description="at least so many replicas")
    max: int = Field(ge=1, le=64, examples=[3], description="at most so many replicas")
    target_lag: Duration = Field(
        default=30.0, description="there are more replicas when the oldest record waits longer than this"
    )
    up_after: Duration = Field(default=60.0, description="for so long, before there are more")
    down_after: Duration = Field(default=600.0, description="for so long far below it, before there are fewer")

    @model_validator(mode="after")
    def _max_is_not_below_min(self) -> "Scale":
        if self.max < self.min:
            raise broken_rule(f"must be at least min, which is {self.min}; is {self.max}", "max")
        return self
