"""What a parser is: a name, its options, and the engine's processors that read a record with it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ddpm.component import Component
from ddpm.config.model import Model, Secret

Options = TypeVar("Options", bound=Model)


@dataclass(frozen=True, slots=True)
class SchemaRegistry:
    """Where a parser asks for schemas: the address, which may hold a user and a password, and how it is let in."""

    url: Secret
    ca: Path | None = None
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class Parser(Generic[Options]):
    """One format.

    Attributes:
        name: As written in `source.parser`.
        summary: A sentence for people.
        options: What `source.options` may hold.
        processor: The engine's processor for options.
        wanting: The same with the names that rows are filled from, where they are known.
        many: Whether a record can become many documents, for options.
        secrets: What the engine gets through its environment and no file, for options.
        registry: The schema registry that is asked while records flow, for options.
        sample: A record, for formats that a person can read.
        texts: Whether all values of its documents are texts, whatever they stand for.

    """

    name: str
    summary: str
    options: type[Options]
    processor: Callable[[Options], Component]
    many: Callable[[Options], bool] = lambda _: False
    wanting: Callable[[Options, tuple[str, ...]], Component] | None = None
    secrets: Callable[[Options], dict[str, str]] = lambda _: {}
    registry: Callable[[Options], SchemaRegistry | None] = lambda _: None
    sample: str | None = None
    texts: bool = False


def always(_: Model) -> bool:
    """Of every record any number of documents can come."""
    return True


def plain(name: str) -> Callable[[Model], Component]:
    """The engine's processor of that name, without options."""
    return lambda _: {name: {}}
