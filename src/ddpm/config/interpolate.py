"""`${…}` in one text: environment variables and secret files, put in as data.

Knows neither YAML nor the model. In Bloblang a value becomes (part of) a literal, never code.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ddpm.config.codes import Code

SHORTEST_SECRET = 4
"""Shorter values are not hidden: hiding them would hide every text that happens to contain them."""

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_BODY = rf"(?:(?P<name>{_NAME})(?:(?P<operator>:-|:\?)(?P<rest>[^{{}}]*))?|file:(?P<file>[^{{}}]+))"
_TOKEN = re.compile(rf"(?P<escape>\$\$\{{)|\$\{{{_BODY}\}}|(?P<malformed>\$\{{[^{{}}\n]*\}}?)")
_EXACT = re.compile(rf"(?P<escape>\$\$\{{)|\$\{{{_BODY}\}}")
# Raw texts, texts, comments, code; whatever is none of these, such as a quote that is not closed, comes alone.
BLOBLANG_TOKEN = re.compile(
    r'(?P<raw>"""[\s\S]*?""")|(?P<text>"(?:\\.|[^"\\\n])*")|(?P<comment>#[^\n]*)'
    r"|(?P<code>(?:\$?\$\{[^{}]*\}|[^\"#$]|\$)+)|[\s\S]"
)
# What Bloblang reads as a number or a switch; it has no exponents.
_LITERAL = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?|true|false")


@dataclass(frozen=True, slots=True)
class Piece:
    """A value that came from outside: the expression in the file, and what stands for it; default texts are none."""

    expression: str
    value: str
    name: str | None
    """The environment variable; None for a file."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An expression that has no value, and why."""

    code: Code
    expression: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Swap:
    """An expression that stands from `start` to before `end` of a text, and the length of what took its place."""

    start: int
    end: int
    length: int


@dataclass(frozen=True, slots=True)
class Interpolated:
    """A text with its values in place; expressions with faults stand in it as written."""

    text: str
    pieces: tuple[Piece, ...] = ()
    faults: tuple[Fault, ...] = ()
    defaults: bool = False
    """Whether the default text of an expression was used."""
    swaps: tuple[Swap, ...] = field(default=(), compare=False)
    """Where the text differs from what was written, in its order."""


@dataclass(frozen=True, slots=True)
class Variables:
    """Where values come from: an environment, and files by the path in `${file:path}`.

    `read` gives the secret in a file; it raises OSError, UnicodeError, or ValueError with the reason.
    """

    env: Mapping[str, str]
    read: Callable[[str], str]


def interpolate(text: str, variables: Variables) -> Interpolated:
    """Put values into a text.

    `${A}`, `${A:-default}` (when unset or empty), `${A:?message}` (an error when unset or empty), `${file:path}` (its
    text without one trailing newline); `$${` stands for `${`. Values are not looked into again.
    """
    return _Filler(variables).filled(text)


def interpolate_bloblang(text: str, variables: Variables) -> Interpolated:
    """Put values into Bloblang as data: inside a string they are escaped, elsewhere they become a literal.

    Only exact expressions count; whatever else begins with `${`, such as `${! … }`, and all comments stay as they are.
    """
    filler = _Filler(variables)
    parts = [filler.bloblang(match) for match in BLOBLANG_TOKEN.finditer(text)]
    return filler.result("".join(parts))


def escaped(text: str) -> str:
    """The text that interpolation turns into `text`."""
    return text.replace("${", "$${")


def without_references(text: str, replacement: str) -> str:
    """The text with every expression replaced, or by its default where it has one: what the file alone says."""
    return _EXACT.sub(lambda match: match["rest"] if match["operator"] == ":-" else replacement, text)


def without_last_newline(text: str) -> str:
    """What a file with one secret holds: its text, without the newline that editors and `echo` put at its end."""
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


