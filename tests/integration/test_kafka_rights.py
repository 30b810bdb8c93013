"""A user with exactly the rights that docs/deploy.md lists runs a pipeline; without one ddpm prints what grants it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from ddpm.broker.connection import admin
from ddpm.broker.dump import dump
from ddpm.broker.produce import Record
from ddpm.broker.topics import TopicSpec, ensure_topics
from ddpm.deadletters.resolution import topic_of
from ddpm.devstack import EmbeddedPostgres
from ddpm.engine.progress import Progress
from harness.folders import FreshDir
from harness.process import Ddpm, ddpm
from harness.secured_kafka import PASSWORD, USER, SecuredKafka, certificates
from harness.waiting import eventually
from harness.world import World, json_records

DOCS = Path(__file__).parents[2] / "docs" / "deploy.md"
OPERATIONS = {
    "Read": ACLOperation.READ,
    "Write": ACLOperation.WRITE,
    "DescribeConfigs": ACLOperation.DESCRIBE_CONFIGS,
}


@pytest.fixture(scope="module")
def secured(
    fresh_dir: FreshDir, tmp_path_factory: pytest.TempPathFactory, progress: Progress
) -> Iterator[SecuredKafka]:
    made = certificates(tmp_path_factory.mktemp("certificates"))
    with SecuredKafka(fresh_dir("rights"), made, progress=progress, authorizer=True) as server:
        yield server


@pytest.fixture
def world(secured: SecuredKafka, postgres: EmbeddedPostgres, engine_binary: Path) -> World:
    """Tests themselves use the listener whose clients may do everything."""
    return World(secured.bootstrap, postgres.dsn, engine_binary)


def documented(names: dict[str, str]) -> list[tuple[str, str, str]]:
    """Each right of the document: topic or group, its name, the operation."""
    block = re.search(r"<!-- acls:[^\n]*-->\n```sh\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    rights = []
    for line in block[1].splitlines():
        words = shlex.split(line)
        assert words[words.index("--allow-principal") + 1] == f"User:{USER}"
        kind, name = words[-2].removeprefix("--"), names[f"{words[-2]} {words[-1]}"]
        rights += [(kind, name, words[at + 1]) for at, word in enumerate(words) if word == "--operation"]
    return rights


def acl(kind: str, name: str, operation: str) -> ACL:
    resource = ResourcePattern(ResourceType[kind.upper()], name)
    return ACL(f"User:{USER}", "*", OPERATIONS[operation], ACLPermissionType.ALLOW, resource)


def grant(world: World, *rights: tuple[str, str, str]) -> None:
    with admin([world.bootstrap]) as client:
        client.create_acls([acl(*right) for right in rights])


def revoke(world: World, kind: str, name: str, operation: str) -> None:
    resource = ResourcePatternFilter(ResourceType[kind.upper()], name, ACLResourcePatternType.LITERAL)
    which = ACLFilter(f"User:{USER}", "*", OPERATIONS[operation], ACLPermissionType.ALLOW, resource)
    with admin([world.bootstrap]) as client:
        client.delete_acls([which])


def test_the_documented_rights_are_enough_and_each_is_needed(
    secured: SecuredKafka, world: World, tmp_path: Path
) -> None:
    clean = f"clean-{world.tag}"
    names = {
        "--topic orders": world.topic,
        "--topic failed-messages": world.dead_topic,
        "--topic failed-messages-handled": topic_of(world.dead_topic),
        "--topic orders-clean": clean,
        "--group orders": world.group,
    }
    rights = documented(names)
    ensure_topics([world.bootstrap], [TopicSpec(topic_of(world.dead_topic), 1, 1, {"cleanup.policy": "compact"})])
    grant(world, *rights)
    sasl = {"mechanism": "SCRAM-SHA-512", "username": USER, "password": PASSWORD}
    address = secured.at("sasl_plain")
    config = world.config(
        kafka={"brokers": [address], "sasl": sasl},
        postgres={"columns": {"n": "integer"}},
        sinks=["postgres", {"kafka": {"topic": clean}}],
        fan_out="together",
    )
    path = tmp_path / "app-config.yaml"
    path.write_text(yaml.safe_dump(world.config(**config["app"] | {"kafka": {"brokers": [world.bootstrap]}})))
    made = ddpm("provision", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    with Ddpm(config, tmp_path) as run:
        run.wait_healthy()
        world.produce([*json_records([{"n": n} for n in range(30)]), Record(value=b"poison", key=None)])
        world.wait_consumed()
        assert world.count() == 30
        assert len(list(dump([world.bootstrap], [clean]))) == 30
        replayed = ddpm("dlq", "replay", "--yes", cwd=tmp_path)
        assert "1 failed again" in replayed.stdout, replayed.stderr
        read = ddpm("offsets", "get", cwd=tmp_path)
        assert read.returncode == 0, read.stderr
        assert "AUTHORIZATION" not in run.log
    for kind, name, operation in rights:
        revoke(world, kind, name, operation)

        def refused(kind: str = kind, name: str = name, operation: str = operation) -> bool:
            """A broker knows of a right that is gone after a moment."""
            ran = ddpm("provision", cwd=tmp_path)
            lines = re.findall(
                rf"kafka-acls --bootstrap-server {address} [^\n]* --{kind} {name}$", ran.stderr, re.MULTILINE
            )
            return ran.returncode != 0 and any(f"--operation {operation} " in line for line in lines)

        eventually(refused, f"ddpm prints how {operation} on the {kind} {name} is granted", 30)
        grant(world, (kind, name, operation))
