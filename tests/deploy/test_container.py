"""Engines in containers of a real Docker daemon: what they do, how they end, and what nobody may see of them."""

import json
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import httpx2 as httpx
import pytest
from docker.models.containers import Container

from ddpm.broker.produce import Record
from ddpm.config.model import Container as ContainerSettings
from ddpm.engine.container import ContainerContext, ContainerEngine, ContainerLauncher, check
from ddpm.engine.launching import EngineSpec, LogLine
from ddpm.engine.probes import EngineClient
from ddpm.engine.progress import Progress
from ddpm.errors import MissingToolError
from harness.audit import audit
from harness.dockerd import Dockerd
from harness.folders import FreshDir
from harness.process import Ddpm, ddpm
from harness.secured_kafka import Certificates, SecuredKafka, certificates
from harness.traffic import COLUMNS, Traffic, expected
from harness.waiting import eventually
from harness.world import World, json_records

MEMORY = 1_500_000_000

Launched = Callable[..., ContainerEngine]


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
    with Ddpm(contained(world, dockerd, engine_image), tmp_path) as running:
        with Traffic(world, per_second=300) as traffic:
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
            with away(dockerd, dockerd.stop):
                eventually(lambda: "no Docker answers at" in pipeline(running)["reason"], "it says that Docker is away")
                assert running.health()[0] == 503
            running.wait_healthy()
            traffic.wait_for(300)
        world.wait_consumed()
        assert running.stop() == 0
        assert world.dsn not in running.log
        assert '"source": "engine"' in running.log, "the engine's own lines are in ddpm's log"
    assert client.containers.list(all=True) == []
    assert audit(world, expected, crashed=True).rows > 800


@pytest.fixture
def secured(fresh_dir: FreshDir, progress: Progress, tmp_path: Path) -> Iterator[tuple[SecuredKafka, Certificates]]:
    made = certificates(tmp_path)
    with SecuredKafka(fresh_dir("container-kafka"), made, progress=progress) as kafka:
        yield kafka, made


def test_certificates_come_into_the_container(
    secured: tuple[SecuredKafka, Certificates], world: World, dockerd: Dockerd, engine_image: str, tmp_path: Path
) -> None:
    kafka, made = secured
    world = World(kafka.bootstrap, world.dsn, world.engine)
    world.create_topic()
    config = contained(world, dockerd, engine_image)
    config["app"]["postgres"]["columns"] = {"n": "integer"}
    config["app"]["kafka"] |= {"brokers": [kafka.at("mtls")], "tls": made.client_tls()}
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        world.produce([*json_records([{"n": n} for n in range(30)]), Record(value=b"poison")])
        world.wait_consumed()
        assert running.stop() == 0
    assert (world.count(), len(world.dead())) == (30, 1)


@contextmanager
def away(dockerd: Dockerd, end: Callable[[], None]) -> Iterator[None]:
    """Other tests need it again, whatever becomes of this one."""
    end()
    try:
        yield
    finally:
        dockerd.start()


def shows_limits_and_no_secrets(container: Container, world: World) -> None:
    shown = json.dumps(container.attrs)
    password = world.dsn.partition("://")[2].partition("@")[0].partition(":")[2]
    assert password
    assert container.attrs["HostConfig"]["Memory"] == MEMORY
    assert container.attrs["HostConfig"]["NanoCpus"] == 1_500_000_000
    assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] == "no"
    files: Iterable[Any] = container.export()
    assert password not in shown
    assert password.encode() not in container.logs()
    assert password.encode() not in b"".join(files)


def test_an_engine_of_a_killed_ddpm_drains_and_its_container_is_removed_by_the_next(
    world: World, dockerd: Dockerd, engine_image: str, client: docker.DockerClient, tmp_path: Path
) -> None:
    world.create_topic()
    config = contained(world, dockerd, engine_image, drain="2s")
    with Ddpm(config, tmp_path) as running:
        with Traffic(world, per_second=300) as traffic:
            running.wait_healthy()
            first = only(client)
            traffic.wait_for(300)
            running.popen.kill()
            running.popen.wait()
        eventually(lambda: not engines(client), "the engine ends by its lifeline")
        first.reload()
        assert first.attrs["State"]["ExitCode"] == 0
    # One that hangs would consume until it is ended.
    stuck = client.containers.run(
        engine_image, ["blobl", "server"], labels=first.labels, detach=True, network_mode="host"
    )
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        assert "engines of an earlier run were left" in running.log
        assert not {container.id for container in client.containers.list(all=True)} & {first.id, stuck.id}
        world.wait_consumed()
        assert running.stop(signal.SIGINT) == 0
    audit(world, expected, crashed=True)


