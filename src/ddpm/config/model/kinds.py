"""The model of a pipeline that knows a set of sinks, and the forms in which a file names them.

A sink is one word, `- stdout`, or one key with its fields, `- kafka: {topic: copy}`. One with a section has its fields
there, under `app`; `ddpm.config.sections` moves them, where they stand in the list.
"""

import json
from collections.abc import Collection, Mapping
from functools import partial
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, Field, ValidationInfo, create_model
from pydantic_core import PydanticCustomError

from ddpm.config.model.pipeline import Beginning, InSection, Pipeline
from ddpm.config.model.sinks import Sink
from ddpm.config.model.values import Model, broken_rule
from ddpm.errors import ConfigError


def pipeline_model(
    kinds: Mapping[str, type[Sink]],
    default: type[Sink],
    sections: Mapping[str, type[Sink]],
    naming: Collection[str] = (),
) -> type[Pipeline]:
    """The model of pipelines whose sinks are of these kinds.

    Args:
        kinds: The sinks by the names that a file may give.
        default: The sink of a pipeline that names none.
        sections: Those with a section, by its key.
        naming: The parsers that name the fields of documents by their option `columns`.

    """
    of_sections: dict[str, Any] = {section: (kind | None, None) for section, kind in sections.items()}
    # Between the two, so that the keys keep the order in which people write them.
    between = create_model("Sections", __base__=Beginning, **of_sections)
    read = partial(_read, kinds)
    sinks = tuple[Annotated[Sink, BeforeValidator(read)], ...]
    described = Pipeline.model_fields["sinks"].description
    usual = Field(default=(default.kind,), validate_default=True, min_length=1, description=described)
    made = create_model("Pipeline", __base__=(Pipeline, between), __doc__=Pipeline.__doc__, sinks=(sinks, usual))
    found = cast("type[Pipeline]", made)
    found.kinds, found.sections, found.usual, found.naming = kinds, sections, default.kind, naming
    return found


def _read(kinds: Mapping[str, type[Sink]], value: object, info: ValidationInfo) -> object:
    if isinstance(value, Sink) or not isinstance(value, str | dict):
        return value
    named, given = _taken_apart(value)
    if named not in kinds:
        raise PydanticCustomError("unknown_name", "{name}", {"name": named, "known": list(kinds), "what": "sink"})
    try:
        kind = kinds[named]
    except ConfigError as error:
        raise broken_rule(error.message) from error
    if given is None and kind.section:
        return _in_section(kind, info.data)
    needed = [name for name, field in kind.model_fields.items() if field.is_required()]
    if given is None and needed:
        example = ", ".join(f"{name}: {(kind.model_fields[name].examples or ['…'])[0]}" for name in needed)
        raise broken_rule(f"the {named} sink needs a {' and a '.join(needed)}: write - {named}: {{{example}}}")
    return _validated(kind, {} if given is None else given, strict=info.mode == "json")


def _taken_apart(value: str | dict[str, Any]) -> tuple[str, object]:
    if isinstance(value, str):
        return value, None
    if len(value) != 1:
        raise broken_rule("a sink is one word or one key; start each sink with its own -")
    ((named, given),) = value.items()
    return str(named), given


def _in_section(kind: type[Sink], before: Mapping[str, Any]) -> Sink:
    section = str(kind.section)
    found = before.get(section)
    return found if isinstance(found, Sink) else InSection(of=kind.kind, missing=section)


def _validated(kind: type[Sink], given: object, *, strict: bool) -> Sink:
    # In a model of its own, so that the key stands in the places of errors. JSON is the form in which strictness leaves
    # lists and paths alone; behind a validator like this one pydantic has forgotten that it reads JSON.
    place: type[Model] = create_model("Sink", __base__=Model, **cast("Any", {kind.kind: (kind, ...)}))
    data = {kind.kind: given}
    read = place.model_validate_json(json.dumps(data), strict=True) if strict else place.model_validate(data)
    return cast("Sink", getattr(read, kind.kind))
