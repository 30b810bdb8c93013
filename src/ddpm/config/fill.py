"""Interpolates the scalars of a tree, and knows which of the values that came in are secrets."""

import re
from collections.abc import Collection
from collections.abc import Mapping as PyMapping
from dataclasses import dataclass, replace

from ddpm.config.address import url_passwords
from ddpm.config.document import Documents
from ddpm.config.interpolate import (
    SHORTEST_SECRET,
    Fault,
    Piece,
    Variables,
    interpolate,
    interpolate_bloblang,
)
from ddpm.config.known import Known, OptionsKnown
from ddpm.config.model import Model, Pipeline
from ddpm.config.model.secret import secrets_in
from ddpm.config.problems import Finding
from ddpm.config.tree import Entry, Mapping, Node, Scalar, Sequence, Step, walk

_BLOBLANG = re.compile(r"\.processors\[\d+\]\.(mapping|filter)$")
_OPTIONS = ("source", "options")
_STEP = re.compile(r"\[(\d+)\]|([^.\[]+)")
_SECRET_KEY = re.compile(r"(?i)(?:passw|passphrase|secret|token|credential|api_?key)[^.\[]*($|\[)")
# Texts that a user may fill with anything; elsewhere stand names, addresses, numbers, which logs should show.
_FREE_TEXT = re.compile(rf"{_BLOBLANG.pattern}|\.kafka\.topic_configs\.")
_OPTION = re.compile(r"\.source\.options\.")
_SECRET_NAME = re.compile(r"(?i)pass|pwd|secret|token|credential|(^|_)key($|_)|auth")


@dataclass(frozen=True, slots=True)
class Filled:
    """A tree with its values in place, and what could not be put in."""

    node: Node
    findings: tuple[Finding, ...]


def fill(node: Node, documents: Documents, variables: Variables) -> Filled:
    """Interpolate every text of a tree; keys stay as they are, and no value becomes structure."""
    filler = _TreeFiller(documents, variables)
    return Filled(filler.node(node), tuple(filler.findings))


class Secrets:
    """Knows which values of a file are secret: by the types of their fields, and by names for what has no type."""

    def __init__(self, known: Known, parsers: PyMapping[str, type[Model]]) -> None:
        self._known = known
        # Which parser a pipeline has is not known where app and its own keys are apart.
        self._options = [OptionsKnown(_OPTIONS, model) for model in parsers.values()]

    def typed(self, scalar: Scalar) -> bool:
        """Whether the type of the field says so."""
        steps = _below_pipeline(scalar.path)
        return any(known.is_secret(steps) for known in (self._known, *self._options))

    def may_be(self, scalar: Scalar) -> bool:
        """The same, and of keys that are named like a secret, and of URLs among the options of parsers."""
        if self.typed(scalar) or _SECRET_KEY.search(scalar.path.rpartition(".")[2]):
            return True
        # A parser's options, and which of them are secret, only the parser knows.
        return bool(_OPTION.search(scalar.path)) and "://" in str(scalar.value)

    def found(self, root: Node, pipelines: Collection[Pipeline]) -> tuple[str, ...]:
        """The texts that no log may show: secrets, and values from outside that may be one; the longest first."""
        values = {word for pipeline in pipelines for word in secrets_in(pipeline)}
        # What a parser's options hold is read by the parser.
        values |= {
            word
            for pipeline in pipelines
            for value in pipeline.source.options.values()
            if isinstance(value, str)
            for word in url_passwords(value)
        }
        found = set(values)
        of_plugins = any(pipeline.source.plugin is not None for pipeline in pipelines)
        for scalar in walk(root):
            if _OPTION.search(scalar.path) and self.typed(scalar) and "://" not in str(scalar.value):
                found.add(str(scalar.value))
            if of_plugins and _OPTION.search(scalar.path):
                # What a plugin makes of its options stands in the engine's configuration.
                found |= {piece.value for piece in scalar.pieces}
            found |= {piece.value for piece in scalar.pieces if self._is_secret(piece, scalar, values)}
        long_enough = (text for text in found if len(text) >= SHORTEST_SECRET)
        return tuple(sorted(long_enough, key=lambda text: (-len(text), text)))

    def _is_secret(self, piece: Piece, scalar: Scalar, values: set[str]) -> bool:
        if piece.name is None or _SECRET_NAME.search(piece.name) or _FREE_TEXT.search(scalar.path):
            return True
        if _SECRET_NAME.search(scalar.path.rpartition(".")[2]):
            return True
        return self.typed(scalar) and any(word in piece.value or piece.value in word for word in values)


def _below_pipeline(path: str) -> tuple[Step, ...]:
    """The keys and indices of a value below its pipeline: of `pipelines.eu.kafka.brokers[0]`, or below `app`."""
    steps = tuple(int(index) if index else key for index, key in _STEP.findall(path))
    return steps[1:] if steps[:1] == ("app",) else steps[2:]


class _TreeFiller:
    def __init__(self, documents: Documents, variables: Variables) -> None:
        self.findings: list[Finding] = []
        self._documents = documents
        self._variables = variables

    def node(self, node: Node) -> Node:
        match node:
            case Scalar():
                return self._scalar(node)
            case Sequence():
                return replace(node, items=tuple(self.node(item) for item in node.items))
            case Mapping():
                entries = {key: Entry(entry.at, self.node(entry.node)) for key, entry in node.entries.items()}
                return replace(node, entries=entries)

    def _scalar(self, scalar: Scalar) -> Scalar:
        if not isinstance(scalar.value, str) or "${" not in scalar.value or scalar.broken:
            return scalar
        put = interpolate_bloblang if _BLOBLANG.search(scalar.path) else interpolate
        result = put(scalar.value, self._variables)
        self._report(scalar, result.faults)
        interpolated = bool(result.pieces) or result.defaults
        # An unquoted value that turns out empty is what `key:` without a value is.
        empty = interpolated and scalar.plain and not result.text.strip()
        return replace(
            scalar,
            value=None if empty else result.text,
            pieces=result.pieces,
            interpolated=interpolated,
            broken=bool(result.faults),
            swaps=result.swaps,
        )

    def _report(self, scalar: Scalar, faults: tuple[Fault, ...]) -> None:
        start, end = scalar.span
        document = self._documents.of(scalar.at)
        for fault in faults:
            found = document.text.find(fault.expression, start, end)
            at = document.place(found) if found >= 0 else scalar.at
            start = found + len(fault.expression) if found >= 0 else start
            self.findings.append(Finding(fault.code, at, scalar.path, fault.message, fault.hint))
