"""A configuration of several pipelines that is edited while they run."""

from pathlib import Path
from typing import Any

import yaml

from ddpm.broker.produce import produce
from ddpm.broker.topics import TopicSpec, ensure_topics
from harness.waiting import eventually
from harness.world import World, json_records


class Shop:
    """A file of several pipelines, each with a topic and a table of its own."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.names: list[str] = []

    def settings(self, **pipelines: dict[str, Any]) -> dict[str, Any]:
        """The configuration of these pipelines, each with what differs from the others."""
        base = self.world.config()["app"]
        base["postgres"] = {**base["postgres"], "columns": {"n": "bigint"}}
        entries = {}
        for name, own in pipelines.items():
            ensure_topics([self.world.bootstrap], [TopicSpec(self.topic(name), 1)])
            kafka = {"topics": [self.topic(name)]}
            entries[name] = {"kafka": kafka, "postgres": {"table": self.table(name)}} | own
        return {"app": base, "pipelines": entries}

    def write(self, **pipelines: dict[str, Any]) -> None:
        (self.folder / "app-config.yaml").write_text(yaml.safe_dump(self.settings(**pipelines)))

    def topic(self, name: str) -> str:
        return f"{name}-{self.world.tag}"

    def table(self, name: str) -> str:
        return f"{name}_{self.world.tag}"

    def produce(self, name: str, *numbers: int) -> None:
        produce([self.world.bootstrap], self.topic(name), json_records([{"n": n} for n in numbers], partitions=1))

    def rows(self, name: str) -> list[int]:
        return sorted(row["n"] for row in self.world.rows("n", self.table(name)))

    def wait_for(self, name: str, *numbers: int) -> None:
        eventually(lambda: self.rows(name) == sorted(numbers), f"{name} has {numbers}", 60)
