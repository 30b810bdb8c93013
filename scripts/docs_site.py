"""What mkdocs shows: the documents at the places that they have in the tree, so that every link between them holds.

A hook of mkdocs.yml. Files of the tree that a document links to come along as they are; `make docs` writes the
reference of the API before. It changes no word of a document.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# scripts/references.py writes it.
REFERENCES = ROOT / ".site" / "references"
API_PAGE = """\
# API

What a running ddpm answers at its port, written from the same code; [operations](operations.md) says how the states are
meant. A running ddpm gives this document itself, at `/openapi.json`.

<swagger-ui src="openapi.json"/>
"""

# Else the names of keys and metrics are broken in the middle.
STYLE = ".md-typeset td:first-child code { white-space: nowrap; }\n"

_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Exchange what stands below docs/ for everything that belongs on the site."""
    documents = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").glob("*.md")])
    linked = {path for document in documents for path in _linked(document)}
    placed = [
        File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path))
        for path in sorted({*documents, *linked})
    ]
    placed += [
        File.generated(config, "site.css", content=STYLE),
        File.generated(config, "docs/api.md", content=API_PAGE),
        File.generated(config, "docs/openapi.json", abs_src_path=str(REFERENCES / "openapi.json")),
    ]
    of_the_theme = [file for file in files if file.src_dir != config.docs_dir]
    return Files([*of_the_theme, *placed])


def _linked(document: Path) -> Iterator[Path]:
    """The files of the tree that a document links to; a link to nothing is left for mkdocs to complain about."""
    for target in _LINK.findall(document.read_text(encoding="utf-8")):
        path = (document.parent / target).resolve()
        if path.is_file() and path.is_relative_to(ROOT):
            yield path
