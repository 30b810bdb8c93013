"""What a source is: where records come from, as the engine's input."""

from collections.abc import Callable
from dataclasses import dataclass

from ddpm.component import Component
from ddpm.config.model import Model, Pipeline


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of source.

    Attributes:
        kind: Its name.
        summary: A sentence for people.
        section: Where its fields stand in a configuration.
        options: What they may be.
        input: The engine's input. Batches form there and nowhere else, so that an error keeps naming its record.

    """

    kind: str
    summary: str
    section: str
    options: type[Model]
    input: Callable[[Pipeline], Component]
