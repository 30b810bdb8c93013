"""The JSON Schema for editors names what the model knows."""

import json
from collections.abc import Iterator

from ddpm.components.registry import pipeline_type
from ddpm.config import json_schema


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def test_it_is_json_and_all_its_references_lead_somewhere() -> None:
    schema = json.loads(json.dumps(json_schema(pipeline_type())))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    targets = set(_references(schema))
    assert targets
    assert {target.removeprefix("#/$defs/") for target in targets} <= set(schema["$defs"])


def test_it_names_every_key_of_app_and_forbids_others() -> None:
    schema = json_schema(pipeline_type())
    app = schema["$defs"]["Pipeline"]
    assert set(app["properties"]) == set(pipeline_type().model_fields)
    assert app["additionalProperties"] is False
    assert schema["additionalProperties"] is False


def test_an_entry_of_pipelines_has_no_section_of_the_whole_process() -> None:
    mapping, items = json_schema(pipeline_type())["properties"]["pipelines"]["anyOf"]
    entry = mapping["additionalProperties"]["anyOf"][0]
    assert set(entry["properties"]) == set(pipeline_type().model_fields) - {"server", "logger", "metrics"}
    assert items["items"]["required"] == ["name"]


def test_numbers_switches_and_choices_may_come_from_outside() -> None:
    definitions = json_schema(pipeline_type())["$defs"]
    reference = {"type": "string", "pattern": r"\$\{"}
    assert reference in definitions["Server"]["properties"]["port"]["anyOf"]
    assert reference in definitions["Pipeline"]["properties"]["profiling"]["anyOf"]
    assert reference in definitions["LogLevel"]["anyOf"]
    assert {"type": "string", "examples": ["8MB"]} in definitions["Batching"]["properties"]["byte_size"]["anyOf"]


def test_short_forms_are_known() -> None:
    definitions = json_schema(pipeline_type())["$defs"]
    words, postgres, kafka, stdout = definitions["Sink"]["anyOf"]
    assert words["anyOf"][0]["enum"] == ["postgres", "stdout"]
    assert [each["required"] for each in (postgres, kafka, stdout)] == [["postgres"], ["kafka"], ["stdout"]]
    assert definitions["Column"]["anyOf"][0]["type"] == "string"
