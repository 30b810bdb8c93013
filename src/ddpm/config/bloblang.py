"""What the engine says of a mistake in Bloblang, in a user's words and at the place that has to change. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ddpm.config.interpolate import BLOBLANG_TOKEN
from ddpm.config.known import did_you_mean

_UNRECOGNISED = re.compile(r"unrecognised (?P<kind>function|method) '(?P<name>[^']*)'")
_FILE = re.compile(r"(?:failed to read import: )?open (?P<path>.+?): (?P<why>no such file or directory|[a-z ]+)(?::|$)")
_GOT = re.compile(r",? (?:got: .*|but reached end of input.*)$", re.DOTALL)
_ASSIGNED = re.compile(r"\s*(?:(?:let|meta)\s+)?[\w.\"@$-]*\s*")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_WORDS = {"and": "&&", "or": "||", "not": "!"}
# What stands where the engine cannot go on, from other languages.
_SIGNS: Mapping[str, tuple[str, str | None]] = {
    "=": ('"=" assigns; compare with "=="', None),
    ":": ('a mapping assigns with "=", not with ":"', "write {target} = …"),
    "'": ("a text stands in double quotes", 'write "…"'),
    ";": ("each assignment stands on a line of its own", "replace ; by a new line"),
    "?": ("there is no ? in a mapping", "write if CONDITION {{ ONE }} else {{ OTHER }}"),
}
_ASSIGN = "begin it with root = or root.NAME ="


@dataclass(frozen=True, slots=True)
class Said:
    """What the engine said of a mapping: the place of a character, counted from 0, what it is, the names it knows."""

    index: int
    message: str
    functions: Sequence[str] = ()
    methods: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake in a mapping: at which character, what it is, and the way out."""

    index: int
    message: str
    hint: str | None = None


def explain(text: str, said: Said, *, condition: bool = False) -> Mistake:
    """What is wrong with a mapping.

    Args:
        text: The mapping as it was written.
        said: What the engine said; its place may lie beyond the end of the text.
        condition: Whether it is a filter, which is one expression.

    """
    found = Said(min(max(said.index, 0), len(text)), said.message, said.functions, said.methods)
    for known in (_unknown_name, _file, _quote, _sign, _word):
        if mistake := known(text, found):
            return mistake
    if mistake := _unfinished(text, found):
        return mistake
    if condition and _line_before(text, found.index).strip() == "" and found.index < len(text):
        return Mistake(found.index, "a filter is one condition, and another begins here", "join them with && or ||")
    if not condition and (start := _idle(text, found)) is not None:
        return Mistake(start, "this line assigns nothing", _ASSIGN)
    return Mistake(found.index, _plainly(found.message))


def may_read_files(text: str) -> bool:
    """Whether a mapping may read files when it is prepared."""
    return re.search(r"\b(?:file|file_rel|import|from)\b", text) is not None


def _unknown_name(text: str, said: Said) -> Mistake | None:
    found = _UNRECOGNISED.search(said.message)
    if found is None:
        return None
    kind, name = found["kind"], found["name"]
    own, others = (said.functions, said.methods) if kind == "function" else (said.methods, said.functions)
    at = text.rfind(name, 0, said.index)
    hint = did_you_mean(name, own)
    if name in others:
        hint = f"it is a method: this.field.{name}()" if kind == "function" else f"it is a function: {name}()"
    return Mistake(max(at, 0), f'there is no {kind} "{name}"', hint)


def _file(text: str, said: Said) -> Mistake | None:
    found = _FILE.search(said.message)
    if found is None:
        return None
    name = found["path"].rpartition("/")[2]
    at = text.rfind(name, 0, said.index)
    at = at if at >= 0 else text.find(name, said.index)
    at = said.index if at < 0 else text.rfind('"', 0, at) + 1
    missing = found["why"].startswith("no such file")
    state = "does not exist" if missing else f"cannot be read: {found['why']}"
    hint = "a path in a mapping begins at the configuration's folder" if not found["path"].startswith("//") else None
    return Mistake(at, f"the file {found['path']} {state}", hint)


def _quote(text: str, _: Said) -> Mistake | None:
    for token in BLOBLANG_TOKEN.finditer(text):
        if token[0] == '"' and token.lastgroup is None:
            return Mistake(token.start(), "a quote is opened here and never closed")
    return None


def _sign(text: str, said: Said) -> Mistake | None:
    at, before = said.index, _line_before(text, said.index)
    if text[at : at + 1] == "/" and before.endswith("/"):
        return Mistake(at - 1, "a comment begins with #")
    if text[at : at + 1] == ":" and not _ASSIGNED.fullmatch(before):
        return None
    message, hint = _SIGNS.get(text[at : at + 1], ("", None))
    if text[at : at + 1] == "=" and not before.strip():
        message, hint = "there is nothing before this = to assign to", "write root = or root.NAME ="
    if not message or text.startswith(("==", "=>"), at):
        return None
    return Mistake(at, message, hint and hint.format(target=_target(before)))


def _target(before: str) -> str:
    name = before.strip()
    return name if name.startswith(("root", "let ", "meta ", "this")) else f"root.{name}"


def _word(text: str, said: Said) -> Mistake | None:
    found = re.compile(r"(and|or|not)\b").match(text, said.index)
    return Mistake(said.index, f'"{found[1]}" is written {_WORDS[found[1]]} in a mapping') if found else None


def _unfinished(text: str, said: Said) -> Mistake | None:
    """Something that was opened, or begun, when the end came."""
    if "expected" not in said.message:
        return None
    opened = _opened(text)
    if opened is not None:
        return Mistake(opened, f"this {text[opened]} is opened here and never closed")
    end = len(text.rstrip())
    if said.index >= end and "expected query" in said.message:
        return Mistake(max(end - 1, 0), "the mapping ends in the middle of an expression")
    return None


def _opened(text: str) -> int | None:
    """The innermost bracket that is not closed."""
    stack: list[int] = []
    for token in BLOBLANG_TOKEN.finditer(text):
        if token.lastgroup != "code":
            continue
        for index in range(token.start(), token.end()):
            if text[index] in _BRACKETS:
                stack.append(index)
            elif stack and text[index] == _BRACKETS[text[stack[-1]]]:
                stack.pop()
    return stack[-1] if stack else None


def _idle(text: str, said: Said) -> int | None:
    """Where a line begins that assigns nothing, if the mistake is that."""
    if not said.message.startswith(("expected whitespace", "expected import")):
        return None
    start = text.rfind("\n", 0, said.index) + 1
    line = text[start:].partition("\n")[0]
    return None if "=" in line else start + len(line) - len(line.lstrip())


def _line_before(text: str, index: int) -> str:
    return text[text.rfind("\n", 0, index) + 1 : index]


def _plainly(message: str) -> str:
    text = _GOT.sub("", message.strip()).removeprefix("required: ")
    return " ".join(text.split()) or "the engine cannot read this"
