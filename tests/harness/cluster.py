"""Three brokers that are one cluster: what one of them leads, its end, and its return under another address."""

import base64
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ddpm.broker.connection import admin
from ddpm.broker.topics import describe
from ddpm.devstack import EmbeddedKafka
from ddpm.devstack.ports import HOST, free_ports
from ddpm.engine.progress import Progress
from ddpm.errors import DdpmError
from harness.waiting import eventually

COUNT = 3
_COPIED = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")


class Broker(EmbeddedKafka):
    """One of them: broker and controller. Its controller keeps its port, since the others know it by that."""

    def __init__(
        self, data_dir: Path, number: int, cluster: str, controllers: list[int], progress: Progress | None
    ) -> None:
        super().__init__(data_dir, progress=progress)
        self.number = number
        self._cluster = cluster
        self._controllers = controllers

    def move(self) -> None:
        """Have it listen at another port from its next start on."""
        (self._port,) = free_ports(1)

    def _cluster_id(self) -> str:
        return self._cluster

    def _java_options(self) -> tuple[str, ...]:
        return ("-Xms64m", "-Xmx192m")

    def _settings(self, logs: Path, port: int, controller_port: int) -> dict[str, str | int]:
        del controller_port
        settings = super()._settings(logs, port, self._controllers[self.number - 1])
        voters = (f"{number}@{HOST}:{each}" for number, each in enumerate(self._controllers, 1))
        settings |= {"node.id": self.number, "controller.quorum.voters": ",".join(voters)}
        settings |= {f"{each}.replication.factor": COUNT for each in _COPIED}
        settings |= {f"{each}.min.isr": 2 for each in _COPIED if each != "offsets.topic"}
        return settings


class Cluster:
    """The three, running; whoever stops or moves one has it started again."""

    def __init__(self, data_dir: Path, progress: Progress | None) -> None:
        cluster = base64.urlsafe_b64encode(b"ddpm" + uuid.uuid4().bytes[:12]).decode().rstrip("=")
        controllers = free_ports(COUNT)
        numbers = range(1, COUNT + 1)
        self.brokers = [Broker(data_dir / str(each), each, cluster, controllers, progress) for each in numbers]

    @property
    def bootstrap(self) -> str:
        """All their addresses."""
        return ",".join(broker.bootstrap for broker in self.brokers)

    @property
    def addresses(self) -> list[str]:
        return self.bootstrap.split(",")

    def leaders(self, topic: str) -> dict[int, int]:
        """Who leads each partition, by its number; -1 where nobody does."""
        return {each["partition_index"]: each["leader_id"] for each in self._partitions([topic])}

    def broker(self, number: int) -> Broker:
        return self.brokers[number - 1]

    def start(self) -> None:
        """Start those that do not run, all at once: a single one would wait for the others."""
        with ThreadPoolExecutor(COUNT) as pool:
            list(pool.map(lambda broker: broker.start(), self.brokers))

    def stop(self) -> None:
        # Killed: nothing of it is wanted any more, and the last ones would wait for those that are gone.
        for broker in self.brokers:
            broker.kill()
            broker.stop()

    def restart_one_by_one(self, topics: Iterable[str], between: Callable[[], object] = lambda: None) -> None:
        """Restart each as one does for an upgrade: the next one when all copies are in step again."""
        names = list(topics)
        for broker in self.brokers:
            broker.restart()
            eventually(lambda: self._in_step(names), "all copies are in step")
            between()

    def _in_step(self, topics: list[str]) -> bool:
        try:
            found = self._partitions(topics)
        except DdpmError:
            return False
        return all(len(each["isr_nodes"]) == len(each["replica_nodes"]) for each in found)

    def _partitions(self, topics: list[str]) -> list[dict[str, Any]]:
        with admin(self.addresses) as client:
            return [each for topic in describe(client, topics).values() for each in topic["partitions"]]


@contextmanager
def cluster_of_three(data_dir: Path, progress: Progress | None) -> Iterator[Cluster]:
    """Run one while the block runs."""
    made = Cluster(data_dir, progress)
    try:
        made.start()
        yield made
    finally:
        made.stop()
