"""The model's verdict on one pipeline, in a user's words at the places of the file.

The only module that knows the validator's own errors. A value is shown only when it stands in the file itself and is
no secret; a value that was interpolated is shown as the expression that brought it.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ddpm.config import java, tree
from ddpm.config.codes import Code
from ddpm.config.interpolate import SHORTEST_SECRET
from ddpm.config.known import Known, OptionsKnown, PipelineKnown, did_you_mean
from ddpm.config.model import Model, NoOptions, Pipeline
from ddpm.config.problems import Finding, Place
from ddpm.config.tree import Found, Node, Scalar, Step, find

_OPTIONS = ("source", "options")
_UNION_MEMBERS = ("str", "int", "float", "bool")
_MISSING = ("missing", "missing_section")
# The fields of these errors take no text as such, so a value from outside means what it means in YAML; in quotes, too,
# without which it could not stand between brackets and braces.
_RETYPED = ("int_type", "float_type", "bool_type", "duration", "size")
_EXPECTED = {
    "string_type": "text",
    "path_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
}
_CONTAINERS = ("tuple_type", "dict_type", "model_type")
_BOUNDS = {
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
}


@dataclass(frozen=True, slots=True)
class Missing:
    """A field or section that a pipeline lacks: its path below the pipeline, and why it is needed."""

    steps: tuple[Step, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A pipeline, or what is wrong with it; what is missing is kept apart, since it has no place of its own."""

    pipeline: Pipeline | None
    findings: tuple[Finding, ...] = ()
    missing: tuple[Missing, ...] = ()


def judge(root: tree.Mapping, key_at: Place, model: type[Pipeline]) -> Verdict:
    """Validate the keys of one pipeline, strictly: no text is taken for a number, no number for a text.

    Args:
        root: The keys of `app`, interpolated.
        key_at: The place of the key that opens them.
        model: What a pipeline is, with the sinks that there are.

    """
    pipeline, errors = _validated(tree.to_data(root), model)
    unfit = [_found(root, key_at, error).node for error in errors if error["type"] in _RETYPED]
    retyped = frozenset(node.path for node in unfit if isinstance(node, Scalar) and node.interpolated)
    if retyped:
        pipeline, errors = _validated(tree.to_data(root, retyped), model)
    findings, missing = [], []
    for error in _worth_showing(errors):
        if error["type"] in _MISSING:
            missing.append(_missing(error))
            continue
        found = _found(root, key_at, error)
        if not (isinstance(found.node, Scalar) and found.node.broken):
            findings.append(_finding(error, found, PipelineKnown(model)))
    for section, kind in _lacking(root, model) if missing else ():
        if (section,) not in (each.steps for each in missing):
            missing.append(Missing((section,), f"missing section: the {kind} sink needs it"))
    return Verdict(pipeline, tuple(findings), tuple(missing))


def _lacking(root: tree.Mapping, model: type[Pipeline]) -> Iterator[tuple[str, str]]:
    """The sections that a pipeline needs for its sinks and does not have; the model asks when nothing else is wrong."""
    sinks = root.get("sinks")
    named = {model.usual} if sinks is None else {scalar.value for scalar in tree.walk(sinks)}
    for section, kind in model.sections.items():
        if kind.kind in named and section not in root.entries:
            yield section, kind.kind


def judge_options(root: tree.Mapping, key_at: Place, parsers: Mapping[str, type[Model]]) -> list[Finding]:
    """Validate `source.options` of one pipeline by the model of its parser, as strictly; `judge` sees to the rest.

    Args:
        root: The keys of `app`, interpolated.
        key_at: The place of the key that opens them.
        parsers: The model of the options of each parser.

    """
    named, options = find(root, ("source", "parser"), key_at), find(root, _OPTIONS, key_at)
    name = named.node.value if isinstance(named.node, Scalar) and not named.rest else "json"
    model = parsers.get(str(name), NoOptions)
    given = isinstance(options.node, tree.Mapping) and not options.rest
    # A plugin judges its options itself.
    if not (given or options.rest) or str(name) not in parsers:
        return []
    errors = _errors_of(model, tree.to_data(options.node) if given else {})
    return option_findings(root, key_at, errors, model.model_fields, str(name), model=model)


