"""One Docker daemon, in ddpm's words: its containers, and its troubles as ddpm's errors.

No other module knows the SDK. Every call is bounded in time; which thread waits is the caller's business.
"""

import io
import json
import os
import socket
import struct
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import requests
from docker.context import ContextAPI
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.transport import unixconn
from docker.types import LogConfig
from docker.utils import kwargs_from_env
from urllib3.exceptions import HTTPError

from ddpm.config.model import HOST_NETWORK
from ddpm.errors import DdpmError, MissingToolError, ServiceError

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
CALL_SECONDS = 10.0

_UNIX = "unix://"
_CONFLICT = 409
# Before each piece of a log: which stream it belongs to, and its length.
_FRAME = struct.Struct(">4xL")
_SERVER_ERRORS = 500
# Its log is ddpm's: what Docker keeps besides is for `docker logs`, and bounded.
_LOG_OPTIONS = {"max-size": "10m", "max-file": "2"}


class _UnixConnection(unixconn.UnixHTTPConnection):
    """The SDK's, which keeps its socket open when nobody answers: a Docker that is restarted would cost one a try."""

    def connect(self) -> None:
        with ExitStack() as unless_connected:
            sock = unless_connected.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            sock.settimeout(self.timeout)
            sock.connect(self.unix_socket)
            unless_connected.pop_all()
        self.sock = sock


unixconn.UnixHTTPConnection = _UnixConnection  # type: ignore[misc]


class DockerAwayError(ServiceError):
    """Docker does not answer; it may do so later."""


class DockerRefusedError(DdpmError):
    """Docker answered, and said no."""


class ContainerGoneError(DdpmError):
    """There is no such container any more."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What a container is made of.

    Attributes:
        name: Its name.
        image: Its image.
        command: Arguments for the image's entry point.
        env: Its environment, which everybody may see who may inspect it.
        labels: By which it is found again.
        network: `host`, or the name of a network.
        port: The port that it listens on; published on loopback where the network is not the host's.
        memory: Its limit in bytes.
        cpus: How many CPUs it may use.
        user: The user in it; None as the image says.
        folder: The one that it works in; None as the image says.

    """

    name: str
    image: str
    command: Sequence[str]
    env: Mapping[str, str]
    labels: Mapping[str, str]
    network: str
    port: int
    memory: int | None = None
    cpus: float | None = None
    user: str | None = None
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class ContainerState:
    """How a container is; the exit code counts once it does not run."""

    running: bool
    exit_code: int
    out_of_memory: bool
    pid: int | None


