"""Writes a new plugin with its test: small, working, and meant to be changed."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ddpm.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")

_PYTHON = '''\
"""The parser {name}: pairs such as `id=7 name=Ada`."""

from collections.abc import Iterable

from ddpm.plugins import Meta, Poison


def parse(payload: bytes, meta: Meta) -> Iterable[dict | Poison]:
    """Lines of pairs, NAME=VALUE with spaces in between; each line is a row."""
    for line in payload.decode().splitlines():
        pairs = dict(pair.split("=", 1) for pair in line.split() if "=" in pair)
        yield pairs or Poison(f"no pair in {{line!r}}")
'''

_PYTHON_TEST = """\
import {name}
from ddpm.plugins import Meta, Poison

META = Meta(topic="orders", partition=0, offset=0, timestamp_ms=None, key=b"", headers=())


def test_each_line_is_a_row():
    assert list({name}.parse(b"id=7 name=Ada\\nid=8", META)) == [{{"id": "7", "name": "Ada"}}, {{"id": "8"}}]


def test_a_line_without_pairs_is_poison():
    assert list({name}.parse(b"nothing", META)) == [Poison("no pair in 'nothing'")]
"""

_CLASS = '''\
"""The parser {name}: pairs such as `id=7 name=Ada`, read by the engine itself."""

import json

from pydantic import BaseModel


class Parser:
    """Pairs, NAME=VALUE with something in between."""

    class Options(BaseModel):
        """What app.source.options may hold."""

        separator: str = " "

    def __init__(self, options: Options) -> None:
        self.options = options

    def processors(self) -> list[dict]:
        """The engine's processors; in Bloblang a text is quoted as in JSON."""
        separator = json.dumps(self.options.separator)
        mapping = f"""
let pairs = content().string().split({{separator}}).map_each(pair -> pair.split("="))
root = $pairs.fold({{{{}}}}, item -> item.tally.assign({{{{(item.value.0): item.value.1}}}}))
"""
        return [{{"mapping": mapping}}]
'''

_CLASS_TEST = """\
import {name}


def test_the_separator_is_quoted():
    options = {name}.Parser.Options(separator='";"')
    (processor,) = {name}.Parser(options).processors()
    assert 'split("\\\\";\\\\"")' in processor["mapping"]
"""

_BLOBLANG = """\
# The parser {name}: pairs such as `id=7 name=Ada`. content() is the record.
let pairs = content().string().split(" ").map_each(pair -> pair.split("="))
root = $pairs.fold({{}}, item -> item.tally.assign({{(item.value.0): item.value.1}}))
"""


class Kind(StrEnum):
    """What a plugin is written in."""

    PYTHON = "python"
    CLASS = "class"
    BLOBLANG = "bloblang"


@dataclass(frozen=True, slots=True)
class Scaffold:
    """What was written: the plugin, and its test if its kind has one."""

    plugin: Path
    test: Path | None


def write_plugin(name: str, kind: Kind, folder: Path) -> Scaffold:
    """Write a plugin, and a test that pytest finds beside it.

    Raises:
        ConfigError: The name is none, or a file of that name is there already.

    """
    if not _NAME.fullmatch(name):
        msg = f'"{name}" cannot be the name of a plugin'
        raise ConfigError(msg, hint="it begins with a small letter; small letters, digits and _ may follow")
    suffix, source, test = {
        Kind.PYTHON: (".py", _PYTHON, _PYTHON_TEST),
        Kind.CLASS: (".py", _CLASS, _CLASS_TEST),
        Kind.BLOBLANG: (".blobl", _BLOBLANG, None),
    }[kind]
    made = Scaffold(folder / f"{name}{suffix}", folder / f"test_{name}.py" if test else None)
    texts = {made.plugin: source, **({made.test: test} if made.test and test else {})}
    for path in texts:
        if path.exists():
            msg = f"{path} is there already"
            raise ConfigError(msg, hint="choose another name or folder; nothing was written")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text.format(name=name), encoding="utf-8")
    return made
