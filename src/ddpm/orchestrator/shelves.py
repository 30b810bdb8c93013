"""From a configuration to its pipelines' shelves of dead letters."""

from collections.abc import Iterable
from dataclasses import dataclass

from ddpm.config.model import Pipeline
from ddpm.deadletters.shelf import Shelf


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
    made: dict[tuple[tuple[str, ...], str], Shelf] = {}
    found: dict[str, Shelf] = {}
    for pipeline in pipelines:
        place = (pipeline.kafka.brokers, pipeline.dead_letter.topic)
        if place not in made:
            made[place] = Shelf(*place, pipeline.kafka.replication_factor)
        found[pipeline.name] = made[place]
    return Shelves(found)
