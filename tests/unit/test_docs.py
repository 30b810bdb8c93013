"""Documents name tests and files of the tree, and link to each other: all of that must be there.

A promise whose test is gone has lost what holds it. `make lint` runs these tests, too.
"""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "data").glob("*.md"),
        *(ROOT / ".github").glob("*.md"),
    ]
)
_QUOTED = re.compile(r"`([^`\n]+)`")
_TEST = re.compile(r"(?<![\w/.])(?:test_\w+|(?:Test|Fuzz)[A-Z]\w*)(?![\w.])")
_FILE = re.compile(r"(?<![\w/.])(?:src|cmd|tests|benchmarks|scripts|deployments)/[\w./-]*\w")
# The folder of a format that is yet to be written, and what `make up` generates.
_NOT_IN_THE_TREE = {"tests/integration/plugins/NAME", "deployments/docker/.env"}
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`|<!--.*?-->", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_OUTSIDE = re.compile(r"[a-z]+:")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# `make docs` writes them from the code.
_WRITTEN = {"docs/api.md", "docs/configuration.md"}


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


def linked(document: Path) -> list[str]:
    """The targets of a document's links that do not lead out of the tree."""
    text = _CODE.sub("", document.read_text(encoding="utf-8"))
    return [target for target in _LINK.findall(text) if not _OUTSIDE.match(target)]


@cache
def anchors(document: Path) -> frozenset[str]:
    """The names of a document's headings in links, as GitHub and the site make them."""
    fences = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
    headings = _HEADING.findall(fences.sub("", document.read_text(encoding="utf-8")))
    found: list[str] = []
    for heading in headings:
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        # Of headings with the same text each but the first has a number.
        found.append(f"{name}-{found.count(name)}" if name in found else name)
    return frozenset(found)


def leads_nowhere(document: Path, target: str) -> bool:
    file, _, heading = target.partition("#")
    path = (document.parent / file).resolve() if file else document
    if not path.exists() or not path.is_relative_to(ROOT):
        return True
    return bool(heading) and heading not in anchors(path)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_within_the_tree_leads_to_a_file_and_a_heading(document: Path) -> None:
    assert [target for target in linked(document) if leads_nowhere(document, target)] == []


def test_every_document_is_on_the_site() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"([\w./-]+\.md)$", navigation, re.MULTILINE)
    here = {path.relative_to(ROOT).as_posix() for path in DOCUMENTS if ".github" not in path.parts}
    assert sorted(listed) == sorted(here | _WRITTEN)


def test_links_and_headings_are_found(tmp_path: Path) -> None:
    document = tmp_path / "one.md"
    document.write_text(
        "# A `b` [c](x) d_e!\n\n[x](y.md#z) `[no](no)` [out](https://a.b)\n\n```\n# no\n```\n\n## a b c d_e\n"
    )
    assert linked(document) == ["x", "y.md#z"]
    assert anchors(document) == {"a-b-c-d_e", "a-b-c-d_e-1"}
    assert len(linked(ROOT / "README.md")) > 20


def test_names_are_found() -> None:
    assert len(quoted(ROOT / "docs" / "guarantees.md", _TEST)) > 20
    assert len(quoted(ROOT / "docs" / "architecture.md", _FILE)) > 20
