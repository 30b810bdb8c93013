"""A Docker daemon of the tests' own: its data, socket, containers and networks are nobody else's.

It runs as root, since it makes namespaces and mounts. It has no default bridge and leaves the firewall alone: a
container has the host's network, or one that the test makes, which the host reaches by the container's address.
"""

import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import docker
import pytest
from docker.errors import DockerException

from harness.tools import CONTAINERD, DOCKERD, RUNC, require
from harness.waiting import eventually

START_TIMEOUT = 60.0
STOP_TIMEOUT = 60.0
# vfs copies whole layers, but works on file systems that overlay2 does not.
STORAGE_DRIVERS = ("overlay2", "vfs")


class Dockerd:
    """One `dockerd`; a context manager that ends it with everything that it started."""

    def __init__(self, folder: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can run a Docker daemon")
        programs = [require(tool) for tool in (DOCKERD, CONTAINERD, RUNC)]
        self._path = os.pathsep.join(dict.fromkeys(str(program.parent) for program in programs))
        self._folder = folder
        self._popen: subprocess.Popen[bytes] | None = None
        self._driver: str | None = None

    @property
    def url(self) -> str:
        """What DOCKER_HOST is set to."""
        return f"unix://{self._folder}/docker.sock"

    @property
    def log(self) -> str:
        """Everything that it has written."""
        return (self._folder / "dockerd.log").read_text(errors="replace")

    def client(self) -> docker.DockerClient:
        """A client for it; the caller closes it."""
        return docker.DockerClient(base_url=self.url, timeout=30)

    def start(self) -> Self:
        """Start it and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for driver in (self._driver,) if self._driver else STORAGE_DRIVERS:
            self._launch(driver)
            if eventually(lambda: self._answers() or self._ended(), "dockerd answers", START_TIMEOUT) == "answers":
                self._driver = driver
                return self
        msg = f"dockerd ended by itself:\n{self.log[-4000:]}"
        raise AssertionError(msg)

    def stop(self) -> None:
        """End it; containers that run get SIGTERM, and SIGKILL ten seconds later."""
        if self._popen is not None:
            self._popen.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(STOP_TIMEOUT)
        self._end_forcibly()

    def kill(self) -> None:
        """Kill it and its containerd; containers go on without them."""
        assert self._popen is not None
        self._popen.kill()
        self._popen.wait(STOP_TIMEOUT)
        for pid in self._own("containerd"):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self._own("containerd"), "containerd ends", STOP_TIMEOUT)
        # Where nobody reaps it, the next dockerd would take it for alive.
        (self._folder / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)

    def restart(self) -> Self:
        """Stop and start it, as an upgrade of Docker does."""
        self.stop()
        return self.start()

    def build(self, tag: str, dockerfile: str, *files: Path) -> str:
        """Build an image from the text of a Dockerfile and executable files, which it finds by their names."""
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as archive:
            _add(archive, "Dockerfile", dockerfile.encode())
            for file in files:
                archive.add(file, file.name)
        context.seek(0)
        client = self.client()
        try:
            image, _ = client.images.build(fileobj=context, custom_context=True, tag=tag, rm=True, network_mode="host")
        finally:
            client.close()
        return str(image.id)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._answers():
            with suppress(DockerException, OSError):
                self._clear()
        self.stop()

    def _launch(self, driver: str) -> None:
        # An empty configuration, or it would read the one of the machine's own daemon.
        (self._folder / "daemon.json").write_text("{}\n")
        # Whoever killed the last one left it.
        (self._folder / "docker.pid").unlink(missing_ok=True)
        command = ["dockerd", "--config-file", "daemon.json", "--data-root", "data", "--exec-root", "exec"]
        command += ["--pidfile", "docker.pid", "--host", self.url, "--storage-driver", driver]
        command += ["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
        command = [self._absolute(word) for word in command]
        with (self._folder / "dockerd.log").open("ab") as log:
            self._popen = subprocess.Popen(
                command,
                env=os.environ | {"PATH": f"{self._path}{os.pathsep}{os.environ['PATH']}"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _absolute(self, word: str) -> str:
        return str(self._folder / word) if word in ("data", "exec", "daemon.json", "docker.pid") else word

    def _answers(self) -> str | None:
        # Not by the SDK: it leaves its socket open where nobody listens.
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._folder / "docker.sock"))
                probe.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return "answers" if b"200 OK" in probe.recv(100) else None
            except OSError:
                return None

    def _ended(self) -> str | None:
        return "ended" if self._popen is not None and self._popen.poll() is not None else None

    def _clear(self) -> None:
        client = self.client()
        try:
            for container in client.containers.list(all=True, ignore_removed=True):
                container.remove(force=True)
            # A network's bridge would outlive the daemon.
            client.networks.prune()
        finally:
            client.close()

    def _end_forcibly(self) -> None:
        """End what an orderly stop leaves: containerd, the shims of containers, mounts. Nothing, as a rule."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait()
        for pid in self._own():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(AssertionError):
            eventually(lambda: not self._own(), "what belongs to dockerd ends", STOP_TIMEOUT)
        for mount in reversed(_mounts_below(self._folder)):
            subprocess.run(["umount", "--lazy", mount], check=False, stderr=sys.stderr)

    def _own(self, name: str = "") -> list[int]:
        """Processes that name its folder for what they run: containerd and its shims, or those of one name."""
        inside = f"{self._folder}/exec/"
        found = [(pid, words) for pid, words in _processes() if any(word.startswith(inside) for word in words)]
        return [pid for pid, words in found if not name or Path(words[0]).name == name]


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mtime = int(time.time())
    archive.addfile(entry, io.BytesIO(content))


def _processes() -> list[tuple[int, list[str]]]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                found.append((int(folder.name), words))
    return found


def _mounts_below(folder: Path) -> list[str]:
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [point for point in points if point.startswith(f"{folder}/")]
