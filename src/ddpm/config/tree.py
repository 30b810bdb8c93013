"""YAML text as a tree in which every value knows its place and its dotted path.

Reads plain YAML only: no tags of programs, aliases and merge keys within limits, no key twice. Knows nothing of ddpm's
keys. A broken text gives findings, never an exception of the YAML library.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Union

import yaml

from ddpm.config import java
from ddpm.config.codes import Code
from ddpm.config.document import Document, Span
from ddpm.config.interpolate import Piece, Swap
from ddpm.config.problems import Finding, Place

MOST_VALUES = 20_000
DEEPEST = 50

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
# What YAML 1.1 reads as another number than people mean: 010 is 8, and 12:30 is 750.
_TREACHEROUS_NUMBER = re.compile(r"[-+]?0[0-9_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_UNREADABLE = object()
# What the library says, what it means to a person, and the way out; the first that fits.
_SYNTAX = (
    ("'\\t'", "a tab cannot indent YAML", "use spaces"),
    ("single document", "a second YAML document begins here", "several pipelines go under pipelines: of one document"),
    ("undefined alias", "this alias has no anchor before it", "quote the value if it is meant to begin with *"),
    (
        "mapping values are not allowed",
        "a key: value pair cannot stand here",
        "quote the value if it contains a colon, or correct its indentation",
    ),
    ("end of stream, while scanning a quoted", "a quote is opened here and never closed", None),
    ("<stream end>', while parsing a flow", "this bracket is opened here and never closed", None),
    ("<block end>, but found", "the indentation of this line does not fit the lines above it", None),
    ("could not find expected ':'", "a key stands here without a colon after it", None),
)

ScalarValue = str | int | float | bool | None
Node = Union["Scalar", "Sequence", "Mapping"]


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value. `text` is what was written, without quotes; `broken` says that a finding about it exists already."""

    path: str
    at: Place
    span: Span
    value: ScalarValue
    text: str
    plain: bool
    pieces: tuple[Piece, ...] = ()
    interpolated: bool = False
    broken: bool = False
    swaps: tuple[Swap, ...] = ()


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    path: str
    at: Place
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and its value."""

    at: Place
    node: "Node"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values; keys are always texts, as they were written."""

    path: str
    at: Place
    entries: dict[str, Entry] = field(default_factory=dict)

    def get(self, key: str) -> Node | None:
        """The value of a key, or None."""
        entry = self.entries.get(key)
        return entry.node if entry else None

    def having(self, key: str, node: Node, at: Place) -> "Mapping":
        """The same mapping with one key set."""
        return replace(self, entries={**self.entries, key: Entry(at, node)})

    def without(self, *keys: str) -> "Mapping":
        """The same mapping without some keys."""
        return replace(self, entries={key: entry for key, entry in self.entries.items() if key not in keys})


