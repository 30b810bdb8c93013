"""Documents name tests and files of the tree; those must be there, or a promise has lost the test that holds it."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
_QUOTED = re.compile(r"`([^`\n]+)`")
_TEST = re.compile(r"(?<![\w/.])(?:test_\w+|(?:Test|Fuzz)[A-Z]\w*)(?![\w.])")
_FILE = re.compile(r"(?<![\w/.])(?:src|cmd|tests|benchmarks|scripts|deployments)/[\w./-]*\w")
# The folder of a format that is yet to be written, and what `make up` generates.
_NOT_IN_THE_TREE = {"tests/integration/plugins/NAME", "deployments/docker/.env"}


@cache
def known_tests() -> frozenset[str]:
    python = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    go = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "cmd").rglob("*_test.go"))
    found = re.findall(r"^ *def (test_\w+)", python, re.MULTILINE)
    return frozenset(found + re.findall(r"^func ((?:Test|Fuzz)\w+)", go, re.MULTILINE))


def quoted(document: Path, name: re.Pattern[str]) -> list[str]:
    text = document.read_text(encoding="utf-8")
    return [found for code in _QUOTED.findall(text) for found in name.findall(code)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    assert [name for name in quoted(document, _TEST) if name not in known_tests()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    named = set(quoted(document, _FILE)) - _NOT_IN_THE_TREE
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_names_are_found() -> None:
    assert len(quoted(ROOT / "docs" / "guarantees.md", _TEST)) > 20
    assert len(quoted(ROOT / "docs" / "architecture.md", _FILE)) > 20
