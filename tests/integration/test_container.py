"""Engines in containers of a real Docker daemon: what they do, how they end, and what nobody may see of them."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import httpx2 as httpx
import pytest
from docker.models.containers import Container

from harness.audit import audit
from harness.dockerd import Dockerd
from harness.process import Ddpm, ddpm
from harness.traffic import COLUMNS, Traffic, expected
from harness.waiting import eventually
from harness.world import World

MEMORY = 1_500_000_000


@pytest.fixture
def client(dockerd: Dockerd) -> Iterator[docker.DockerClient]:
    client = dockerd.client()
    yield client
    client.close()


def contained(world: World, dockerd: Dockerd, image: str, **engine: Any) -> dict[str, Any]:
    container = {"image": image, "docker": dockerd.url, "memory": MEMORY, "cpus": 1.5}
    settings = {"binary": str(world.engine), "launcher": "container", "container": container, "drain": "5s"}
    return world.config(postgres={"columns": COLUMNS}, engine=settings | engine)


def engines(client: docker.DockerClient) -> list[Container]:
    """Containers of engines that run."""
    found: list[Container] = client.containers.list(filters={"label": "ddpm.owner"}, ignore_removed=True)
    return found


def only(client: docker.DockerClient) -> Container:
    (container,) = eventually(lambda: engines(client), "an engine runs in a container")
    return container


def replica(running: Ddpm) -> dict[str, Any]:
    found: dict[str, Any] = pipeline(running)["replicas"][0]
    return found


def pipeline(running: Ddpm) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{running.url}/v1/pipelines/pipeline", timeout=10, trust_env=False).json()
    return found


def test_nothing_is_lost_or_doubled_when_the_container_or_docker_ends(
    world: World, dockerd: Dockerd, engine_image: str, client: docker.DockerClient, tmp_path: Path
) -> None:
    world.create_topic()
    with Traffic(world, per_second=300) as traffic, Ddpm(contained(world, dockerd, engine_image), tmp_path) as running:
        running.wait_healthy()
        first = only(client)
        seen = replica(running)
        assert (seen["container"], seen["pid"]) == (first.name, first.attrs["State"]["Pid"])
        shows_limits_and_no_secrets(first, world)

        traffic.wait_for(300)
        first.kill("SIGKILL")
        eventually(lambda: pipeline(running)["restarts"] == 1, "the engine is started again")
        assert pipeline(running)["last_exit"]["signal"] == "SIGKILL"
        running.wait_healthy()
        assert only(client).name != first.name

        traffic.wait_for(300)
        dockerd.stop()
        eventually(lambda: "no Docker answers at" in pipeline(running)["reason"], "it says that Docker is away")
        assert pipeline(running)["state"] == "recovering"
        dockerd.start()
        running.wait_healthy()
        traffic.wait_for(300)
        assert world.dsn not in running.log
        traffic.__exit__()
        world.wait_consumed()
        assert running.stop() == 0
        assert '"engine"' in running.log or "Launching" in running.log, "the engine's own lines are in ddpm's log"
    assert client.containers.list(all=True) == []
    books = audit(world, expected, crashed=True)
    assert books.rows > 900


def shows_limits_and_no_secrets(container: Container, world: World) -> None:
    shown = json.dumps(container.attrs)
    password = world.dsn.partition("://")[2].partition("@")[0].partition(":")[2]
    assert password
    assert container.attrs["HostConfig"]["Memory"] == MEMORY
    assert container.attrs["HostConfig"]["NanoCpus"] == 1_500_000_000
    assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] == "no"
    for place in (shown, container.logs().decode(), b"".join(container.export()).decode("latin-1")):
        assert password not in place


def test_an_engine_of_a_killed_ddpm_drains_and_its_container_is_removed_by_the_next(
    world: World, dockerd: Dockerd, engine_image: str, client: docker.DockerClient, tmp_path: Path
) -> None:
    world.create_topic()
    config = contained(world, dockerd, engine_image)
    with Traffic(world, per_second=300) as traffic:
        with Ddpm(config, tmp_path) as running:
            running.wait_healthy()
            first = only(client)
            traffic.wait_for(300)
            running.popen.kill()
            running.popen.wait()
            eventually(lambda: not engines(client), "the engine ends by its leash")
            first.reload()
            assert first.attrs["State"]["ExitCode"] == 0
            # One that hangs, say: it would consume until it is ended.
            labels = first.labels
            stuck = client.containers.run(
                engine_image, ["blobl", "server"], labels=labels, detach=True, network_mode="host"
            )
        with Ddpm(config, tmp_path) as running:
            running.wait_healthy()
            assert "engines of an earlier run were left" in running.log
            left = {container.id for container in client.containers.list(all=True)}
            assert not left & {first.id, stuck.id}
            traffic.wait_for(100)
            traffic.__exit__()
            world.wait_consumed()
            assert running.stop(signal.SIGINT) == 0
    audit(world, expected, crashed=True)


@pytest.mark.parametrize(
    ("container", "said"),
    [
        ({"docker": "unix:///nowhere/docker.sock"}, "no Docker answers at unix:///nowhere/docker.sock"),
        ({"docker": "tcp://127.0.0.1:9"}, "no Docker answers at tcp://127.0.0.1:9"),
        ({"image": "nobody/knows:it"}, "the image nobody/knows:it is not on the Docker at unix:"),
        ({"network": "elsewhere"}, "has no network elsewhere"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_made(
    world: World, dockerd: Dockerd, engine_image: str, tmp_path: Path, container: dict[str, str], said: str
) -> None:
    config = contained(world, dockerd, engine_image)
    config["app"]["engine"]["container"] |= container
    (tmp_path / "app-config.yaml").write_text(json.dumps(config))
    ended = ddpm("run", "--config", "app-config.yaml", cwd=tmp_path)
    assert (ended.returncode, "Traceback" in ended.stderr) == (3, False)
    assert said in ended.stderr
    assert "hint:" in ended.stderr
