"""The names a user may write: which fields a section has, and which known name is nearest to a wrong one."""

import difflib
from collections.abc import Iterable
from types import NoneType
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ddpm.config.model import Pipeline
from ddpm.config.tree import Step

Section = type[BaseModel]


def fields_at(steps: tuple[Step, ...]) -> dict[str, FieldInfo]:
    """The fields, by the keys a user writes, of the section that keys and indices below `app` lead to."""
    current: Section | None = Pipeline
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


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """`did you mean "table"?` when a known name is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.65)
    return f'did you mean "{by_lower[near[0]]}"?' if near else None


def homes_of(name: str) -> list[str]:
    """Where a field of this name belongs: paths such as `app.kafka.topics`."""
    homes = [f"app.{name}"] if name in Pipeline.model_fields else []
    for key, field in Pipeline.model_fields.items():
        section = _section(field.annotation)
        if section is not None and name in _fields(section):
            homes.append(f"app.{key}.{name}")
    return homes


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
