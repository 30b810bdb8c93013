"""A cluster of three: one broker dies and comes back at another address, and topics get copies."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from ddpm.broker.connection import admin
from ddpm.broker.produce import Record, produce
from ddpm.broker.topics import TopicSpec, describe, ensure_topics
from ddpm.devstack import EmbeddedPostgres
from ddpm.devstack.ports import HOST, free_ports
from harness.cluster import Cluster
from harness.process import Ddpm, ddpm
from harness.waiting import eventually
from harness.world import World

# kafka-python does not close the socket of a connection that is refused; the garbage collector does.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PARTITIONS = range(6)


class Fleet:
    """Two pipelines: the topic of one has a single copy of each partition, that of the other has three."""

    def __init__(self, world: World, brokers: list[str]) -> None:
        self.world, self.brokers = world, brokers
        self.made = dict.fromkeys(("single", "copied"), 0)

    def topic(self, name: str) -> str:
        return f"{name}-{self.world.tag}"

    def config(self) -> dict[str, Any]:
        app = self.world.config(kafka={"brokers": self.brokers})["app"]
        app["postgres"] = {**app["postgres"], "columns": {"n": "bigint"}}
        del app["kafka"]["replication_factor"]
        return {"app": app, "pipelines": {name: self._pipeline(name) for name in self.made}}

    def _pipeline(self, name: str) -> dict[str, Any]:
        copies = 1 if name == "single" else 3
        ensure_topics(self.world.brokers, [TopicSpec(self.topic(name), len(PARTITIONS), copies)])
        return {
            "kafka": {"topics": [self.topic(name)], "consumer_group": self.topic(name)},
            "postgres": {"table": f"{name}_{self.world.tag}"},
        }

    def produce(self, name: str, *partitions: int) -> None:
        """A record for each of these partitions, with the next number."""
        numbers = range(self.made[name], self.made[name] + len(partitions))
        self.made[name] = numbers.stop
        values = zip(numbers, partitions, strict=True)
        records = [Record(value=f'{{"n": {n}}}'.encode(), key=None, partition=partition) for n, partition in values]
        assert produce(self.world.brokers, self.topic(name), records) == len(partitions)

    def wait(self) -> None:
        """Wait until all that was produced is in the tables, once."""

        def rows() -> dict[str, list[int]]:
            tables = {name: self.world.rows("n", f"{name}_{self.world.tag}") for name in self.made}
            return {name: sorted(row["n"] for row in found) for name, found in tables.items()}

        wanted = {name: list(range(count)) for name, count in self.made.items()}
        eventually(lambda: rows() == wanted, "every record is a row", 60)


def detail(running: Ddpm, name: str) -> dict[str, Any]:
    body: dict[str, Any] = httpx.get(f"{running.url}/v1/pipelines/{name}", timeout=10, trust_env=False).json()
    return body


@pytest.fixture(autouse=True)
def _sockets_are_collected() -> Iterator[None]:
    """Here, where they are no reason to fail."""
    yield
    gc.collect()


def test_a_dead_leader_harms_its_partitions_alone_and_is_found_again_at_another_address(
    cluster: Cluster, postgres: EmbeddedPostgres, engine_binary: Path, tmp_path: Path
) -> None:
    world = World(cluster.bootstrap, postgres.dsn, engine_binary)
    victim, other = cluster.brokers[:2]
    # One address out of three is that of a broker, and not of the one that dies.
    silent = [f"{HOST}:{port}" for port in free_ports(2)]
    fleet = Fleet(world, [silent[0], other.bootstrap, silent[1]])
    with Ddpm(fleet.config(), tmp_path) as running:
        running.wait_healthy()
        for name in fleet.made:
            fleet.produce(name, *PARTITIONS)
        fleet.wait()
        engine = running.engine_pid
        lost = {number for number, leader in cluster.leaders(fleet.topic("single")).items() if leader == victim.number}
        left = set(PARTITIONS) - lost
        victim.kill()
        try:
            unseen = [(fleet.topic("single"), number) for number in sorted(lost)]

            def told() -> bool:
                reasons = [each["reason"] for each in detail(running, "single")["unseen"]]
                wanted = [f"partition {number} of topic {topic} has no leader" for topic, number in unseen]
                copied = detail(running, "copied")
                return reasons == wanted and (copied["state"], copied["unseen"]) == ("running", [])

            eventually(told, "it says which partitions have no leader, and of the others all is known", 30)
            fleet.world = world = World(
                ",".join(each.bootstrap for each in cluster.brokers[1:]), world.dsn, engine_binary, tag=world.tag
            )
            fleet.produce("single", *left)
            fleet.produce("copied", *PARTITIONS)
            fleet.wait()
            single = eventually(lambda: _caught_up(running, "single"), "the lag of the others is known")
            assert {each["partition"] for each in single["partitions"]} == left
            code, body = running.health()
            assert (code, {each["name"]: each["ok"] for each in body["pipelines"]}) == (
                503,
                {"single": False, "copied": True},
            )
            assert body["culprits"] == [f"single is degraded: kafka: {_named(unseen)}"]
            shown = ddpm("status", "single", "--url", running.url, cwd=tmp_path).stdout
            assert all(f"partition {number} of topic {topic} has no leader" in shown for topic, number in unseen)
        finally:
            victim.move()
            victim.start()
        eventually(lambda: running.health()[0] == httpx.codes.OK, "all is well again", 30)
        fleet.produce("single", *PARTITIONS)
        fleet.produce("copied", *PARTITIONS)
        fleet.wait()
        assert detail(running, "single")["unseen"] == []
        assert running.engine_pid == engine, "no engine was started again"
        assert running.stop() == 0


def _caught_up(running: Ddpm, name: str) -> dict[str, Any] | None:
    body = detail(running, name)
    return body if body["lag"] and body["lag"]["records"] == 0 else None


def _named(unseen: list[tuple[str, int]]) -> str:
    return "; ".join(f"partition {number} of topic {topic} has no leader" for topic, number in unseen)


def test_topics_that_are_made_have_three_copies(
    cluster: Cluster, postgres: EmbeddedPostgres, engine_binary: Path, tmp_path: Path
) -> None:
    world = World(cluster.bootstrap, postgres.dsn, engine_binary)
    config = world.config()
    del config["app"]["kafka"]["replication_factor"]
    running = Ddpm(config, tmp_path)
    ran = ddpm("provision", "--config", str(running.config_path), cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    topics = [world.topic, world.dead_topic]
    with admin(cluster.addresses) as client:
        found = describe(client, topics)
    copies = {len(each["replica_nodes"]) for topic in topics for each in found[topic]["partitions"]}
    assert copies == {3}
