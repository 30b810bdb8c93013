"""From a configuration to its pipelines' stores of dead letters."""

from collections.abc import Iterable
from dataclasses import dataclass

from ddpm.config.model import Pipeline
from ddpm.deadletters.store import DeadLetterStore
from ddpm.store.oversized import OversizedLetters


@dataclass(frozen=True, slots=True)
class DeadLetterStores:
    """The store of every pipeline by name; pipelines with one topic of dead letters share one."""

    by_pipeline: dict[str, DeadLetterStore]

    def close(self) -> None:
        """Close all connections."""
        for store in set(self.by_pipeline.values()):
            store.close()


def dead_letter_stores(pipelines: Iterable[Pipeline]) -> DeadLetterStores:
    """The stores of pipelines that have real addresses; nothing is read yet."""
    sharing: dict[tuple[tuple[str, ...], str], list[Pipeline]] = {}
    for pipeline in pipelines:
        sharing.setdefault((pipeline.kafka.brokers, pipeline.dead_letter.topic), []).append(pipeline)
    found: dict[str, DeadLetterStore] = {}
    for place, those in sharing.items():
        kept = [
            OversizedLetters(each.postgres.url, each.postgres.table, each.name, each.kafka.topics)
            for each in those
            if each.postgres is not None
        ]
        store = DeadLetterStore(*place, those[0].kafka.replication_factor, kept=kept)
        found |= dict.fromkeys((each.name for each in those), store)
    return DeadLetterStores(found)
