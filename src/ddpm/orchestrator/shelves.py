"""From a configuration to its pipelines' shelves of dead letters."""

from collections.abc import Iterable
from dataclasses import dataclass

from ddpm.config.model import Pipeline
from ddpm.deadletters.shelf import Shelf
from ddpm.store.kept import KeptLetters


@dataclass(frozen=True, slots=True)
class Shelves:
    """The shelf of every pipeline by name; pipelines with one topic of dead letters share one."""

    by_pipeline: dict[str, Shelf]

    def close(self) -> None:
        """Close all connections."""
        for shelf in set(self.by_pipeline.values()):
            shelf.close()


def shelves(pipelines: Iterable[Pipeline]) -> Shelves:
    """The shelves of pipelines that have real addresses; nothing is read yet."""
    sharing: dict[tuple[tuple[str, ...], str], list[Pipeline]] = {}
    for pipeline in pipelines:
        sharing.setdefault((pipeline.kafka.brokers, pipeline.dead_letter.topic), []).append(pipeline)
    found: dict[str, Shelf] = {}
    for place, those in sharing.items():
        kept = [
            KeptLetters(each.postgres.url, each.postgres.table, each.name, each.kafka.topics)
            for each in those
            if each.postgres is not None
        ]
        shelf = Shelf(*place, those[0].kafka.replication_factor, kept=kept)
        found |= dict.fromkeys((each.name for each in those), shelf)
    return Shelves(found)
