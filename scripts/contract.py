"""Writes src/ddpm/contract.py, the names that ddpm and its engine have in common, by what the engine prints of them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

from rich.console import Console

from ddpm.engine import binary
from ddpm.engine.progress import Terminal

MODULE = Path(__file__).parents[1] / "src" / "ddpm" / "contract.py"
_HEAD = '''"""The names that ddpm and its engine have in common.

Written by `make generate` from what the engine says of cmd/engine/internal/contract: to be changed there.
"""

from typing import Final
'''


class _Named(TypedDict):
    name: str
    value: str


class _Group(TypedDict):
    name: str
    doc: str
    all: list[_Named]


def module(engine: Path) -> str:
    """The module as the engine would have it."""
    printed = subprocess.run([engine, "contract"], check=True, capture_output=True, timeout=30)
    groups: list[_Group] = json.loads(printed.stdout)
    text = "\n\n".join([_HEAD, *map(_class, groups)])
    ruff = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(MODULE), "-"]
    return subprocess.run(ruff, input=text, check=True, capture_output=True, text=True, timeout=30).stdout


def _class(group: _Group) -> str:
    members = [f"    {each['name']}: Final = {json.dumps(each['value'])}" for each in group["all"]]
    names = ", ".join(each["name"] for each in group["all"])
    return "\n".join(
        [f"class {group['name']}:", f'    """{group["doc"]}"""\n', *members, f"    ALL: Final = frozenset(({names},))"]
    )


if __name__ == "__main__":
    MODULE.write_text(module(binary.install(Terminal(Console(stderr=True)))), encoding="utf-8")