class Pipe:
    """The standard input of a container, which sees its end when the holder of the pipe is gone."""

    def __init__(self, attached: Any) -> None:  # noqa: ANN401 -- what it is depends on the way to Docker
        self._attached = attached
        # The SDK hands out a file that can only be read; what is below it can be written to.
        self._socket = getattr(attached, "_sock", attached)

    def write(self, data: bytes) -> None:
        """Hand data over; raises DockerAwayError."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise DockerAwayError(f"Docker took no input of the container: {error.strerror or error}") from error

    def close(self) -> None:
        """End it."""
        for each in (self._attached, self._socket):
            with suppress(OSError):
                each.close()


class DockerHost:
    """A connection to a Docker daemon.

    Args:
        address: Of the daemon; None finds it as the docker command does.

    Raises:
        DockerAwayError: It does not answer.

    """

    def __init__(self, address: str | None) -> None:
        settings = _settings(address)
        self.address = str(settings.get("base_url") or DEFAULT_ADDRESS)
        with self._translated():
            self._client = docker.DockerClient(**settings, timeout=int(CALL_SECONDS))
        self._api = self._client.api

    def close(self) -> None:
        """Let the connections go."""
        with suppress(DockerException, requests.RequestException, OSError):
            self._client.close()

    def check(self, image: str, network: str) -> None:
        """Raise MissingToolError when there is no such image or network."""
        with self._translated():
            try:
                self._client.images.get(image)
            except ImageNotFound as error:
                msg = f"the image {image} is not on the Docker at {self.address}"
                hint = f"`docker pull {image}`, or build it (docs/deploy-container.md), or correct app.engine.container"
                raise MissingToolError(msg, hint=hint) from error
            try:
                self._client.networks.get(network)
            except NotFound as error:
                msg = f"the Docker at {self.address} has no network {network}"
                raise MissingToolError(
                    msg, hint=f"`docker network create {network}`, or correct app.engine.container.network"
                ) from error

    def create(self, wanted: ContainerSpec) -> str:
        """Make a container and return its id; nothing runs yet."""
        limits: dict[str, Any] = {}
        if wanted.memory is not None:
            # Without swap: an engine that swaps is slower than one that is started again.
            limits |= {"mem_limit": wanted.memory, "memswap_limit": wanted.memory}
        if wanted.cpus is not None:
            limits["nano_cpus"] = int(wanted.cpus * 1e9)
        ports: dict[int | str, Any] = {}
        if wanted.network != HOST_NETWORK:
            ports[wanted.port] = ("127.0.0.1", None)
        with self._translated():
            host = self._api.create_host_config(
                network_mode=wanted.network,
                port_bindings=ports,
                restart_policy={"Name": "no"},
                log_config=LogConfig(type=LogConfig.types.JSON, config=_LOG_OPTIONS),
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                **limits,
            )
            made = self._api.create_container(
                wanted.image,
                command=list(wanted.command),
                name=wanted.name,
                environment=dict(wanted.env),
                labels=dict(wanted.labels),
                user=wanted.user,
                working_dir=wanted.folder,
                ports=list(ports),
                stdin_open=True,
                stop_signal="SIGTERM",
                host_config=host,
            )
        return str(made["Id"])

    def fill(self, container: str, files: Mapping[str, bytes]) -> None:
        """Put files, by their absolute paths, into a container."""
        with self._translated():
            self._api.put_archive(container, "/", _archive(files))

    def start(self, container: str) -> Pipe:
        """Start a container; its standard input ends when the pipe is closed, or its holder is gone."""
        with self._translated():
            pipe = Pipe(self._api.attach_socket(container, {"stdin": 1, "stream": 1}))
            try:
                self._api.start(container)
            except BaseException:
                pipe.close()
                raise
        return pipe

    def state(self, container: str) -> ContainerState:
        """How a container is."""
        with self._translated():
            said = self._api.inspect_container(container)["State"]
        pid = int(said.get("Pid") or 0)
        return ContainerState(
            running=bool(said["Running"]),
            exit_code=int(said["ExitCode"]),
            out_of_memory=bool(said["OOMKilled"]),
            pid=pid or None,
        )

    def published(self, container: str, port: int, network: str, *, inside: bool) -> tuple[str, int] | None:
        """Where a port of a container can be reached; `inside` says that ddpm runs in a container itself."""
        with self._translated():
            said = self._api.inspect_container(container)["NetworkSettings"]
        if inside:
            address = said["Networks"].get(network, {}).get("IPAddress")
            return (str(address), port) if address else None
        bindings = (said.get("Ports") or {}).get(f"{port}/tcp") or ()
        return next(((str(each["HostIp"]), int(each["HostPort"])) for each in bindings), None)

    def signal(self, container: str, name: str) -> None:
        """Send a signal; one that has ended takes none, which is fine."""
        with self._translated():
            try:
                self._api.kill(container, name)
            except APIError as error:
                if error.status_code != _CONFLICT:
                    raise

    def remove(self, container: str) -> None:
        """Remove a container, by force if it runs; one that is gone is fine."""
        with suppress(ContainerGoneError), self._translated():
            try:
                self._api.remove_container(container, force=True, v=True)
            except APIError as error:
                # Somebody is removing it already.
                if error.status_code != _CONFLICT:
                    raise

    def lines(self, container: str, since: float | None) -> Iterator[str]:
        """What a container writes to its standard error, until it ends or Docker does; `since` is a wall-clock time."""
        # Not by the SDK's own function, which gives no way to close what it reads from.
        address = f"{self._api.base_url}/v{self._api.api_version}/containers/{container}/logs"
        wanted: dict[str, int | float] = {"stderr": 1, "follow": 1} | ({"since": since} if since else {})
        rest = b""
        with (
            self._translated(),
            self._api.get(address, params=wanted, stream=True, timeout=(CALL_SECONDS, None)) as response,
        ):
            if not response.ok:
                raise ContainerGoneError(f"Docker at {self.address} gave no log: {response.reason}")
            while header := response.raw.read(_FRAME.size):
                (length,) = _FRAME.unpack(header)
                *whole, rest = (rest + response.raw.read(length)).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in whole)
        if rest:
            yield rest.decode("utf-8", "replace")

    def labelled(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The names of all containers with these labels, by id, whether they run or not."""
        wanted = [f"{name}={value}" for name, value in labels.items()]
        with self._translated():
            found = self._api.containers(all=True, filters={"label": wanted})
        return {str(each["Id"]): str((each.get("Names") or [each["Id"]])[0]).lstrip("/") for each in found}

    @contextmanager
    def _translated(self) -> Iterator[None]:
        # The SDK reports a missing socket and a forbidden one in the same words.
        _check_socket(self.address)
        try:
            yield
        except NotFound as error:
            raise ContainerGoneError(f"Docker at {self.address}: {error.explanation}") from error
        except APIError as error:
            if (error.status_code or 0) >= _SERVER_ERRORS and "shut" in str(error.explanation):
                raise _away(self.address, str(error.explanation)) from error
            raise DockerRefusedError(f"Docker at {self.address} refused: {error.explanation}") from error
        except (DockerException, requests.RequestException, HTTPError, struct.error, OSError) as error:
            raise _away(self.address, None) from error


def _settings(address: str | None) -> dict[str, Any]:
    """What the docker command would use: an address that is given, DOCKER_HOST, or its context."""
    named = address or os.environ.get("DOCKER_HOST")
    if not named:
        return dict(ContextAPI.kwargs_from_context(environment=os.environ))
    return dict(kwargs_from_env(environment={**os.environ, "DOCKER_HOST": named}))


def _check_socket(address: str) -> None:
    """Raise DockerAwayError when the address is a socket that does not let this user in."""
    if not address.startswith(_UNIX):
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(CALL_SECONDS)
        try:
            probe.connect(address.removeprefix(_UNIX))
        except PermissionError as error:
            msg = f"this user may not talk to the Docker at {address}"
            raise DockerAwayError(msg, hint="add it to the group docker, or run ddpm as a user who may") from error
        except OSError as error:
            raise _away(address, error.strerror) from error


def _away(address: str, reason: str | None) -> DockerAwayError:
    msg = f"no Docker answers at {address}" + (f": {reason}" if reason else "")
    return DockerAwayError(
        msg, hint="start Docker, or correct app.engine.container.docker or DOCKER_HOST, or write launcher: process"
    )


def _archive(files: Mapping[str, bytes]) -> bytes:
    """A tar of files, readable for every user of the container; the folders on the way are made by Docker."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), 0o444
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def handover(variables: Mapping[str, str]) -> bytes:
    """What the engine reads first from its standard input: its secrets, which no inspection of a container shows."""
    return json.dumps(dict(variables)).encode() + b"\n"


def in_container() -> bool:
    """Whether ddpm runs in a container itself, where the host's loopback is out of reach."""
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()
