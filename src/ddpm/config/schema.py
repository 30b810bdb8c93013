"""The JSON Schema of a configuration file, for editors that complete and check while one types.

It knows less than `load`: interpolated values are any text, and rules between fields are not in it.
"""

from typing import Any

from ddpm.config.model import Pipeline, Sink
from ddpm.config.several import PROCESS_WIDE

Json = dict[str, Any]

_REFERENCE: Json = {"type": "string", "pattern": r"\$\{"}


def json_schema(model: type[Pipeline]) -> Json:
    """The schema of a whole file (draft 2020-12), as what `json.dumps` takes.

    Args:
        model: What a pipeline is, with the sinks that there are.

    """
    pipeline = model.model_json_schema(by_alias=True)
    definitions: Json = pipeline.pop("$defs")
    sinks = [_sink(kind, definitions) for kind in model.kinds.values()]
    words = [kind.kind for kind in model.kinds.values() if kind.section or not _needed(kind)]
    definitions["Sink"] = {"anyOf": [{"enum": words}, *sinks]}
    _allow_short_forms(definitions)
    # With `pipelines:` a section of app, and of an entry, holds only a part of what a pipeline needs.
    for section in ("Kafka", *(kind.__name__ for kind in model.sections.values())):
        definitions[section].pop("required", None)
    pipeline["properties"]["sinks"]["default"] = [model.usual]
    entry = _entry_of(pipeline)
    named = entry | {"required": ["name"]}
    entry_or_nothing = {"anyOf": [entry, {"type": "null"}]}
    schema: Json = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ddpm configuration",
        "type": "object",
        "properties": {
            "app": {"$ref": "#/$defs/Pipeline"},
            "pipelines": {
                "description": "Several pipelines in one file; the keys of app are the defaults of each.",
                "anyOf": [
                    {"type": "object", "additionalProperties": entry_or_nothing, "minProperties": 1},
                    {"type": "array", "items": named, "minItems": 1},
                ],
            },
        },
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
        "anyOf": [{"required": ["app"]}, {"required": ["pipelines"]}],
        "$defs": {**definitions, "Pipeline": {key: value for key, value in pipeline.items() if key != "required"}},
    }
    return {key: _with_references(value) for key, value in schema.items()}


def _sink(kind: type[Sink], definitions: Json) -> Json:
    """The form of a sink with fields: one key, with them below it."""
    # The pipeline has one with a section already; the classes of others may be called as any of these.
    name = kind.__name__ if kind.section else f"sinks.{kind.kind}"
    if not kind.section:
        fields = kind.model_json_schema(by_alias=True, ref_template=f"#/$defs/{name}.{{model}}")
        definitions |= {f"{name}.{model}": each for model, each in fields.pop("$defs", {}).items()}
        definitions[name] = fields
    return {
        "type": "object",
        "properties": {kind.kind: {"$ref": f"#/$defs/{name}"}},
        "required": [kind.kind],
        "additionalProperties": False,
    }


def _needed(kind: type[Sink]) -> bool:
    return any(field.is_required() for field in kind.model_fields.values())


def _entry_of(pipeline: Json) -> Json:
    """An entry of `pipelines:`: any keys of a pipeline, none of the whole process; nothing in it is required."""
    properties = {key: value for key, value in pipeline["properties"].items() if key not in PROCESS_WIDE}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _allow_short_forms(definitions: Json) -> None:
    column = definitions["Column"]
    column["properties"]["from"] = {"anyOf": [{"type": "string", "minLength": 1}, column["properties"]["from"]]}
    # Without it, the value has the column's name.
    column["required"].remove("from")
    definitions["Origin"] |= {"minProperties": 1, "maxProperties": 1}
    del definitions["Origin"]["properties"]["path"]
    for part in definitions["Origin"]["properties"].values():
        part["anyOf"] = [each for each in part["anyOf"] if each != {"type": "null"}]
        part.pop("default", None)
    definitions["Column"] = {"anyOf": [{"type": "string", "description": "a Postgres type"}, definitions["Column"]]}
    definitions["Breaker"] = {"anyOf": [{"enum": [True, False, "on", "off"]}, definitions["Breaker"]]}
    for name in [each for each in definitions if each.rpartition(".")[2] == "Tls"]:
        definitions[name] = {"anyOf": [{"type": "boolean"}, definitions[name]]}
    level = definitions["LogLevel"]
    level["enum"] = [*level["enum"], *(name.lower() for name in level["enum"])]


def _with_references(schema: Any) -> Any:  # noqa: ANN401 -- JSON
    """The schema in which a number, a switch or a choice may also be `${NAME}`."""
    if isinstance(schema, list):
        return [_with_references(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    walked = {key: _with_references(value) for key, value in schema.items()}
    if schema.get("type") in ("integer", "number", "boolean") or "enum" in schema:
        about = {key: walked.pop(key) for key in ("default", "description", "title") if key in walked}
        return {**about, "anyOf": [walked, _REFERENCE]}
    return walked
