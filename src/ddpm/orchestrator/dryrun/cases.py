"""Case files: what goes into a pipeline and what is expected to come out, read with the places of every problem."""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ddpm.config import tree
from ddpm.config.codes import Code
from ddpm.config.document import Document
from ddpm.config.files import read_text, reason
from ddpm.config.known import did_you_mean
from ddpm.config.problems import ConfigProblems, Finding, Place
from ddpm.exact import loads
from ddpm.orchestrator.dryrun.trials import Record

SUFFIX = ".cases.yaml"

_CASE = ("name", "input", "key", "headers", "topic", "timestamp", "rows", "documents", "filtered", "reason")
_EXPECTED = ("rows", "documents", "filtered", "reason")
_REASON = ("stage", "code", "column", "message", "index")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class ExpectedCell:
    """What a column is expected to hold: the text that is written, several that are as good, or JSON."""

    column: str
    at: Place
    shown: str
    texts: tuple[str | None, ...] = ()
    document: Any = None


@dataclass(frozen=True, slots=True)
class ExpectedReason:
    """What is expected of a dead letter; `message` is a part of the whole, and None says nothing."""

    stage: str | None = None
    code: str | None = None
    column: str | None = None
    message: str | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A record, and what is expected of it; None of `rows` and `documents` says nothing about them."""

    name: str
    at: Place
    record: Record
    rows: tuple[tuple[ExpectedCell, ...], ...] | None = None
    documents: tuple[Any, ...] | None = None
    filtered: bool = False
    reasons: tuple[ExpectedReason, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The cases of one file, and the pipeline that they are for if it is named."""

    document: Document = field(repr=False)
    pipeline: str | None
    cases: tuple[Case, ...]

    @property
    def path(self) -> Path:
        """The file."""
        return self.document.file

    def check_columns(self, columns: Collection[str]) -> None:
        """Raise ConfigProblems where a row names a column that the pipeline does not write."""
        findings = []
        for case in self.cases:
            if case.rows is not None and not columns:
                hint = "write documents: instead of rows:"
                findings.append(Finding("no-table", case.at, case.name, "this pipeline writes no table", hint))
                continue
            for cell in (cell for row in case.rows or () for cell in row if cell.column not in columns):
                hint = did_you_mean(cell.column, columns) or f"there are: {', '.join(columns)}"
                findings.append(Finding("unknown-column", cell.at, cell.column, "there is no such column", hint))
        _raise(self.document, findings)


def read_cases(path: Path) -> CaseFile:
    """Read a case file; raises ConfigProblems with everything that is wrong with it."""
    try:
        document = Document(path, read_text(path))
    except (OSError, ValueError) as error:
        finding = Finding("file-unreadable", None, "", "the file cannot be read", reason(error))
        raise ConfigProblems(Document(path, "").problems([finding], ())) from error
    parsed = tree.parse(document)
    reading = _Reading(path, list(parsed.findings))
    top = reading.mapping(parsed.root, "", ("pipeline", "cases"), Place(1, 1))
    name = reading.text(top, "pipeline")
    cases = tuple(reading.cases(top))
    _raise(document, reading.findings)
    return CaseFile(document, name, cases)


def _raise(document: Document, findings: list[Finding]) -> None:
    if findings:
        raise ConfigProblems(document.problems(findings, ()))


