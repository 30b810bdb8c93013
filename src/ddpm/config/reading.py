"""The texts of a configuration, each as a tree: of its files, of its overlays, of single values, of stored pipelines.

What is no YAML, or no keys and values, is reported of all of them before anything else is looked at.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ddpm.config import tree
from ddpm.config.document import Document, Documents
from ddpm.config.files import encoding_of, reason, text_of
from ddpm.config.problems import ConfigProblems, Finding, Problem
from ddpm.config.sources import Sources
from ddpm.config.tree import Step
from ddpm.errors import ConfigError

SET_OPTION = "--set"
_SET = re.compile(r"(?P<key>(?:\\.|[^=\\])*)=(?P<value>.*)", re.DOTALL)
_STEP = re.compile(r"\[(?P<index>\d+)\]|(?P<dot>\.?)(?P<key>(?:\\.|[^.\[\\])+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Root:
    """A file's keys and values."""

    document: Document
    top: tree.Mapping


@dataclass(frozen=True, slots=True)
class Assignment:
    """A value for one key: the keys and indices that lead to it."""

    document: Document
    steps: tuple[Step, ...]
    node: tree.Node


@dataclass(frozen=True, slots=True)
class Read:
    """All that a configuration consists of; `findings` are about its YAML alone.

    Attributes:
        documents: Their texts.
        files: The files of the configuration.
        stored: The pipelines that were made through the API, by name.
        overlays: What changes them.
        sets: What changes single values of that.
        findings: What is wrong with the YAML of all.

    """

    documents: Documents
    files: tuple[Root, ...]
    stored: dict[str, Root]
    overlays: tuple[Root, ...]
    sets: tuple[Assignment, ...]
    findings: tuple[Finding, ...]

    @property
    def nodes(self) -> Iterator[tree.Node]:
        """All trees, also of what others take the place of."""
        yield from (each.top for each in (*self.files, *self.stored.values(), *self.overlays))
        yield from (each.node for each in self.sets)


def read(sources: Sources) -> Read:
    """Read all texts of a configuration.

    Raises:
        ConfigProblems: One of them cannot be read, or holds something else than keys and values.
        ConfigError: What is to be set has no key.

    """
    reading = _Reading()
    files = sources.files
    if not files:
        hint = "put a file into it that ends in .yaml or .yml; hidden ones and folders in it are not read"
        finding = Finding("empty-file", None, "", "the folder holds no configuration", hint)
        raise ConfigProblems(Document(sources.path, "").problems([finding], ()))
    own = [reading.root(path) for path in files]
    stored = {name: reading.root(path, f"pipelines.{name}") for name, path in sources.pipelines.items()}
    overlays = [reading.root(path) for path in sources.overlays]
    sets = [reading.assignment(text) for text in sources.sets]
    if reading.problems:
        raise ConfigProblems(reading.problems)
    return Read(
        Documents(reading.documents),
        tuple(each for each in own if each),
        {name: each for name, each in stored.items() if each},
        tuple(each for each in overlays if each),
        tuple(each for each in sets if each),
        tuple(reading.findings),
    )


class _Reading:
    """Numbers the texts; what cannot be gone on with is a problem, everything else a finding."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.findings: list[Finding] = []
        self.problems: list[Problem] = []

    def root(self, path: Path, place: str = "") -> Root | None:
        opened = _opened(path, len(self.documents))
        if not isinstance(opened, Document):
            self.problems += opened
            return None
        self.documents.append(opened)
        parsed = tree.parse(opened, place)
        if isinstance(parsed.root, tree.Mapping):
            self.findings += parsed.findings
            return Root(opened, parsed.root)
        self.problems += opened.problems(parsed.findings or (_no_keys(parsed.root, place),), None)
        return None

    def assignment(self, text: str) -> Assignment | None:
        found = _SET.fullmatch(text)
        steps = _steps(found["key"].strip()) if found else None
        if not found or not steps:
            # What has no key may be a secret that lost it.
            hint = f"write for example {SET_OPTION} app.replicas=2, or {SET_OPTION} 'app.kafka.topics[0]=orders'"
            raise ConfigError(f"{SET_OPTION} takes KEY=VALUE, with the key as problems show it", hint=hint)
        key = path_of(steps)
        document = Document(Path(f"{SET_OPTION} {key}=…"), text, len(self.documents), start=found.start("value"))
        self.documents.append(document)
        parsed = tree.parse(document, key)
        if parsed.root is None and parsed.findings:
            self.problems += document.problems(parsed.findings, None)
            return None
        self.findings += parsed.findings
        at = document.place(document.start)
        empty = tree.Scalar(key, at, (document.start, document.start), None, "", plain=True)
        return Assignment(document, steps, parsed.root or empty)


def path_of(steps: tuple[Step, ...]) -> str:
    """Keys and indices as problems show them: `app.kafka.topics[0]`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _steps(key: str) -> tuple[Step, ...] | None:
    """The keys and indices of `app.kafka.topics[0]`; a dot within a key stands behind a backslash."""
    steps: list[Step] = []
    end = 0
    while end < len(key):
        found = _STEP.match(key, end)
        if found is None or (found["key"] and bool(found["dot"]) != bool(steps)) or (found["index"] and not steps):
            return None
        steps.append(int(found["index"]) if found["index"] else re.sub(r"\\(.)", r"\1", found["key"]))
        end = found.end()
    return tuple(steps)


def _opened(path: Path, number: int) -> Document | tuple[Problem, ...]:
    """The text of a file, or why it has none."""
    try:
        text = text_of(path)
        encoding = encoding_of(text.encode())
        if encoding is None:
            return Document(path, text, number)
        finding = _other_encoding(encoding)
    except FileNotFoundError:
        finding = Finding("file-missing", None, "", "the file does not exist", f"looked from {Path.cwd()}")
    except UnicodeDecodeError as error:
        if encoding := encoding_of(error.object):
            finding = _other_encoding(encoding)
        else:
            before = error.object[: error.start].decode("utf-8")
            document = Document(path, error.object.decode("utf-8", "replace"))
            byte = f"the byte 0x{error.object[error.start]:02x} here is not UTF-8"
            finding = Finding("yaml-syntax", document.place(len(before)), "", byte, "save the file as UTF-8")
            return document.problems([finding], None)
    except (OSError, ValueError) as error:
        finding = Finding("file-unreadable", None, "", "the file cannot be read", reason(error))
    return Document(path, "").problems([finding], None)


def _other_encoding(encoding: str) -> Finding:
    return Finding("yaml-syntax", None, "", f"the file is {encoding}, not UTF-8", "save it as UTF-8")


def _no_keys(top: tree.Node | None, place: str) -> Finding:
    hint = "write the keys of the pipeline" if place else "begin with app: and the keys of the pipeline below it"
    if top is None or (isinstance(top, tree.Scalar) and top.value is None):
        return Finding("empty-file", None, "", "the file is empty", hint)
    return Finding("wrong-type", top.at, "", "expected keys and values", hint)
