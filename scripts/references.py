"""Writes what documents show of the code itself: the configuration's keys and the API.

`scripts/references.py` writes docs/configuration.md, docs/problems.md and the table of keys in the README;
`scripts/references.py FOLDER` writes `openapi.json` into a folder, for the site. What a key means is said by its field
in the code only.
"""

import json
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from ddpm.components.parsers import PARSERS
from ddpm.components.registry import Sinks, pipeline_type
from ddpm.config.codes import CODES, About, Code
from ddpm.config.model import Model
from ddpm.config.schema import json_schema
from ddpm.deadletters.service import DeadLetterService
from ddpm.observability.recent import RecentLog
from ddpm.server.api import Sources
from ddpm.server.app import create
from ddpm.server.guard import AccessPolicy
from ddpm.supervisor.runner import Supervisor

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "configuration.md"
PROBLEMS = ROOT / "docs" / "problems.md"
INTRODUCTION = """\
# Configuration reference

Every key that a configuration may have, below `app:`. The [README](../README.md#configuration) says where values may
come from, [parsers.md](parsers.md) and [columns.md](columns.md) have more on two of them. `ddpm schema` prints the same
as a JSON Schema, for editors. This page is written from the code, by `make generate`.

| key | takes | default | example | what it is |
|---|---|---|---|---|
"""
PROBLEMS_INTRODUCTION = """\
# Problems of a configuration

What `ddpm validate` and every other command may find wrong with a configuration, by the code that stands in brackets:
`app-config.yaml:9:3: error[unknown-field] app.replica: unknown field`. `ddpm explain CODE` says the same;
`ddpm validate --json` prints problems for programs, with `code`, `severity`, `file`, `line`, `column`, `path`,
`message`, `hint` and the line of the file. This page is written from the code, by `make generate`.
"""
# Between these lines of the README stands the table.
BEGIN, END = "<!-- keys: written by make generate -->\n", "<!-- end of keys -->\n"

_Node = dict[str, Any]
_VARIABLE = r"\$\{"
_DOCUMENT = re.compile(r"docs/(?P<page>[\w-]+\.md)(?P<heading>#[\w-]+)?")
_BYTES = (("GB", 10**9), ("MB", 10**6), ("KB", 10**3), ("MiB", 2**20), ("KiB", 2**10))
# Each with how many of it there must be.
_SECONDS = (("m", 60, 2), ("s", 1, 1), ("ms", 0.001, 0))
_DURATION, _SIZE = "such as `30s`", "such as `8MB`"
_TRUTH = "`true`, `false`"


@dataclass(frozen=True)
class Key:
    """A key: the values that it takes, its default and an example as YAML, and what it is, in words."""

    name: str
    takes: str
    default: str
    example: str
    words: str


def openapi() -> _Node:
    """The API's document, as a running ddpm answers it at /openapi.json."""
    sources = Sources(Supervisor([]), {}, RecentLog(), lambda: False, DeadLetterService(lambda: False))
    return create(sources, tuple, AccessPolicy()).openapi()


def all_keys() -> list[Key]:
    """Each key below `app:`.

    Raises:
        KeyError: A key says nothing of itself.

    """
    schema = json_schema(pipeline_type())
    whole = pipeline_type().model_json_schema(by_alias=True)
    required = {name for name in _required(whole, whole["$defs"], "") if name != "sinks"}
    found = {key.name: key for key in _keys(schema["$defs"]["Pipeline"], schema["$defs"], required)}
    for name, several in (("source.parser", PARSERS), ("sinks", Sinks())):
        found[name] = replace(found[name], takes=", ".join(f"`{each}`" for each in several))
    return list(found.values())


def configuration() -> str:
    """The page of keys."""
    rows = [
        f"| `{key.name}` | {key.takes} | {key.default} | {key.example} | {_linked(key.words, '')} |\n"
        for key in all_keys()
    ]
    return INTRODUCTION + "".join([*rows, *components()])


def _row(key: Key) -> str:
    return f"| `{key.name}` | {key.takes} | {key.default} | {key.example} | {_linked(key.words, '')} |\n"


def table() -> str:
    """The README's table of keys."""
    rows = []
    for key in all_keys():
        said = (
            f"{key.takes}: "
            if "`" in key.takes and key.takes != _TRUTH and _SIZE not in key.takes and _DURATION not in key.takes
            else ""
        )
        rows.append(f"| `{key.name}` | {key.default} | {said}{_linked(key.words, 'docs/')} |\n")
    return "".join(["| key | default | what it is |\n|---|---|---|\n", *rows])


def with_table(readme: str) -> str:
    """The README with the table as it is now; raises ValueError when its place is not there."""
    before, after = readme.index(BEGIN) + len(BEGIN), readme.index(END)
    return readme[:before] + table() + readme[after:]


def problems() -> str:
    """The page of the codes of problems."""
    return PROBLEMS_INTRODUCTION + "".join(map(_problem, CODES.items()))