class _Reading:
    """Takes the tree of one file apart; gathers what is wrong with it."""

    def __init__(self, path: Path, findings: list[Finding]) -> None:
        self.findings = findings
        self._folder = path.absolute().parent

    def cases(self, top: tree.Mapping) -> Iterator[Case]:
        listed = top.get("cases")
        if not isinstance(listed, tree.Sequence) or not listed.items:
            if not self.findings:
                self._find(
                    "missing-field", listed or top, "no cases are listed", "begin with cases: and a list below it"
                )
            return
        names: set[str] = set()
        for node in listed.items:
            case = self._case(self.mapping(node, "name: …, input: …, and what is expected", _CASE, node.at))
            if case.name in names:
                self._find(
                    "duplicate-case", node, f'another case is called "{case.name}"', "name each case differently"
                )
            names.add(case.name)
            yield case

    def mapping(self, node: tree.Node | None, wanted: str, known: Collection[str], at: Place) -> tree.Mapping:
        """The node with nothing but known keys; an empty mapping, and a finding, if it is something else."""
        if not isinstance(node, tree.Mapping):
            if not any(finding.code == "yaml-syntax" for finding in self.findings):
                hint = f"write {wanted}" if wanted else "begin with cases: and a list below it"
                where = node or tree.Mapping("", at)
                self._find("wrong-type", where, "expected keys and values", hint)
            return tree.Mapping("", at)
        for key, entry in node.entries.items():
            if known and key not in known:
                hint = did_you_mean(key, known) or f"known here: {', '.join(known)}"
                path = f"{node.path}.{key}" if node.path else key
                self.findings.append(Finding("unknown-field", entry.at, path, "unknown field", hint))
        return node

    def text(self, parent: tree.Mapping, key: str) -> str | None:
        """A scalar as it is written; None where there is none."""
        node = parent.get(key)
        if node is None or (isinstance(node, tree.Scalar) and node.value is None):
            return None
        if not isinstance(node, tree.Scalar):
            self._find("wrong-type", node, "expected one value", None)
            return None
        return node.text

    def _case(self, node: tree.Mapping) -> Case:
        name = self.text(node, "name")
        if node.entries and name is None:
            self._find("missing-field", node, "a case needs a name", "write for example name: an order of today")
        expected = [key for key in _EXPECTED if key in node.entries]
        if node.entries and not expected:
            self._find(
                "missing-field", node, "nothing is expected of this case", f"write one of: {', '.join(_EXPECTED)}"
            )
        filtered = self._is_true(node, "filtered")
        if filtered and len(expected) > 1:
            self._find("invalid-value", node, "a record that is filtered has nothing else", "omit the others")
        return Case(
            name=name or "",
            at=node.at,
            record=self._record(node),
            rows=self._each(node, "rows", self._row),
            documents=self._each(node, "documents", _as_json),
            filtered=filtered,
            reasons=tuple(self._reasons(node.get("reason"))),
        )

    def _each(self, parent: tree.Mapping, key: str, taken: Callable[[tree.Node], Any]) -> tuple[Any, ...] | None:
        node = parent.get(key)
        if node is None:
            return None
        if not isinstance(node, tree.Sequence):
            self._find("wrong-type", node, "expected a list", f"write each of the {key} with its own -")
            return None
        return tuple(taken(item) for item in node.items)

    def _row(self, node: tree.Node) -> tuple[ExpectedCell, ...]:
        row = self.mapping(node, "column: value for each column that is to be compared", (), node.at)
        return tuple(_cell(column, entry) for column, entry in row.entries.items())

    def _reasons(self, node: tree.Node | None) -> Iterator[ExpectedReason]:
        if node is None:
            return
        for one in node.items if isinstance(node, tree.Sequence) else (node,):
            at = self.mapping(one, "stage:, code: or message:", _REASON, one.at)
            index = self.text(at, "index")
            if index is not None and not index.isdecimal():
                self._find("wrong-type", at, "index counts documents from 0", "write a whole number")
                index = None
            texts = {key: self.text(at, key) for key in _REASON[:-1]}
            yield ExpectedReason(**texts, index=None if index is None else int(index))

    def _record(self, node: tree.Mapping) -> Record:
        headers = node.get("headers")
        section = self.mapping(headers, "name: value", (), node.at) if headers else tree.Mapping("", node.at)
        return Record(
            payload=self._payload(node),
            topic=self.text(node, "topic"),
            key=self.text(node, "key") or "",
            headers={name: (self.text(section, name) or "",) for name in section.entries},
            timestamp_ms=self._timestamp(node),
        )

    def _payload(self, node: tree.Mapping) -> bytes | None:
        wanted = "one of text:, json:, base64:, file: and tombstone: true"
        given = node.get("input")
        if given is None:
            if node.entries:
                self._find("missing-field", node, "a case needs an input", f"write {wanted}")
            return b""
        section = self.mapping(given, wanted, tuple(_INPUTS), node.at)
        if len(section.entries) != 1:
            self._find("invalid-value", given, f"an input is {wanted}", None)
            return b""
        ((kind, entry),) = section.entries.items()
        if kind == "tombstone" or kind not in _INPUTS:
            return None
        try:
            return _INPUTS[kind](entry.node, self._folder)
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) else str(error)
            self._find("invalid-value", entry.node, f"{kind} cannot be read: {cause}", None)
            return b""

    def _timestamp(self, node: tree.Mapping) -> int | None:
        text = self.text(node, "timestamp")
        milliseconds = None if text is None else _milliseconds(text)
        if text is not None and milliseconds is None:
            hint = "write milliseconds since 1970, or for example 2026-11-23T04:05:06Z"
            self._find("invalid-value", node.entries["timestamp"].node, f'"{text}" is not a moment', hint)
        return milliseconds

    def _is_true(self, node: tree.Mapping, key: str) -> bool:
        found = node.get(key)
        if found is None:
            return False
        if not (isinstance(found, tree.Scalar) and found.value is True):
            self._find("invalid-value", found, f"{key} can only be true", "omit the key otherwise")
        return True

    def _find(self, code: Code, node: tree.Node, message: str, hint: str | None) -> None:
        self.findings.append(Finding(code, node.at, node.path, message, hint))


