"""What is said when no Docker answers; the rest is tried on a real one."""

import gc
import socket
from pathlib import Path

import pytest

from ddpm.engine import docker_host
from ddpm.engine.docker_host import DockerAwayError, DockerHost


def test_a_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DockerAwayError, match=r"no Docker answers at unix:.*docker\.sock: No such file") as caught:
        DockerHost(f"unix://{tmp_path}/docker.sock")
    assert "launcher: process" in (caught.value.hint or "")
    assert caught.value.exit_code == 3


def test_the_address_of_the_docker_command_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/other.sock")
    with pytest.raises(DockerAwayError, match=r"other\.sock"):
        DockerHost(None)


def test_a_socket_that_hangs_up_is_no_docker(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "docker.sock"))
        with pytest.raises(DockerAwayError, match="Connection refused"):
            DockerHost(f"unix://{tmp_path}/docker.sock")


def test_a_docker_that_goes_before_it_is_asked_keeps_no_socket_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It answered the first look; an open socket would fail this test as a warning.
    monkeypatch.setattr(docker_host, "_check_socket", lambda _: None)
    with pytest.raises(DockerAwayError):
        DockerHost(f"unix://{tmp_path}/docker.sock")
    gc.collect()
