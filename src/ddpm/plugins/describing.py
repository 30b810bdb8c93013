"""Says what a plugin is, as JSON on standard output: the other end of `inspecting`, in a process that may be lost.

python -m ddpm.plugins.describing NAME PATH < options.json
"""

import inspect
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ddpm.plugins.loading import PluginError, broken, function, load

Description = dict[str, Any]


def describe(found: object, options: Mapping[str, object], path: Path | None) -> Description:
    """What a plugin's object is, given its options.

    Returns:
        `kind`, `summary`, and `mapping` of a text; `schema` of the options and either `processors` and `many` or, when
        the options are wrong, `errors` of a class.

    Raises:
        PluginError: It is not a parser, or a class failed.

    """
    if isinstance(found, str):
        return {"kind": "mapping", "summary": "", "mapping": found}
    summary = (inspect.getdoc(found) or "").split("\n")[0]
    if inspect.isclass(found):
        return {"kind": "processors", "summary": summary, **_made(found, options, path)}
    if callable(found):
        function(found)
        return {"kind": "function", "summary": summary}
    message = f"{found!r} is not a parser: that is a function, a class or a text in Bloblang"
    raise PluginError(message, str(path) if path else None)


def _made(found: type, options: Mapping[str, object], path: Path | None) -> Description:
    model = getattr(found, "Options", None)
    if model is None:
        return {"schema": {}, **_processors(found, options, path)}
    if not (inspect.isclass(model) and issubclass(model, BaseModel)):
        raise _at(found, "Options must be a model of pydantic")
    schema = model.model_json_schema()
    try:
        given = model.model_validate_json(json.dumps(options))
    except ValidationError as error:
        return {"schema": schema, "errors": error.errors(include_url=False, include_input=False)}
    return {"schema": schema, **_processors(found, given, path)}


def _processors(found: type, options: object, path: Path | None) -> Description:
    try:
        processors = found(options).processors()
        json.dumps(processors)
    except BaseException as error:
        raise broken(error, path) from error
    if not (isinstance(processors, list) and processors and all(isinstance(each, dict) for each in processors)):
        raise _at(
            found, "processors() must return a list of the engine's processors, such as [{'mapping': 'root = this'}]"
        )
    return {"processors": processors, "many": bool(getattr(found, "many", False))}


def _at(found: type, message: str) -> PluginError:
    return PluginError(f"{found.__name__}: {message}", inspect.getsourcefile(found), inspect.getsourcelines(found)[1])


def main(name: str, path: Path | None) -> None:
    """Answer on standard output; what the plugin prints goes to standard error."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        said: Description = describe(load(name, path), json.load(sys.stdin), path)
    except PluginError as error:
        said = {"problem": str(error)}
    json.dump(said, answer, default=str)
    answer.flush()
    # Not through the interpreter's end: a thread of the plugin's could hold it up.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if sys.argv[2] else None)
