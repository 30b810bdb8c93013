"""Interpolates the scalars of a tree, and knows which of the values that came in are secrets."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from ddpm.config.address import url_passwords
from ddpm.config.document import Document
from ddpm.config.interpolate import (
    SHORTEST_SECRET,
    Fault,
    Piece,
    Variables,
    interpolate,
    interpolate_bloblang,
)
from ddpm.config.model import Pipeline
from ddpm.config.problems import Finding
from ddpm.config.tree import Entry, Mapping, Node, Scalar, Sequence, walk

_BLOBLANG = re.compile(r"\.processors\[\d+\]\.(mapping|filter)$")
_URL = re.compile(r"\.(postgres\.url|source\.options\.registry|metrics\.push_gateway)($|[.\[])")
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


def fill(node: Node, document: Document, variables: Variables) -> Filled:
    """Interpolate every text of a tree; keys stay as they are, and no value becomes structure."""
    filler = _TreeFiller(document, variables)
    return Filled(filler.node(node), tuple(filler.findings))


def is_url(scalar: Scalar) -> bool:
    """Whether a scalar is a URL that may hold a password."""
    return bool(_URL.search(scalar.path))


def may_hold_secret(scalar: Scalar) -> bool:
    """Whether a scalar is a URL, or the value of a key that is named like a secret."""
    return is_url(scalar) or bool(_SECRET_KEY.search(scalar.path.rpartition(".")[2]))


def secrets(roots: Iterable[Node], pipelines: Collection[Pipeline]) -> tuple[str, ...]:
    """The texts that no log may show: passwords, and values from outside that may be one; the longest first."""
    passwords = {word for pipeline in pipelines if pipeline.postgres for word in url_passwords(pipeline.postgres.url)}
    passwords |= {
        word
        for pipeline in pipelines
        for value in pipeline.source.options.values()
        if isinstance(value, str)
        for word in url_passwords(value)
    }
    tokens = {pipeline.server.token for pipeline in pipelines if pipeline.server.token}
    gateways = {pipeline.metrics.push_gateway for pipeline in pipelines if pipeline.metrics.push_gateway}
    found = passwords | tokens | {word for url in gateways for word in url_passwords(url)}
    of_plugins = any(pipeline.source.plugin is not None for pipeline in pipelines)
    for root in roots:
        for scalar in walk(root):
            if of_plugins and _OPTION.search(scalar.path):
                # What a plugin makes of its options stands in the engine's configuration.
                found |= {piece.value for piece in scalar.pieces}
            found |= {piece.value for piece in scalar.pieces if _is_secret(piece, scalar, passwords)}
    return tuple(sorted((text for text in found if len(text) >= SHORTEST_SECRET), key=lambda text: (-len(text), text)))


def _is_secret(piece: Piece, scalar: Scalar, passwords: set[str]) -> bool:
    if piece.name is None or _SECRET_NAME.search(piece.name) or _FREE_TEXT.search(scalar.path):
        return True
    if _SECRET_NAME.search(scalar.path.rpartition(".")[2]):
        return True
    return is_url(scalar) and any(word in piece.value or piece.value in word for word in passwords)


class _TreeFiller:
    def __init__(self, document: Document, variables: Variables) -> None:
        self.findings: list[Finding] = []
        self._document = document
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
        for fault in faults:
            found = self._document.text.find(fault.expression, start, end)
            at = self._document.place(found) if found >= 0 else scalar.at
            start = found + len(fault.expression) if found >= 0 else start
            self.findings.append(Finding(fault.code, at, scalar.path, fault.message, fault.hint))