Step = str | int


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text holds: None when it is empty or no YAML at all; then, and for worse, there are findings."""

    root: Node | None
    findings: tuple[Finding, ...]


def parse(document: Document, path: str = "") -> Parsed:
    """Read a document; every problem of the YAML itself becomes a finding.

    Args:
        document: What is read.
        path: Where in a configuration its text belongs; the whole of one without it.

    """
    beginning = document.place(document.start)
    try:
        top = yaml.compose(document.yaml, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        return Parsed(None, (_syntax_finding(document, error),))
    except RecursionError:
        return Parsed(None, (_too_much(beginning, f"is nested deeper than {DEEPEST} levels"),))
    if top is None:
        return Parsed(None, ())
    builder = _Builder(document)
    try:
        root = builder.node(top, path, 0, frozenset())
    except _TooMuchError as error:
        return Parsed(None, (*builder.findings, error.finding))
    return Parsed(root, tuple(builder.findings))


def plain_value(text: str) -> ScalarValue:
    """What an unquoted scalar means in YAML; octal and base-60 numbers and dates stay texts."""
    loader = yaml.SafeLoader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    value = _converted(loader, yaml.ScalarNode(tag, text))
    return value if value is None or isinstance(value, str | int | float) else text


def is_treacherous(text: str) -> bool:
    """Whether a text looks like a number that YAML 1.1 reads otherwise than people do."""
    return bool(_TREACHEROUS_NUMBER.fullmatch(text))


def walk(node: Node) -> Iterator[Scalar]:
    """Every scalar of a tree, in order."""
    match node:
        case Scalar():
            yield node
        case Sequence():
            for item in node.items:
                yield from walk(item)
        case Mapping():
            for entry in node.entries.values():
                yield from walk(entry.node)


def to_data(node: Node, retyped: frozenset[str] = frozenset()) -> object:
    """The tree as plain Python values; scalars whose path is in `retyped` mean what their text means unquoted."""
    match node:
        case Scalar():
            return plain_value(str(node.value).strip()) if node.path in retyped else node.value
        case Sequence():
            return [to_data(item, retyped) for item in node.items]
        case Mapping():
            return {key: to_data(entry.node, retyped) for key, entry in node.entries.items()}


@dataclass(frozen=True, slots=True)
class Found:
    """Where a path of keys and indices leads: the last node that exists, its own place or its key's, what is left."""

    node: Node
    key_at: Place
    rest: tuple[Step, ...]


def find(root: Node, steps: tuple[Step, ...], key_at: Place) -> Found:
    """Follow keys and indices as far as they lead."""
    node = root
    for index, step in enumerate(steps):
        if isinstance(node, Mapping) and isinstance(step, str) and step in node.entries:
            entry = node.entries[step]
            node, key_at = entry.node, entry.at
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            key_at = node.at
        else:
            return Found(node, key_at, steps[index:])
    return Found(node, key_at, ())


def text_at(root: Mapping, *steps: str) -> Scalar | None:
    """The text that keys lead to; None when there is none, or when its interpolation failed."""
    found = find(root, steps, root.at)
    node = found.node
    usable = not found.rest and isinstance(node, Scalar) and isinstance(node.value, str) and not node.broken
    return node if usable and isinstance(node, Scalar) else None


def merged(base: Mapping, over: Mapping) -> Mapping:
    """The mapping `base` with the keys of `over`: mappings are merged, everything else is replaced."""
    entries = dict(base.entries)
    for key, entry in over.entries.items():
        below = base.get(key)
        if isinstance(below, Mapping) and isinstance(entry.node, Mapping):
            entries[key] = Entry(entry.at, merged(below, entry.node))
        else:
            entries[key] = entry
    return Mapping(over.path, over.at, entries)