def _problem(entry: tuple[Code, About]) -> str:
    code, about = entry
    example = f"\n```yaml\n{about.example}```\n" if about.example else ""
    return f"\n## {code}\n\n{about.cause}\n\n{about.cure}\n{example}"


def components() -> Iterator[str]:
    """The keys of each sink and each parser, in the words of its own file."""
    yield "\n## Sinks\n\nIn the list `sinks`, each as one word, or as one key with what is below it.\n"
    for kind, sink in Sinks().items():
        yield from _component(kind, sink.summary, sink)
    yield "\n## Parsers\n\nNamed by `source.parser`; their keys stand under `source.options`.\n"
    for name, parser in PARSERS.items():
        yield from _component(name, parser.summary, parser.options)


def _component(name: str, summary: str, model: type[Model]) -> Iterator[str]:
    yield f"\n### {name}\n\n{summary[0].upper()}{summary[1:]}.\n"
    schema = model.model_json_schema(by_alias=True)
    if not schema["properties"]:
        return
    yield "\n| key | takes | default | example | what it is |\n|---|---|---|---|---|\n"
    required = schema.get("required", ())
    for key, field in schema["properties"].items():
        alternatives = list(_alternatives(field, schema.get("$defs", {})))
        yield _row(_key(key, field, alternatives, required=key in required))


def _required(section: _Node, definitions: _Node, prefix: str) -> Iterator[str]:
    """The keys that a section cannot do without, as its model has it: the schema of a file knows of several parts."""
    yield from (prefix + name for name in section.get("required", ()))
    for name, node in section.get("properties", {}).items():
        for each in _alternatives(node, definitions):
            if "properties" in each:
                yield from _required(each, definitions, f"{prefix}{name}.")


def _keys(section: _Node, definitions: _Node, required: Collection[str], prefix: str = "") -> Iterator[Key]:
    for name, node in section["properties"].items():
        alternatives = list(_alternatives(node, definitions))
        values = [each for each in alternatives if "properties" not in each]
        if values:
            yield _key(prefix + name, node, values, required=prefix + name in required)
        for each in alternatives:
            if "properties" in each:
                yield from _keys(each, definitions, required, f"{prefix}{name}.")


def _key(name: str, node: _Node, values: Sequence[_Node], *, required: bool) -> Key:
    takes = " or ".join(dict.fromkeys(map(_words, values)))
    usual = node.get("default")
    examples = node.get("examples") or []
    default = "required" if required else ("" if usual in (None, [], {}) else f"`{_as_yaml(usual, takes)}`")
    return Key(name, takes, default, f"`{_as_yaml(examples[0], takes)}`" if examples else "", node["description"])


def _as_yaml(value: object, takes: str) -> str:
    """A value as one would write it: with a unit where there is one."""
    if isinstance(value, str):
        return value
    if _DURATION in takes and isinstance(value, int | float):
        unit, size = next((unit, size) for unit, size, least in _SECONDS if value / size >= least)
        return f"{value / size:g}{unit}"
    if _SIZE in takes and isinstance(value, int):
        return "{}{}".format(*min((value // size, unit) for unit, size in _BYTES if value % size == 0))
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1_000).split("\n")[0]


def _linked(words: str, folder: str) -> str:
    """With links to the documents that they name, from the README or from the documents' own folder."""
    return _DOCUMENT.sub(lambda found: f"[{found['page']}]({folder}{found['page']}{found['heading'] or ''})", words)


def _alternatives(node: _Node, definitions: _Node) -> Iterator[_Node]:
    """What may stand in a place, without nothing and without a variable, which may stand everywhere."""
    if "$ref" in node:
        yield from _alternatives(definitions[node["$ref"].rpartition("/")[2]], definitions)
    elif "anyOf" in node:
        for each in node["anyOf"]:
            yield from _alternatives(each, definitions)
    elif node.get("type") != "null" and node.get("pattern") != _VARIABLE:
        yield node


def _words(value: _Node) -> str:
    if "enum" in value:
        # Levels of the log may be written in small letters, too.
        given = [
            each
            for each in value["enum"]
            if not isinstance(each, str) or each.upper() not in value["enum"] or each.isupper()
        ]
        return ", ".join(f"`{json.dumps(each).strip(chr(34))}`" for each in given)
    if "const" in value:
        return f"`{value['const']}`"
    kind = {"array": "list", "object": "mapping", "string": "text", "boolean": "`true`, `false`"}.get(value["type"])
    if kind is None:
        kind = str(value["type"])
    if kind == "text" and value.get("examples") in (["30s"], ["8MB"]):
        kind = f"such as `{value['examples'][0]}`"
    if "minimum" in value and "maximum" in value:
        return f"{kind} from {value['minimum']:,} to {value['maximum']:,}"
    return kind


if __name__ == "__main__":
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "openapi.json").write_text(json.dumps(openapi(), indent=1), encoding="utf-8")
    else:
        PAGE.write_text(configuration(), encoding="utf-8")
        PROBLEMS.write_text(problems(), encoding="utf-8")
        README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