def option_findings(
    root: tree.Mapping,
    key_at: Place,
    errors: Iterable[ErrorDetails],
    known: Collection[str],
    parser: str,
    *,
    model: type[Model] = NoOptions,
) -> list[Finding]:
    """What is wrong with `source.options`, in a user's words at the places of the file.

    Args:
        root: The keys of `app`, interpolated.
        key_at: The place of the key that opens them.
        errors: The validator's errors; their places are below `source.options`.
        known: The options that there are.
        parser: The parser's name.
        model: The model of the options, for examples.

    """
    findings = []
    known_here = OptionsKnown(_OPTIONS, model)
    for error in errors:
        at = ErrorDetails(**{**error, "loc": (*_OPTIONS, *error["loc"])})
        if error["type"] == "missing":
            findings.append(missing_finding(_missing(at), root, key_at, known_here))
            continue
        finding = _finding(at, _found(root, key_at, at), known_here)
        if error["type"] == "extra_forbidden":
            hint = did_you_mean(str(error["loc"][-1]), known) or _known_options(known, parser)
            finding = replace(finding, hint=hint)
        findings.append(finding)
    return findings


def _known_options(known: Collection[str], parser: str) -> str:
    return f"known here: {', '.join(known)}" if known else f'the parser "{parser}" has no options'


def _errors_of(model: type[Model], data: object) -> list[ErrorDetails]:
    try:
        model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        return _worth_showing(error.errors(include_url=False, include_input=False))
    return []


def missing_finding(missing: Missing, root: tree.Mapping, key_at: Place, known: Known) -> Finding:
    """The finding for something missing, at the innermost section of `root` that should hold it."""
    found = find(root, missing.steps[:-1], key_at)
    path = found.node.path
    for step in (*found.rest, missing.steps[-1]):
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return Finding("missing-field", found.key_at, path, missing.message, _example(missing.steps, known))


def _example(steps: tuple[Step, ...], known: Known) -> str | None:
    field = known.at(steps[:-1]).get(str(steps[-1])) if steps else None
    if needed := [name for name, each in known.at(steps).items() if each.is_required()]:
        return f"write {steps[-1]}: and below it {', '.join(needed)}"
    return f"write for example {steps[-1]}: {_yaml(field.examples[0])}" if field and field.examples else None


def _validated(data: object, model: type[Pipeline]) -> tuple[Pipeline | None, list[ErrorDetails]]:
    # JSON is the form in which strictness leaves lists, paths and enumerations alone and distinguishes 3 from "3".
    try:
        return model.model_validate_json(json.dumps(data), strict=True), []
    except ValidationError as error:
        return None, error.errors(include_url=False, include_input=False)


