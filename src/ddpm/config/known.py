"""The names a user may write: which fields a section has, and which known name is nearest to a wrong one."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from types import NoneType
from typing import Protocol, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ddpm.config.model import Pipeline
from ddpm.config.model.secret import holds_secret
from ddpm.config.tree import Step

Section = type[BaseModel]

# The place of a sink's kind among the keys and indices that lead to its fields: sinks, 0, kafka.
_KIND = 2


class Known(Protocol):
    """What may stand below the keys and indices of a place."""

    def at(self, steps: tuple[Step, ...]) -> dict[str, FieldInfo]:
        """The fields, by the keys a user writes, of the section that keys and indices lead to."""

    def homes(self, name: str) -> list[str]:
        """Where a field of this name belongs: paths such as `app.kafka.topics`."""

    def is_secret(self, steps: tuple[Step, ...]) -> bool:
        """Whether a value there must not be shown."""


@dataclass(frozen=True, slots=True)
class PipelineKnown:
    """What a pipeline may have, below `app`."""

    model: type[Pipeline]

    def at(self, steps: tuple[Step, ...]) -> dict[str, FieldInfo]:
        """As `Known` says."""
        current: Section | None = self.model
        if steps[:1] == ("sinks",) and len(steps) > _KIND:
            kind = str(steps[_KIND])
            current, steps = self.model.kind_of(kind), steps[_KIND + 1 :]
        in_collection = False
        for step in steps:
            if in_collection:
                in_collection = False
            elif current is not None:
                field = _fields(current).get(str(step))
                annotation = field.annotation if field else None
                current = _section_in(annotation)
                in_collection = current is not None and _section(annotation) is None
        return _fields(current) if current is not None and not in_collection else {}

    def homes(self, name: str) -> list[str]:
        """As `Known` says."""
        fields = self.model.model_fields
        homes = [f"app.{name}"] if name in fields else []
        for key, field in fields.items():
            section = _section(field.annotation)
            if section is not None and name in _fields(section):
                homes.append(f"app.{key}.{name}")
        return homes

    def is_secret(self, steps: tuple[Step, ...]) -> bool:
        """As `Known` says."""
        return _leads_to_secret(self, steps)


@dataclass(frozen=True, slots=True)
class OptionsKnown:
    """The options of a parser, below the keys `section`."""

    section: tuple[Step, ...]
    model: Section

    def at(self, steps: tuple[Step, ...]) -> dict[str, FieldInfo]:
        """As `Known` says."""
        return _fields(self.model) if steps == self.section else {}

    def homes(self, name: str) -> list[str]:
        """Nowhere else."""
        del name
        return []

    def is_secret(self, steps: tuple[Step, ...]) -> bool:
        """As `Known` says."""
        return _leads_to_secret(self, steps)


def _leads_to_secret(known: Known, steps: tuple[Step, ...]) -> bool:
    fields = (known.at(steps[:index]).get(str(step)) for index, step in enumerate(steps))
    return any(field is not None and holds_secret(field) for field in fields)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """`did you mean "table"?` when a known name is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.65)
    return f'did you mean "{by_lower[near[0]]}"?' if near else None


def _fields(section: Section) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in section.model_fields.items()}


def _section(annotation: object) -> Section | None:
    """The model that an annotation is, or is when not None."""
    choices = [choice for choice in get_args(annotation) if choice is not NoneType]
    for candidate in (annotation, *(choices if len(choices) == 1 else ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _section_in(annotation: object) -> Section | None:
    """The model that an annotation is or contains, such as the items of a list."""
    return _section(annotation) or next(filter(None, map(_section_in, get_args(annotation))), None)
