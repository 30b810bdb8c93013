"""From a configuration to its pipelines' stores of dead letters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ddpm.config.model import Cluster, Pipeline
from ddpm.config.parts import first_of, named
from ddpm.deadletters.owners import Owner, Owners
from ddpm.deadletters.store import DeadLetterStore
from ddpm.privacy import privacy_of
from ddpm.store.oversized import OversizedLetters


@dataclass(frozen=True, slots=True)
class DeadLetterStores:
    """The store of every pipeline by name; pipelines with one topic of dead letters share one."""

    by_pipeline: dict[str, DeadLetterStore]

    def close(self) -> None:
        """Close all connections."""
        for store in set(self.by_pipeline.values()):
            store.close()


def owners_of(pipelines: Sequence[Pipeline]) -> Owners:
    """Whose letters are whose, of everything that a configuration runs."""
    return Owners(
        Owner(
            each.name,
            each.whole,
            each.sink_names,
            first=each is first_of(named(pipelines, each.whole)),
            main=next((name for name, sink in zip(each.sink_names, each.sinks, strict=True) if sink.row_table), None),
        )
        for each in pipelines
    )


def dead_letter_stores(pipelines: Iterable[Pipeline], all_: Sequence[Pipeline]) -> DeadLetterStores:
    """The stores of pipelines that have real addresses; nothing is read yet.

    Args:
        pipelines: Whose letters are asked for.
        all_: Everything that the configuration runs: a letter may be that of another sink of the same pipeline.

    """
    owners = owners_of(all_)
    hidden = {each.name: privacy_of(each) for each in all_}
    sharing: dict[tuple[Cluster, str], list[Pipeline]] = {}
    for pipeline in pipelines:
        sharing.setdefault((pipeline.kafka.cluster, pipeline.dead_letter.topic), []).append(pipeline)
    found: dict[str, DeadLetterStore] = {}
    for place, those in sharing.items():
        # Parts of a pipeline keep what is too large in one table.
        kept = {
            (each.known_table.url, each.known_table.table, each.whole, each.kafka.topics)
            for each in those
            if each.known_table is not None
        }
        tables = [OversizedLetters(*each) for each in sorted(kept)]
        factor = those[0].kafka.replication_factor
        store = DeadLetterStore(*place, factor, kept=tables, owners=owners, privacy=hidden)
        found |= dict.fromkeys((each.name for each in those), store)
    return DeadLetterStores(found)
