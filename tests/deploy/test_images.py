"""The images, built from the project's Dockerfile by a real Docker and run: what they are and what they do."""

import io
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

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
LICENCES = (images.CHECKOUT / "LICENSE", images.CHECKOUT / "docs" / "licences-engine.txt")
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

    def __init__(
        self,
        client: docker.DockerClient,
        image: str,
        config: Path,
        port: int,
        *,
        volumes: dict[str, dict[str, str]] | None = None,
        **settings: Any,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.container: Container = client.containers.run(
            image,
            detach=True,
            network_mode="host",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            tmpfs={"/var/lib/ddpm": "uid=10001,gid=10001,mode=0700", "/tmp": ""},  # noqa: S108 -- in the container
            volumes={str(config): {"bind": CONFIG, "mode": "ro"}} | (volumes or {}),
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


def files_of(client: docker.DockerClient, image: str, path: str) -> dict[str, str]:
    """The SHA-256 of each file below a path of an image."""
    container = client.containers.create(image, ["nothing"], network_mode="none")
    try:
        content = io.BytesIO(b"".join(container.get_archive(path)[0]))
    finally:
        container.remove()
    with tarfile.open(fileobj=content) as archive:
        found = {member.name: archive.extractfile(member) for member in archive.getmembers() if member.isfile()}
        return {name: sha256(file.read()).hexdigest() for name, file in found.items() if file is not None}


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
    probe = client.images.get(image).attrs["Config"]["Healthcheck"]["Test"]
    health = {"test": probe, "interval": 10**9, "timeout": 4 * 10**9}
    place = {"DDPM_HEALTH_URL": f"http://127.0.0.1:{port}/livez"}
    with Run(client, image, path, port, healthcheck=health, environment=place) as run:
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


def test_ddpm_in_a_container_runs_its_engine_in_another(
    client: docker.DockerClient, dockerd: Dockerd, image: str, world: World, tmp_path: Path
) -> None:
    world.create_topic()
    port = free_port()
    engine = {"launcher": "container", "drain": "5s", "container": {"image": images.ENGINE}}
    config = world.config(server={"port": port}, engine=engine)
    del config["app"]["engine"]["binary"]
    path = tmp_path / "app-config.yaml"
    path.write_text(yaml.safe_dump(config))
    socket = urlsplit(dockerd.url).path
    group = str(Path(socket).stat().st_gid)
    door = {socket: {"bind": "/var/run/docker.sock", "mode": "rw"}}
    with Run(client, image, path, port, volumes=door, group_add=[group]) as run:
        eventually(run.ready, "it is ready", 60)
        (beside,) = client.containers.list(filters={"label": "ddpm.owner"})
        world.produce(json_records([{"n": number} for number in range(100)]))
        eventually(lambda: world.count() == 100, "all records are in the table", 60)
        beside.kill()
        world.produce(json_records([{"n": number} for number in range(100)]))
        eventually(lambda: world.count() == 200, "an engine takes its place", 60)
        run.container.stop(timeout=30)
        assert run.container.wait()["StatusCode"] == 0, run.container.logs().decode()
        assert not client.containers.list(all=True, filters={"label": "ddpm.owner"})
    assert world.lag() == 0


def test_the_engine_alone_is_the_one_that_ddpm_builds_itself(
    client: docker.DockerClient, engine_image: str, engine_binary: Path
) -> None:
    said = client.containers.run(engine_image, ["--version"], remove=True, network_mode="none").decode()
    assert "Version:" in said
    assert files_of(client, engine_image, "/engine") == {"engine": sha256(engine_binary.read_bytes()).hexdigest()}


def test_images_say_their_version_and_carry_the_licences_of_what_is_in_them(
    client: docker.DockerClient, image: str, engine_image: str
) -> None:
    for each in (image, engine_image):
        labels = client.images.get(each).labels
        assert labels["org.opencontainers.image.version"] == ddpm.__version__
    of_engine = {f"licences/{name.name}": sha256(name.read_bytes()).hexdigest() for name in LICENCES}
    assert files_of(client, engine_image, "/licences") == of_engine
    code = "import importlib.metadata as m; print(*[f.name for f in m.files('ddpm') if 'licenses' in f.parts])"
    listed = client.containers.run(image, ["-c", code], entrypoint="python3", remove=True, network_mode="none")
    assert set(listed.decode().split()) == {"LICENSE", "licences.md", "licences-engine.txt"}


def test_a_configuration_for_the_compose_file_runs_unchanged_with_its_settings(
    client: docker.DockerClient, image: str, world: World, tmp_path: Path
) -> None:
    # Names as in the Compose file; the ports are those of the servers here.
    names = {"redpanda": "127.0.0.1", "postgres": "127.0.0.1"}
    service = yaml.safe_load((images.DOCKERFILE.parent / "docker-compose.yml").read_text())["services"]["ddpm"]
    world.create_topic()
    port = free_port()
    dsn = urlsplit(world.dsn)
    config = world.config(server={"port": port})
    del config["app"]["engine"]
    config["app"]["kafka"]["brokers"] = [world.bootstrap.replace("127.0.0.1", "redpanda")]
    config["app"]["postgres"]["url"] = urlunsplit(
        dsn._replace(netloc=f"{dsn.username}:${{PGPASSWORD}}@postgres:{dsn.port}")
    )
    path = tmp_path / "app-config.yaml"
    path.write_text(yaml.safe_dump(config))
    secrets = {"PGPASSWORD": unquote(dsn.password or ""), "DDPM_TOKEN": TOKEN}
    env = {name: secrets.get(name, value) for name, value in service["environment"].items()}
    with Run(client, image, path, port, environment=env, extra_hosts=names) as run:
        eventually(run.ready, "it is ready", 60)
        world.produce(json_records([{"n": number} for number in range(100)]))
        eventually(lambda: world.count() == 100, "all records are in the table", 60)
        run.container.stop(timeout=30)
        assert run.container.wait()["StatusCode"] == 0, run.container.logs().decode()
        assert secrets["PGPASSWORD"] not in run.container.logs().decode()