class _TooMuchError(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


class _Builder:
    """Turns the library's nodes, in which aliases share subtrees, into a tree; counts what it makes."""

    def __init__(self, document: Document) -> None:
        self.findings: list[Finding] = []
        self._document = document
        self._made = 0
        self._loader = yaml.SafeLoader("")

    def node(self, node: yaml.Node, path: str, depth: int, above: frozenset[int]) -> Node:
        self._count(node, depth, above)
        at = _place(self._document, node.start_mark)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, at)
        if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            self._strange_tag(node, path)
        above = above | {id(node)}
        if not isinstance(node, yaml.MappingNode):
            items = (self.node(item, f"{path}[{i}]", depth + 1, above) for i, item in enumerate(node.value))
            return Sequence(path, at, tuple(items))
        return Mapping(path, at, self._entries(node, path, depth + 1, above))

    def _count(self, node: yaml.Node, depth: int, above: frozenset[int]) -> None:
        self._made += 1
        if depth > DEEPEST:
            raise _TooMuchError(
                _too_much(_place(self._document, node.start_mark), f"is nested deeper than {DEEPEST} levels")
            )
        if self._made > MOST_VALUES:
            message = f"holds more than {MOST_VALUES} values once its aliases are followed"
            raise _TooMuchError(_too_much(_place(self._document, node.start_mark), message))
        if id(node) in above:
            raise _TooMuchError(
                _too_much(_place(self._document, node.start_mark), "holds an alias that contains itself")
            )

    def _entries(self, node: yaml.MappingNode, path: str, depth: int, above: frozenset[int]) -> dict[str, Entry]:
        own: dict[str, Entry] = {}
        inherited: dict[str, Entry] = {}
        seen: dict[str, Place] = {}
        for key, value in node.value:
            at = _place(self._document, key.start_mark)
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None:
                self._find("wrong-type", at, path, "a key must be text, this one is a list or a mapping")
                continue
            if name in seen:
                hint = f"it stands in line {seen[name].line} already; keep one of them"
                self._find("duplicate-key", at, _joined(path, name), "this key is there twice", hint)
            seen.setdefault(name, at)
            if key.tag == _MERGE:
                inherited = {**self._inherited(value, path, depth, above), **inherited}
            else:
                own[name] = Entry(at, self.node(value, _joined(path, name), depth, above))
        return {**inherited, **own}

    def _inherited(self, node: yaml.Node, path: str, depth: int, above: frozenset[int]) -> dict[str, Entry]:
        """The entries behind a merge key `<<`: of one mapping, or of several, of which the first wins."""
        self._count(node, depth, above)
        if isinstance(node, yaml.MappingNode):
            return self._entries(node, path, depth + 1, above | {id(node)})
        entries: dict[str, Entry] = {}
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                if isinstance(item, yaml.MappingNode):
                    entries = {**self._inherited(item, path, depth + 1, above | {id(node)}), **entries}
                else:
                    self._cannot_merge(item, path)
        else:
            self._cannot_merge(node, path)
        return entries

    def _cannot_merge(self, node: yaml.Node, path: str) -> None:
        self._find(
            "wrong-type",
            _place(self._document, node.start_mark),
            path,
            "<< merges mappings only, named by their *alias",
        )

    def _scalar(self, node: yaml.ScalarNode, path: str, at: Place) -> Scalar:
        start = self._document.start
        span = (node.start_mark.index + start, node.end_mark.index + start)
        value = _converted(self._loader, node)
        text = node.value
        broken = True
        if any("\ud800" <= char <= "\udfff" for char in text):
            self._find("invalid-value", at, path, "this text holds half of a character (a lone surrogate)")
            value = ""
        elif value is _UNREADABLE:
            if node.tag in (f"{_TAG}int", f"{_TAG}float", f"{_TAG}bool"):
                self._find("wrong-type", at, path, f"this cannot be read as {node.tag.replace(_TAG, '!!')}")
            else:
                self._strange_tag(node, path)
            value = text
        else:
            broken = False
        checked = value if value is None or isinstance(value, str | int | float) else text
        return Scalar(path, at, span, checked, text, node.style is None, broken=broken)

    def _strange_tag(self, node: yaml.Node, path: str) -> None:
        message = f"the tag {node.tag.replace(_TAG, '!!')} is not allowed here"
        self._find(
            "unsafe-tag", _place(self._document, node.start_mark), path, message, "write plain YAML without tags"
        )

    def _find(self, code: Code, at: Place, path: str, message: str, hint: str | None = None) -> None:
        self.findings.append(Finding(code, at, path, message, hint))


