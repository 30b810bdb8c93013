"""Parsers that are not built in: where their plugin lies, and what is wrong with it.

Knows files and names; what a plugin is, when it has to be run to know, is asked of the `Inspect` that was handed in.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import ErrorDetails

from ddpm.config import tree
from ddpm.config.codes import Code
from ddpm.config.explain import judge_options, option_findings
from ddpm.config.model import BLOBLANG, Model, NoOptions, Plugin, PluginKind
from ddpm.config.paths import existing
from ddpm.config.problems import Finding, Place, Severity
from ddpm.config.tree import Scalar, find, text_at

PYTHON = ".py"
PACKAGE = "__init__.py"
GO = ".so"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found out about a plugin.

    Attributes:
        plugin: The plugin, unless something is wrong with it or with its options.
        summary: A sentence for people.
        problem: What is wrong with the plugin, with its file and line.
        errors: What is wrong with the options that it was given.
        options: The JSON schema of its options.

    """

    plugin: Plugin | None = None
    summary: str = ""
    problem: str | None = None
    errors: tuple[ErrorDetails, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


# Finds out about a plugin by its name, its file (None for an installed one) and the options that it is given.
Inspect = Callable[[str, Path | None, Mapping[str, object]], Inspection]


@dataclass(frozen=True, slots=True)
class Found:
    """The plugin that a pipeline uses, if any, and what is to be said about it."""

    plugin: Plugin | None = None
    findings: tuple[Finding, ...] = ()


def look_up(
    root: tree.Mapping,
    key_at: Place,
    parsers: Mapping[str, type[Model]],
    folders: Sequence[Path],
    inspect: Inspect | None,
) -> Found:
    """The plugin of one pipeline.

    Args:
        root: The keys of `app`, interpolated.
        key_at: The place of the key that opens them.
        parsers: The parsers for which no plugin is looked for.
        folders: Where relative paths are sought.
        inspect: Finds out what a plugin is; without it, plugins in Python are taken on trust.

    """
    named, path = text_at(root, "source", "parser"), text_at(root, "source", "plugin_path")
    name = str(named.value) if named else "json"
    if name in parsers or (path and is_go(path)):
        return Found(findings=tuple(_idle_workers(root, key_at, name)) if name in parsers else ())
    if path is None:
        # The name was checked against those of the installed plugins.
        return _inspected(root, key_at, name, None, inspect) if named else Found()
    found = existing(Path(str(path.value)), folders)
    if found is None:
        looked = f"looked in {' and '.join(map(str, folders))}"
        return _broken(path, f"the plugin {path.text} does not exist", looked, "file-missing")
    file = plugin_file(found, name)
    if file is None:
        hint = f"a folder holds {name}{PYTHON}, {name}{BLOBLANG}, or a package's {PACKAGE}"
        message = f'{path.text} holds no plugin for the parser "{name}"'
        return _broken(path, message, hint if found.is_dir() else f"a plugin ends in {PYTHON} or {BLOBLANG}")
    if file.suffix == BLOBLANG:
        findings = [*judge_options(root, key_at, {name: NoOptions}), *_idle_workers(root, key_at, name)]
        return Found(Plugin(PluginKind.MAPPING, path=str(file)), tuple(findings))
    return _inspected(root, key_at, name, file, inspect)


def plugin_file(path: Path, name: str) -> Path | None:
    """The file, or the folder of a package, in which the plugin for a parser is; None when there is none."""
    if path.is_file():
        return path if path.suffix in (PYTHON, BLOBLANG) else None
    if (path / PACKAGE).is_file():
        return path
    candidates = (path / f"{name}{PYTHON}", path / f"{name}{BLOBLANG}", path / name / PACKAGE)
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    return file.parent if file and file.name == PACKAGE else file


def is_go(path: Scalar) -> bool:
    """Whether a plugin is one of the forerunner's, which were compiled Go."""
    return str(path.value).endswith(GO)


def _inspected(root: tree.Mapping, key_at: Place, name: str, file: Path | None, inspect: Inspect | None) -> Found:
    if inspect is None:
        return Found()
    options = find(root, ("source", "options"), key_at)
    given = tree.to_data(options.node) if isinstance(options.node, tree.Mapping) and not options.rest else {}
    inspection = inspect(name, file, given if isinstance(given, dict) else {})
    if inspection.problem is not None:
        step = "plugin_path" if file else "parser"
        culprit = text_at(root, "source", step)
        assert culprit is not None  # noqa: S101 -- one of the two named the plugin
        message = f'the plugin of the parser "{name}" cannot be used: {inspection.problem}'
        return _broken(culprit, message, "correct it, or name another parser")
    kind = inspection.plugin.kind if inspection.plugin else PluginKind.PROCESSORS
    known = list(inspection.options.get("properties", {}))
    findings = option_findings(root, key_at, inspection.errors, known, name)
    if kind is not PluginKind.PROCESSORS:
        findings += judge_options(root, key_at, {name: NoOptions})
    if kind is not PluginKind.FUNCTION:
        findings += _idle_workers(root, key_at, name)
    else:
        findings += _no_python_in_containers(root, name)
    return Found(inspection.plugin, tuple(findings))


def _broken(culprit: Scalar, message: str, hint: str, code: Code = "plugin-broken") -> Found:
    return Found(findings=(Finding(code, culprit.at, culprit.path, message, hint),))


def _no_python_in_containers(root: tree.Mapping, name: str) -> Iterator[Finding]:
    launcher = text_at(root, "engine", "launcher")
    if launcher is not None and launcher.value == "container":
        message = f'the parser "{name}" is a Python function, and the container of an engine holds no Python'
        hint = "write launcher: process, or a mapping (.blobl) in the parser's place"
        yield Finding("launcher-unfit", launcher.at, launcher.path, message, hint)


def _idle_workers(root: tree.Mapping, key_at: Place, name: str) -> Iterator[Finding]:
    found = find(root, ("source", "workers"), key_at)
    if not found.rest:
        message = f'workers are ignored: the parser "{name}" is not a Python function'
        yield Finding("workers-ignored", found.key_at, found.node.path, message, "remove workers", Severity.WARNING)