def _worth_showing(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """The errors without those that only follow from others: a list is "too short" when its items are wrong."""
    places = [error["loc"] for error in errors]
    return [
        error
        for error in errors
        if error["type"] != "too_short"
        or not any(len(place) > len(error["loc"]) and place[: len(error["loc"])] == error["loc"] for place in places)
    ]


def _context(error: ErrorDetails) -> Mapping[str, Any]:
    return error.get("ctx", {})


def _found(root: tree.Mapping, key_at: Place, error: ErrorDetails) -> Found:
    return find(root, (*error["loc"], *_context(error).get("at", ())), key_at)


def _missing(error: ErrorDetails) -> Missing:
    if error["type"] == "missing":
        return Missing(error["loc"], "missing field")
    return Missing((*error["loc"], *_context(error)["at"]), f"missing section: {error['msg']}")


def _finding(error: ErrorDetails, found: Found, known: Known) -> Finding:
    node = found.node
    at_key = isinstance(node, tree.Mapping) or error["type"] == "extra_forbidden" or found.rest == ("[key]",)
    secret = known.is_secret(error["loc"])
    code, message, hint = _in_words(error, found, known, secret=secret)
    if not secret:
        message, hint = _unrevealing(message, node), hint and _unrevealing(hint, node)
    return Finding(code, found.key_at if at_key else node.at, node.path, message, hint)


def _in_words(error: ErrorDetails, found: Found, known: Known, *, secret: bool) -> tuple[Code, str, str | None]:
    kind, context, node = error["type"], _context(error), found.node
    if kind == "extra_forbidden":
        return "unknown-field", "unknown field", _hint_for_unknown(error["loc"], known, node)
    if kind in _EXPECTED:
        union = found.rest and found.rest[-1] in _UNION_MEMBERS
        expected = "text, a number, true or false" if union else _EXPECTED[kind]
        return "wrong-type", f"expected {expected}, got {_described(node, secret)}", _hint_for_type(kind, node, secret)
    if kind in ("enum", "literal_error"):
        return _wrong_choice(node, re.findall(r"'([^']*)'", context["expected"]), secret)
    if kind == "unknown_name":
        hint = did_you_mean(context["name"], context["known"]) or f"known: {', '.join(context['known'])}"
        return "invalid-value", f'"{context["name"]}" is not a {context["what"]}', hint
    if kind in ("string_too_short", "too_short"):
        least = context.get("min_length", 1)
        said = "must not be empty" if least == 1 else f"must have at least {least} characters"
        return "invalid-value", said, _example(error["loc"], known)
    return "invalid-value", _wrong_number(kind, context, node, secret) or _sentence(error), None


def _wrong_number(kind: str, context: Mapping[str, Any], node: Node, secret: bool) -> str | None:
    if kind in _BOUNDS:
        key, phrase = _BOUNDS[kind]
        return f"{phrase} {context[key]:g}, is {_shown(node, secret)}"
    return "must be a finite number" if kind == "finite_number" else None


def _wrong_choice(node: Node, known: list[str], secret: bool) -> tuple[Code, str, str | None]:
    choices = f"one of {', '.join(known)}"
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return "wrong-type", f"expected {choices}, got {_described(node, secret)}", None
    hint = None if node.interpolated else did_you_mean(node.value, known)
    return "invalid-value", f'expected {choices}, got "{_shown(node, secret)}"', hint


def _sentence(error: ErrorDetails) -> str:
    cause = _context(error).get("error")
    return str(cause) if cause is not None else error["msg"]


def _hint_for_unknown(steps: tuple[Step, ...], known: Known, node: Node) -> str | None:
    name, names = str(steps[-1]), list(known.at(steps[:-1]))
    if alike := java.equivalent(name, node.text if isinstance(node, Scalar) else ""):
        return alike
    if near := did_you_mean(name, names):
        return near
    if homes := known.homes(name):
        return f"it belongs to {' or '.join(homes)}"
    return f"known here: {', '.join(names)}" if names else None


def _hint_for_type(kind: str, node: Node, secret: bool) -> str | None:
    if not isinstance(node, Scalar):
        return None if kind in _CONTAINERS else "write one value"
    if node.value is None:
        return "give it a value, or remove the key"
    if node.interpolated:
        return "a value from outside stays one value" if kind in _CONTAINERS else None
    return None if secret else _hint_for_written(kind, node)


def _hint_for_written(kind: str, node: Scalar) -> str | None:
    if kind == "model_type" and (pasted := java.pasted(node.text)):
        return pasted[1]
    quoted = json.dumps(node.text, ensure_ascii=False)
    if kind == "string_type":
        reading = f"YAML reads {node.text} as {_yaml(node.value)}; " if isinstance(node.value, bool) else ""
        return f"{reading}write it in quotes: {quoted}"
    if kind == "tuple_type":
        return f"write a list: [{quoted}]"
    return _hint_for_text(kind, node) if isinstance(node.value, str) else None


def _hint_for_text(kind: str, node: Scalar) -> str | None:
    if node.plain and kind == "int_type" and re.fullmatch(r"[-+]?0[0-9_]+", node.text):
        return f"a leading 0 makes an octal number in YAML; write {node.text.lstrip('+-0_') or '0'}"
    if node.plain and kind == "int_type" and ":" in node.text:
        return "digits and colons make a base-60 number in YAML; write a plain number"
    meant = tree.plain_value(node.text)
    numeric = isinstance(meant, int | float) and not isinstance(meant, bool)
    fits = isinstance(meant, bool) if kind == "bool_type" else numeric
    return "remove the quotes" if fits and not node.plain else None


def _described(node: Node, secret: bool) -> str:
    if not isinstance(node, Scalar):
        return "keys and values" if isinstance(node, tree.Mapping) else "a list"
    if node.value is None:
        return f"nothing ({node.text} is empty)" if node.interpolated else "nothing"
    if node.interpolated:
        return f"what {node.text} stands for"
    if isinstance(node.value, str):
        return node.text if node.plain and tree.is_treacherous(node.text) else "text"
    if secret:
        return "another value"
    return _yaml(node.value) if isinstance(node.value, bool) else f"the number {_yaml(node.value)}"


def _shown(node: Node, secret: bool) -> str:
    if secret or not isinstance(node, Scalar):
        return "another value"
    return node.text


def _unrevealing(message: str, node: Node) -> str:
    for scalar in tree.walk(node):
        if scalar.interpolated:
            message = message.replace(f'"{scalar.value}"', f'"{scalar.text}"')
        for piece in scalar.pieces:
            if len(piece.value) >= SHORTEST_SECRET:
                message = message.replace(piece.value, piece.expression)
    return message


def _yaml(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