def _converted(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> object:
    kind = node.tag.removeprefix(_TAG)
    text = node.value
    if kind in ("str", "timestamp", "merge", "value") or (kind in ("int", "float") and is_treacherous(text)):
        return text
    if kind == "null":
        return None
    constructors = {
        "bool": loader.construct_yaml_bool,
        "int": loader.construct_yaml_int,
        "float": loader.construct_yaml_float,
    }
    try:
        return constructors[kind](node)
    except (ValueError, KeyError, IndexError):
        return _UNREADABLE


def _syntax_finding(document: Document, error: yaml.YAMLError) -> Finding:
    beginning = document.place(document.start)
    if (pasted := java.pasted(document.yaml)) is not None:
        said = "a line name=value of a properties file is not YAML"
        return Finding("yaml-syntax", document.place(pasted[0] + document.start), "", said, pasted[1])
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        if error.context_mark and ("end of stream" in str(error.problem) or "<stream end>" in str(error.problem)):
            mark = error.context_mark
        elif mark and (finding := _misplaced(document, error, mark)):
            return finding
        message, hint = _syntax_message(error, document.yaml, mark.index if mark else 0)
        return Finding("yaml-syntax", _place(document, mark) if mark else beginning, "", message, hint)
    if isinstance(error, yaml.reader.ReaderError):
        character = document.yaml[error.position : error.position + 1]
        message = f"the character U+{ord(character):04X} is not allowed in YAML" if character else "this is not YAML"
        return Finding("yaml-syntax", document.place(error.position + document.start), "", message)
    return Finding("yaml-syntax", beginning, "", "this is not YAML")


def _misplaced(document: Document, error: yaml.MarkedYAMLError, mark: yaml.Mark) -> Finding | None:
    """What was opened on an earlier line, when it is the cause of an error where something cannot go on."""
    text = document.yaml
    opened = error.context_mark
    if "${" in text[max(mark.index - 1, 0) : mark.index + 2]:
        return None
    if opened and "while parsing a flow" in str(error.context) and "expected ',' or" in str(error.problem):
        if opened.line < mark.line:
            message = f"this bracket is opened here and not closed before line {mark.line + 1}"
            return Finding("yaml-syntax", _place(document, opened), "", message)
        return Finding(
            "yaml-syntax", _place(document, mark), "", "a comma, or the closing bracket, is missing before this"
        )
    quoted = _quoted_before(text, mark)
    if quoted is None:
        return None
    begin, end = quoted
    if begin.line == end.line:
        return Finding("yaml-syntax", _place(document, mark), "", "nothing can follow a quoted value on its line")
    hint = f"the next quote, in line {end.line + 1}, ends it; close it where it should end"
    return Finding(
        "yaml-syntax",
        _place(document, begin),
        "",
        "a quote is opened here and closed only by that of another value",
        hint,
    )


def _quoted_before(text: str, mark: yaml.Mark) -> tuple[yaml.Mark, yaml.Mark] | None:
    """Where the quoted value begins and ends that stands before a place, on its line."""
    found = None
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if token.start_mark.index >= mark.index:
                break
            if isinstance(token, yaml.ScalarToken) and token.style and token.end_mark.line == mark.line:
                found = (token.start_mark, token.end_mark)
            elif isinstance(token, yaml.ScalarToken):
                found = None
    except yaml.YAMLError:
        pass
    return found


def _syntax_message(error: yaml.MarkedYAMLError, text: str, index: int) -> tuple[str, str | None]:
    problem = error.problem or error.context or "this is not YAML"
    if "${" in text[max(index - 1, 0) : index + 2]:
        # What is not a reference may be a secret behind two characters that fell into it.
        expression = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::[-?][^{}\n]*)?\}").search(text, max(index - 1, 0))
        written = expression[0] if expression and expression.start() <= index else "${NAME}"
        return "${ cannot stand unquoted inside [ ] and { }", f'quote it: "{written}"'
    for sign, message, hint in _SYNTAX:
        if sign in f"{problem}, {error.context}":
            return message, hint
    context = f" {error.context}" if error.context and error.problem else ""
    return f"{problem}{context}", None


def _too_much(at: Place, message: str) -> Finding:
    return Finding("yaml-syntax", at, "", f"the file {message}", "a configuration needs no such thing; write it out")


def _place(document: Document, mark: yaml.Mark) -> Place:
    return document.place(mark.index + document.start)


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
