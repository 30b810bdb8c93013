"""Writes what the site of the documents shows of the code itself: the API and the configuration, into a folder.

`scripts/references.py FOLDER` makes `openapi.json` and `configuration.md`. What a key means is said in the README only.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddpm.config.schema import json_schema
from ddpm.deadletters.service import DeadLetterService
from ddpm.observability.recent import RecentLog
from ddpm.server.api import Sources
from ddpm.server.app import create
from ddpm.server.guard import AccessPolicy
from ddpm.supervisor.runner import Supervisor

README = Path(__file__).parents[1] / "README.md"
INTRODUCTION = """\
# Configuration reference

Every key that a configuration may have, below `app:`, with the values that it takes, written from the code. The words
and the defaults are those of the [README](../README.md#configuration), which also says where values may come from.
`ddpm schema` prints the same as a JSON Schema, for editors.

| key | takes | default | what it is |
|---|---|---|---|
"""

_Node = dict[str, Any]
_ROW = re.compile(r"^\| (?P<keys>`[^|]+) \| ?(?P<default>[^|]*?) ?\| ?(?P<meaning>[^|]*?) ?\|$", re.MULTILINE)
_VARIABLE = r"\$\{"


@dataclass(frozen=True)
class Meaning:
    """What the README says of a key."""

    default: str
    words: str


def openapi() -> _Node:
    """The API's document, as a running ddpm answers it at /openapi.json."""
    sources = Sources(Supervisor([]), {}, RecentLog(), lambda: False, DeadLetterService(lambda: False))
    return create(sources, tuple, AccessPolicy()).openapi()


def meanings() -> dict[str, Meaning]:
    """The rows of the README's table of keys; of a row with several keys, each with all that the row says."""
    text = README.read_text(encoding="utf-8")
    section = text[text.index("\n## Configuration\n") : text.index("\n## Commands\n")]
    found: dict[str, Meaning] = {}
    for row in _ROW.finditer(section):
        first, *others = re.findall(r"`([^`]+)`", row["keys"])
        names = [first, *(first.rpartition(".")[0] + other for other in others)]
        defaults = row["default"].split(", ")
        if len(defaults) != len(names):
            defaults = [row["default"]] * len(names)
        words = row["meaning"].replace("](docs/", "](")
        found |= {name: Meaning(default, words) for name, default in zip(names, defaults, strict=True)}
    return found


def keys() -> Iterator[tuple[str, str]]:
    """Each key below `app:` with the values that it takes, in words."""
    schema = json_schema()
    yield from _keys(schema["$defs"]["Pipeline"], schema["$defs"], "")


def configuration() -> str:
    """The page of keys.

    Raises:
        KeyError: The README says nothing of a key.

    """
    told = meanings()
    rows = []
    for key, takes in keys():
        meaning = told[key if key in told else key.rpartition(".")[0]]
        rows.append(f"| `{key}` | {takes} | {meaning.default} | {meaning.words} |\n")
    return INTRODUCTION + "".join(rows)


def _keys(section: _Node, definitions: _Node, prefix: str) -> Iterator[tuple[str, str]]:
    for name, node in section["properties"].items():
        alternatives = list(_alternatives(node, definitions))
        values = [each for each in alternatives if "properties" not in each]
        if values:
            yield prefix + name, " or ".join(dict.fromkeys(map(_words, values)))
        for each in alternatives:
            if "properties" in each:
                yield from _keys(each, definitions, f"{prefix}{name}.")


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
        return ", ".join(f"`{json.dumps(each).strip(chr(34))}`" for each in value["enum"])
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


def main(folder: Path) -> None:
    """Write both into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "openapi.json").write_text(json.dumps(openapi(), indent=1), encoding="utf-8")
    (folder / "configuration.md").write_text(configuration(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