def _milliseconds(text: str) -> int | None:
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round(moment.timestamp() * 1000) if moment.tzinfo else None


def _text_input(node: tree.Node, _: Path) -> bytes:
    if not isinstance(node, tree.Scalar):
        msg = "it is a list or a mapping; json: takes those"
        raise ValueError(msg)  # noqa: TRY004 -- it is the file's fault, not the caller's
    return node.text.encode()


def _base64_input(node: tree.Node, folder: Path) -> bytes:
    try:
        return base64.b64decode("".join(_text_input(node, folder).decode().split()), validate=True)
    except (binascii.Error, UnicodeError) as error:
        msg = "this is not base64"
        raise ValueError(msg) from error


def _file_input(node: tree.Node, folder: Path) -> bytes:
    return (folder / _text_input(node, folder).decode()).read_bytes()


_INPUTS: Mapping[str, Callable[[tree.Node, Path], bytes]] = {
    "text": _text_input,
    "json": lambda node, _: json_text(node).encode(),
    "base64": _base64_input,
    "file": _file_input,
    "tombstone": _text_input,
}


def json_text(node: tree.Node) -> str:
    """A piece of YAML as JSON; numbers keep the digits that are written."""
    match node:
        case tree.Sequence():
            return f"[{','.join(map(json_text, node.items))}]"
        case tree.Mapping():
            pairs = (f"{json.dumps(key)}:{json_text(entry.node)}" for key, entry in node.entries.items())
            return f"{{{','.join(pairs)}}}"
        case tree.Scalar():
            if node.plain and _JSON_NUMBER.fullmatch(node.text):
                return node.text
            infinite = isinstance(node.value, float) and not math.isfinite(node.value)
            return json.dumps(node.text if infinite else node.value)


def _as_json(node: tree.Node) -> Any:  # noqa: ANN401 -- JSON
    return loads(json_text(node))


def _cell(column: str, entry: tree.Entry) -> ExpectedCell:
    node = entry.node
    if not isinstance(node, tree.Scalar):
        return ExpectedCell(column, entry.at, json_text(node), document=_as_json(node))
    if node.value is None:
        return ExpectedCell(column, entry.at, "NULL", (None,))
    if isinstance(node.value, bool):
        return ExpectedCell(column, entry.at, node.text, ("t" if node.value else "f", node.text))
    return ExpectedCell(column, entry.at, node.text, (node.text,))
