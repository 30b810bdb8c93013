"""Imports a plugin from a file, a folder or an entry point, and says what is wrong with one that is broken.

Runs the plugin's code: only processes that may be lost call it.
"""

import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ddpm.plugins.record import Meta

GROUP = "ddpm.parsers"
FUNCTION = "parse"
CLASS = "Parser"

ParseFunction = Callable[[bytes, Meta], Iterable[Any]]


@dataclass
class PluginError(Exception):
    """A plugin that cannot be used: what is wrong, and where."""

    message: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file and self.line else f"{self.file}: " if self.file else ""
        return place + self.message


def load(name: str, path: Path | None) -> object:
    """The plugin's object: a function, a class or a Bloblang text.

    Args:
        name: The parser's name; without a path, that of its entry point.
        path: A Python file or a package's folder.

    Raises:
        PluginError: It cannot be imported, or holds nothing that could be a parser.

    """
    return _from_entry_point(name) if path is None else _from_path(path)


def entry_points() -> list[importlib.metadata.EntryPoint]:
    """The parsers that installed packages bring, by their names; nothing of them is imported."""
    return sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: point.name)


def entry_point_names() -> list[str]:
    """The names of the parsers that installed packages bring."""
    return [point.name for point in entry_points()]


def function(found: object) -> ParseFunction:
    """The object as a parser function; raises PluginError if it cannot be called with a payload and a `Meta`."""
    if inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found):
        raise _broken(found, "is asynchronous; write a plain function")
    try:
        inspect.signature(found).bind(b"", None)  # type: ignore[arg-type]
    except TypeError as error:
        raise _broken(found, f"must take two arguments, payload and meta: {error}") from error
    return found  # type: ignore[return-value]


def broken(error: BaseException, path: Path | None = None) -> PluginError:
    """What a plugin's own exception says, at the innermost line that is the plugin's."""
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError):
        return PluginError(f"{type(error).__name__}: {error.msg}", error.filename, error.lineno)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_plugins(frame.filename, path)]
    if not frames:
        return PluginError(message, str(path) if path else None)
    return PluginError(message, frames[-1].filename, frames[-1].lineno)


def _is_plugins(file: str, path: Path | None) -> bool:
    if path is None:
        return not file.startswith("<frozen") and Path(file) != Path(__file__)
    return Path(file) == path or path in Path(file).parents


def _from_entry_point(name: str) -> object:
    found = [point for point in entry_points() if point.name == name]
    if not found:
        raise PluginError(f'no installed package has a parser "{name}" in the entry-point group {GROUP}')
    if len({point.value for point in found}) > 1:
        owners = " and ".join(sorted(point.dist.name if point.dist else point.value for point in found))
        raise PluginError(f'more than one installed package has a parser "{name}": {owners}')
    try:
        return found[0].load()
    except BaseException as error:
        raise broken(error) from error


def _from_path(path: Path) -> object:
    module = _imported(path)
    found = [getattr(module, each) for each in (FUNCTION, CLASS) if hasattr(module, each)]
    if len(found) != 1:
        what = "both" if found else "neither"
        joined = "and" if found else "nor"
        wanted = f"a function {FUNCTION}(payload, meta) {joined} a class {CLASS}"
        raise PluginError(f"the plugin has {what} {wanted}; it must have one of them", str(module.__file__), 1)
    return found[0]


def _imported(path: Path) -> ModuleType:
    file = path / "__init__.py" if path.is_dir() else path
    # Not in front of the rest, where a helper called like a module of the standard library would replace it.
    sys.path.append(str(path.parent))
    name = path.stem if path.stem not in sys.modules else f"ddpm_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise PluginError("not a Python file: its name must end in .py", str(file))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        raise broken(error, path) from error
    return module


def _broken(found: object, message: str) -> PluginError:
    code = getattr(inspect.unwrap(found), "__code__", None) if callable(found) else None
    name = getattr(found, "__name__", repr(found))
    return PluginError(f"{name} {message}", code.co_filename if code else None, code.co_firstlineno if code else None)
