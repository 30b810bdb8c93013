"""Whose a dead letter is: it names a pipeline and a sink, and either may run under another name by now. Pure.

Letters carry the names that their user gave: `orders`, and `kafka`. Where each sink of a pipeline is run by itself, the
letters of a sink are those of its part, `orders.kafka`; where all are run together, they are the pipeline's. A letter
that names no sink is about a record that none of them got, and so is one of each.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from ddpm.deadletters.letter import DeadLetter
from ddpm.deadletters.resolution import ResolutionRecord


@dataclass(frozen=True, slots=True)
class Owner:
    """A pipeline as it is run.

    Attributes:
        name: The name that it runs under.
        pipeline: The name that its user gave it.
        sinks: The names of its sinks.
        main: Of these the one that the letters are of that were written before letters named their sink.
        first: Whether it takes the letters of its pipeline whose sink is gone.

    """

    name: str
    pipeline: str
    sinks: tuple[str, ...]
    first: bool = True
    main: str | None = None


Named = TypeVar("Named", DeadLetter, ResolutionRecord)
# Where a record fails before a sink has seen it: then no sink has got it.
_BEFORE_SINKS = ("parse", "process")


class Owners:
    """Finds the pipelines that a letter belongs to, among those that are run."""

    def __init__(self, owners: Iterable[Owner] = ()) -> None:
        self._of: dict[str, list[Owner]] = {}
        self._pipelines: dict[str, str] = {}
        for owner in owners:
            self._of.setdefault(owner.pipeline, []).append(owner)
            self._pipelines[owner.name] = owner.pipeline

    def taken(self, read: Named) -> tuple[Named, ...]:
        """A letter, or what was done with one, once for each sink that it is about, under the names that run now."""
        those = self._of.get(read.pipeline)
        if not those:
            return (read,)
        first = next((each for each in those if each.first), those[0])
        if read.sink is not None:
            owner = next((each for each in those if read.sink in each.sinks), first)
            return (replace(read, pipeline=owner.name),)
        if isinstance(read, DeadLetter) and read.stage not in _BEFORE_SINKS:
            # Of before letters named their sink.
            return (replace(read, pipeline=first.name, sink=first.main or first.sinks[0]),)
        return tuple(replace(read, pipeline=each.name, sink=sink) for each in those for sink in each.sinks)

    def shown(self, read: DeadLetter, pipeline: str | None = None) -> DeadLetter:
        """A letter as one: that of `pipeline` if it is among those that it belongs to, and of all of its sinks."""
        taken = self.taken(read)
        those = [each for each in taken if each.pipeline == pipeline] or [
            each for each in taken if each.pipeline == taken[0].pipeline
        ]
        return those[0] if len(those) == 1 else replace(those[0], sink=None)

    def sinks(self, name: str) -> tuple[str, ...]:
        """The names of the sinks that a pipeline has, by the name that it runs under; empty for an unknown one."""
        those = self._of.get(self._pipelines.get(name, ""), ())
        return next((each.sinks for each in those if each.name == name), ())

    def written(self, mark: ResolutionRecord) -> tuple[ResolutionRecord, ...]:
        """What was done with a letter, under names that stay however sinks are run; once for each of its sinks."""
        sinks = self.sinks(mark.pipeline) if mark.sink is None else (mark.sink,)
        name = self._pipelines.get(mark.pipeline, mark.pipeline)
        return tuple(replace(mark, pipeline=name, sink=sink) for sink in sinks or (None,))
