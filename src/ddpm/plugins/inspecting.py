"""Finds out what a plugin is without running its code in this process: it may print, crash, hang or grow there."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_core import ErrorDetails

from ddpm.config.model import BLOBLANG, Plugin, PluginKind
from ddpm.config.plugins import Inspection

_SECONDS = 30.0


def inspect_plugin(name: str, path: Path | None, options: Mapping[str, object]) -> Inspection:
    """Ask a plugin what it is.

    Args:
        name: The parser's name; without a path, that of its entry point.
        path: The plugin's file, or its package's folder.
        options: What the plugin is given, as in `source.options`.

    """
    if path is not None and path.suffix == BLOBLANG:
        return Inspection(Plugin(PluginKind.MAPPING, path=str(path)), "a mapping in Bloblang")
    command = [sys.executable, "-P", "-m", "ddpm.plugins.describing", name, str(path or "")]
    try:
        ran = subprocess.run(
            command, input=json.dumps(options), capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Inspection(problem=f"{path or name}: it was not loaded within {_SECONDS:.0f} s")
    try:
        said = json.loads(ran.stdout)
    except ValueError:
        last = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return Inspection(
            problem=f"{path or name}: its process ended with {ran.returncode} while it was loaded: {last}"
        )
    return _inspection(said, path)


def _inspection(said: Mapping[str, Any], path: Path | None) -> Inspection:
    if "problem" in said:
        return Inspection(problem=said["problem"])
    schema = said.get("schema", {})
    if "errors" in said:
        return Inspection(summary=said["summary"], errors=tuple(map(_error, said["errors"])), options=schema)
    plugin = Plugin(
        PluginKind(said["kind"]),
        path=str(path) if path else None,
        mapping=said.get("mapping"),
        processors=tuple(said.get("processors", ())),
        many=said.get("many", False),
    )
    return Inspection(plugin, said["summary"], options=schema)


def _error(said: dict[str, Any]) -> ErrorDetails:
    error = ErrorDetails(type=said["type"], loc=tuple(said["loc"]), msg=said["msg"], input=None)
    if "ctx" in said:
        error["ctx"] = said["ctx"]
    return error
