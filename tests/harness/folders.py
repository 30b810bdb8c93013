"""Folders of servers that a test starts for itself."""

import tempfile
from collections.abc import Callable
from pathlib import Path

FreshDir = Callable[[str], Path]
"""Takes a name and returns a new folder: two tests that choose one name get a folder each."""


def fresh_in(root: Path, name: str) -> Path:
    """A new folder in `root` that the user of Postgres can enter; `name` is for those who look at it."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root))
    folder.chmod(0o711)
    return folder