def test_a_missing_docker_is_said_before_anything_is_made(world: World, tmp_path: Path) -> None:
    container = {"image": "any", "docker": f"unix://{tmp_path}/docker.sock"}
    config = world.config(engine={"launcher": "container", "container": container})
    (tmp_path / "app-config.yaml").write_text(json.dumps(config))
    ended = ddpm("run", "--config", "app-config.yaml", cwd=tmp_path)
    assert ended.returncode == 3
    assert f"no Docker answers at unix://{tmp_path}/docker.sock: No such file or directory" in ended.stderr
    assert "hint: start Docker" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"image": "nobody/knows:it"}, "the image nobody/knows:it is not on the Docker at unix:"),
        ({"network": "elsewhere"}, "has no network elsewhere"),
    ],
)
def test_an_image_or_network_that_is_missing_is_named(
    dockerd: Dockerd, engine_image: str, settings: dict[str, str], said: str
) -> None:
    with pytest.raises(MissingToolError, match=said) as caught:
        check(ContainerSettings.model_validate({"image": engine_image, "docker": dockerd.url} | settings))
    assert caught.value.hint


GREEDY = """
http: {address: "127.0.0.1:${DDPM_ENGINE_PORT}"}
logger: {format: json, file: {path: /dev/stderr}}
input: {generate: {interval: 1ms, mapping: 'root = "x".repeat(1000000)'}}
buffer: {memory: {limit: 2000000000}}
pipeline: {processors: [{sleep: {duration: 1h}}]}
output: {drop: {}}
shutdown_timeout: 1s
"""


MODEST = """
http: {address: "127.0.0.1:${DDPM_ENGINE_PORT}"}
logger: {format: json, file: {path: /dev/stderr}}
input: {generate: {interval: 1s, mapping: 'root = [env("SHOP"), env("SECRET"), file("NOTE").string()].join(", ")'}}
pipeline: {processors: [{log: {message: "${! content() }"}}]}
output: {drop: {}}
"""


@pytest.fixture
def launched(dockerd: Dockerd, engine_image: str, tmp_path: Path) -> Iterator[Launched]:
    launchers: list[ContainerLauncher] = []

    def launch(text: str, lines: list[LogLine], **settings: Any) -> ContainerEngine:
        context = ContainerContext(
            ContainerSettings.model_validate({"image": engine_image, "docker": dockerd.url} | settings),
            owner="somebody",
            pipeline="greedy",
            env={"SHOP": "berlin"},
            files=[tmp_path / "note.txt"],
        )
        (tmp_path / "note.txt").write_text("a note")
        (tmp_path / "engine.yaml").write_text(text.replace("NOTE", str(tmp_path / "note.txt")))
        launchers.append(ContainerLauncher(context))
        spec = EngineSpec(Path("unused"), tmp_path / "engine.yaml", {"SECRET": "hunter2"}, 1.0, 30_000_000)
        return launchers[-1].launch(spec, 0, lines.append)

    yield launch
    for launcher in launchers:
        launcher.close()


def test_an_engine_in_a_network_of_its_own_is_reached_and_has_what_it_needs(
    client: docker.DockerClient, launched: Launched
) -> None:
    network = client.networks.create("ddpm-test")
    try:
        lines: list[LogLine] = []
        engine = launched(MODEST, lines, network="ddpm-test", user="65532:65532")
        url = eventually(lambda: engine.url, "its address is known")
        probe = EngineClient(url)
        assert eventually(probe.ready, "it is ready")
        probe.close()
        assert "hunter2" not in json.dumps(client.containers.get(engine.container or "").attrs)
        eventually(lambda: "berlin, hunter2, a note" in [line.message for line in lines], "it knows all it was handed")
        engine.terminate()
        assert eventually(lambda: engine.exit_code() is not None, "it drains") is True
        assert (engine.exit_code(), engine.ending()) == (0, None)
    finally:
        network.remove()


def test_a_docker_that_is_killed_is_told_while_the_engine_runs_on(dockerd: Dockerd, launched: Launched) -> None:
    engine = launched(MODEST, [])
    probe = EngineClient(eventually(lambda: engine.url, "its address is known"))
    eventually(probe.ready, "it is ready")
    with away(dockerd, dockerd.kill):
        said = eventually(engine.trouble, "it is told that Docker is away")
        assert said.startswith(f"no Docker answers at {dockerd.url}")
        assert (probe.ready(), engine.exit_code()) == (True, None)
        probe.close()
    eventually(lambda: engine.exit_code() is not None, "Docker ends what ran without it")
    assert engine.ending() == "Docker was away, and the engine ended with it"


def test_an_engine_that_needs_too_much_memory_says_so(launched: Launched) -> None:
    engine = launched(GREEDY, [], memory="64MiB")
    eventually(lambda: engine.exit_code() is not None, "it is killed")
    assert engine.exit_code() == -9
    assert (
        engine.ending() == "the engine needed more memory than its container may have, 67108864 bytes, and was killed"
    )


def test_an_engine_that_cannot_begin_leaves_its_last_words(launched: Launched) -> None:
    engine = launched("input: {nothing_of_this_name: {}}", [])
    eventually(lambda: engine.exit_code() is not None, "it ends")
    assert engine.exit_code() == 1
    assert "nothing_of_this_name" in " ".join(engine.last_lines())
