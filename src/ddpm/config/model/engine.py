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
    """`app.engine.container`: the container that an engine runs in.

    `docker` is the address of the Docker daemon (default: as the docker command finds it). `network` is `host`, or a
    network that exists. `env` names variables of ddpm's own environment that mappings read, `files` what they read
    besides the files that the configuration names; both are handed over, files at the same absolute path.
    """

    image: NonEmptyStr = Field(examples=["ddpm-engine:0.1.0"])
    network: NonEmptyStr = HOST_NETWORK
    memory: ByteSize | None = None
    cpus: float | None = Field(default=None, gt=0, le=1_024, allow_inf_nan=False)
    docker: NonEmptyStr | None = Field(default=None, examples=["unix:///var/run/docker.sock"])
    user: NonEmptyStr | None = None
    env: tuple[NonEmptyStr, ...] = ()
    files: tuple[FilePath, ...] = ()

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
    """`app.engine`: which engine runs, who starts it and in what, and how long it may take to drain.

    With `launcher: external` others start it, and `url` is where its HTTP server is.
    """

    launcher: Literal["process", "container", "external"] = "process"
    binary: FilePath | None = None
    drain: Duration = 20.0
    memory_limit: ByteSize = 800_000_000
    stall_timeout: Duration = 60.0
    container: Container | None = None
    url: NonEmptyStr | None = Field(default=None, examples=["http://orders-engine:4195"])

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

    min: int = Field(default=1, ge=1, le=64)
    max: int = Field(ge=1, le=64, examples=[3])
    target_lag: Duration = 30.0
    up_after: Duration = 60.0
    down_after: Duration = 600.0

    @model_validator(mode="after")
    def _max_is_not_below_min(self) -> "Scale":
        if self.max < self.min:
            raise broken_rule(f"must be at least min, which is {self.min}; is {self.max}", "max")
        return self
