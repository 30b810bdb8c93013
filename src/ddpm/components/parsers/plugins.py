"""Parsers that are not built in, as the engine runs them: a mapping, processors that a class returned, a function."""

import json
from typing import Any

from ddpm.component import Component, duration, mapping
from ddpm.components.parsers.parser import Parser
from ddpm.config.model import NoOptions, Plugin, PluginKind, Source
from ddpm.contract import Env

# The engine's processors whose text is a mapping.
_MAPPINGS = ("mapping", "bloblang", "mutation")


def of_plugin(source: Source, plugin: Plugin) -> Parser[Any]:
    """The parser of a plugin."""
    # A class has judged its options itself.
    match plugin.kind:
        case PluginKind.MAPPING:
            made = _mapping(plugin)
        case PluginKind.PROCESSORS:
            made = _made_by_class(plugin)
        case PluginKind.FUNCTION:
            made = _function(source, plugin)
    many = plugin.many or plugin.kind is PluginKind.FUNCTION
    return Parser(source.parser, f"a plugin, {plugin.path or 'installed'}", NoOptions, lambda _: made, lambda _: many)


# In `try`, because a record that could not be decompressed has failed already.
def _mapping(plugin: Plugin) -> Component:
    # The engine reads a file itself: its own errors then name it. Within quotes, Bloblang takes what JSON does.
    text = mapping(plugin.mapping or f"from {json.dumps(plugin.path, ensure_ascii=False)}")
    return {"try": [{"mapping": text}]}


def _made_by_class(plugin: Plugin) -> Component:
    # The engine's own processors know nothing of identities: what they made of one record has to be distinguished.
    return {"try": [*map(_with_usable_mappings, plugin.processors), {"ddpm_index": {"many": plugin.many}}]}


def _with_usable_mappings(value: object) -> Any:  # noqa: ANN401 -- whatever a class returned
    if isinstance(value, list):
        return [_with_usable_mappings(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: mapping(item) if name in _MAPPINGS and isinstance(item, str) else _with_usable_mappings(item)
        for name, item in value.items()
    }


def _function(source: Source, plugin: Plugin) -> Component:
    workers = source.workers
    return {
        "ddpm_python": {
            "python_env": Env.PYTHON,
            "name": source.parser,
            "path": plugin.path or "",
            "workers": workers.count or 0,
            "timeout": duration(workers.timeout),
            "memory": workers.memory,
            "tries": workers.tries,
        }
    }
