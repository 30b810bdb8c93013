"""The images, built from the project's Dockerfile by a real Docker and run: what they are and what they do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import httpx2 as httpx
import pytest
import yaml
from docker.models.containers import Container

import ddpm
from ddpm.engine.process import free_port
from harness import images
from harness.dockerd import Dockerd
from harness.waiting import eventually
from harness.world import World, json_records

LARGEST = 250_000_000
TOKEN = "a-token-of-a-test"
CONFIG = "/etc/ddpm/app-config.yaml"


@pytest.fixture(scope="module")
def image(dockerd: Dockerd, engine_image: str) -> str:
    return images.build(dockerd, "ddpm:test", PYTHON_BASE=images.base(dockerd), ENGINE_IMAGE=engine_image)


@pytest.fixture
def client(dockerd: Dockerd) -> Iterator[docker.DockerClient]:
    client = dockerd.client()
    yield client
    client.close()


class Run:
    """A container of ddpm, as safe as its image allows: read only, no rights, and nothing to write but its state."""

    def __init__(self, client: docker.DockerClient, image: str, config: Path, port: int, **settings: Any) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.container: Container = client.containers.run(
            image,
            detach=True,
            network_mode="host",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            tmpfs={"/var/lib/ddpm": "uid=65532,gid=65532,mode=0700", "/tmp": ""},  # noqa: S108 -- in the container
            volumes={str(config): {"bind": CONFIG, "mode": "ro"}},
            **settings,
        )

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        self.container.remove(force=True)

    def ready(self) -> bool:
        self.container.reload()
        assert self.container.status in ("created", "running"), self.container.logs().decode()
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def health(self) -> str:
        self.container.reload()
        return str(self.container.attrs["State"]["Health"]["Status"])


def test_the_image_is_small_and_nobody_special_runs_in_it(client: docker.DockerClient, image: str) -> None:
    found = client.images.get(image)
    assert found.attrs["Size"] < LARGEST
    assert found.attrs["Config"]["User"].split(":")[0] not in ("", "0", "root")
    said = client.containers.run(image, ["version"], remove=True, network_mode="none").decode()
    assert said.strip() == ddpm.__version__


def test_records_arrive_health_is_told_and_a_stop_drains(
    client: docker.DockerClient, image: str, world: World, tmp_path: Path
) -> None:
    world.create_topic()
    port = free_port()
    config = world.config(server={"port": port})
    del config["app"]["engine"]  # the image has one
    path = tmp_path / "app-config.yaml"
    path.write_text(yaml.safe_dump(config))
    # The image's own probe, at the port of this test.
    (*probe, code) = client.images.get(image).attrs["Config"]["Healthcheck"]["Test"]
    health = {"test": [*probe, code.replace(":4195/", f":{port}/")], "interval": 10**9, "timeout": 4 * 10**9}
    with Run(client, image, path, port, healthcheck=health) as run:
        eventually(run.ready, "it is ready", 60)
        world.produce(json_records([{"n": number} for number in range(1_000)]))
        eventually(lambda: world.count() == 1_000, "all records are in the table", 60)
        eventually(lambda: run.health() == "healthy", "Docker calls it healthy", 60)
        run.container.stop(timeout=30)
        assert run.container.wait()["StatusCode"] == 0, run.container.logs().decode()
        assert "drain" in run.container.logs().decode()
    assert world.lag() == 0


def test_beyond_loopback_it_wants_a_token_and_takes_it_from_the_environment(
    client: docker.DockerClient, image: str, world: World, tmp_path: Path
) -> None:
    world.create_topic()
    port = free_port()
    config = world.config(server={"port": port})
    del config["app"]["engine"]
    path = tmp_path / "app-config.yaml"
    path.write_text(yaml.safe_dump(config))
    with Run(client, image, path, port, environment={"DDPM_HOST": "0.0.0.0"}) as refused:  # noqa: S104 -- what is refused
        assert refused.container.wait(timeout=60)["StatusCode"] == 2
        assert "server.token" in refused.container.logs().decode()
    env = {"DDPM_HOST": "0.0.0.0", "DDPM_TOKEN": TOKEN, "DDPM_ALLOWED_HOSTS": "ddpm"}  # noqa: S104
    with Run(client, image, path, port, environment=env) as run:
        eventually(run.ready, "it is ready", 60)
        url = f"{run.url}/v1/pipelines"
        assert httpx.get(url, trust_env=False).status_code == httpx.codes.UNAUTHORIZED
        named = {"Authorization": f"Bearer {TOKEN}", "Host": "ddpm"}
        assert httpx.get(url, headers=named, trust_env=False).status_code == httpx.codes.OK
        run.container.stop(timeout=30)


def test_the_engine_alone_says_what_it_is(client: docker.DockerClient, engine_image: str) -> None:
    said = client.containers.run(engine_image, ["--version"], remove=True, network_mode="none").decode()
    assert "Version:" in said