class _Filler:
    """One pass over one text; collects what it put in and what it could not."""

    def __init__(self, variables: Variables) -> None:
        self._variables = variables
        self._pieces: list[Piece] = []
        self._faults: list[Fault] = []
        self._defaults = False
        self._swaps: list[Swap] = []
        self._begin = 0

    def filled(self, text: str) -> Interpolated:
        return self.result(_TOKEN.sub(lambda match: self._value(match, str), text))

    def result(self, text: str) -> Interpolated:
        return Interpolated(text, tuple(self._pieces), tuple(self._faults), self._defaults, tuple(self._swaps))

    def bloblang(self, match: re.Match[str]) -> str:
        text = match[0]
        kind = match.lastgroup
        self._begin = match.start()
        if kind == "text":
            return _EXACT.sub(lambda inner: self._value(inner, lambda value: _json(value)[1:-1]), text)
        if kind == "raw":
            return _EXACT.sub(lambda inner: self._value(inner, self._raw(inner)), text)
        if kind == "code":
            return _EXACT.sub(lambda inner: self._value(inner, _literal), text)
        return text

    def _raw(self, match: re.Match[str]) -> Callable[[str], str]:
        def quoted(value: str) -> str:
            if '"' not in value:
                return value
            message = f'the value of {match[0]} contains a ", which cannot be written between """'
            hint = f'write "{match[0]}" outside of the """ text'
            self._faults.append(Fault("invalid-value", match[0], message, hint))
            return match[0]

        return quoted

    def _value(self, match: re.Match[str], written: Callable[[str], str]) -> str:
        text = self._instead(match, written)
        self._swaps.append(Swap(self._begin + match.start(), self._begin + match.end(), len(text)))
        return text

    def _instead(self, match: re.Match[str], written: Callable[[str], str]) -> str:
        if match["escape"]:
            return "${"
        if match.groupdict().get("malformed"):
            return self._fault(match, "bad-interpolation", *_malformed(match[0]))
        value = self._from_file(match) if match["file"] else self._from_env(match)
        return match[0] if value is None else written(value)

    def _from_env(self, match: re.Match[str]) -> str | None:
        name, operator, rest = match["name"], match["operator"], match["rest"]
        value = self._variables.env.get(name)
        if value is None or (operator and not value):
            return self._absent(match, "is not set" if value is None else "is empty", rest)
        if any("\ud800" <= char <= "\udfff" for char in value):
            self._fault(match, "invalid-value", f"the environment variable {name} is not UTF-8", None)
            return None
        self._pieces.append(Piece(match[0], value, name))
        return value

    def _absent(self, match: re.Match[str], state: str, rest: str | None) -> str | None:
        name, operator = match["name"], match["operator"]
        if operator == ":-":
            self._defaults = True
            return rest
        reason = f": {rest}" if operator and rest else ""
        message = f"the environment variable {name} {state}{reason}"
        hint = f"export {name}, or write a default: ${{{name}:-value}}"
        self._fault(match, "unset-variable", message, hint)
        return None

    def _from_file(self, match: re.Match[str]) -> str | None:
        path = match["file"]
        try:
            value = self._variables.read(path)
        except UnicodeError:
            reason = "it is not UTF-8"
        except OSError as error:
            reason = error.strerror or type(error).__name__
        except ValueError as error:
            reason = str(error)
        else:
            self._pieces.append(Piece(match[0], value, None))
            return value
        self._fault(match, "file-unreadable", f"the file {path} cannot be read: {reason}", None)
        return None

    def _fault(self, match: re.Match[str], code: Code, message: str, hint: str | None) -> str:
        self._faults.append(Fault(code, match[0], message, hint))
        return match[0]


def _malformed(expression: str) -> tuple[str, str]:
    # The expression itself is not quoted: in a URL it may have swallowed a password.
    if not expression.endswith("}"):
        return "this ${ has no } to its end, or braces inside", "write $${ for a literal ${"
    return (
        "this is none of ${NAME}, ${NAME:-default}, ${NAME:?message} and ${file:/path}",
        "write $${ for a literal ${",
    )


def _json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _literal(value: str) -> str:
    return value if _LITERAL.fullmatch(value) else _json(value)
