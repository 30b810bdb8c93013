"""Engines that are wrong on purpose: a test that does not fail with one of them would prove nothing."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest

from ddpm.engine import binary
from ddpm.engine.progress import Progress
from ddpm.engine.shipped import engine_source

# A file of cmd/engine, text that stands in it once, and what takes its place.
Change = tuple[str, str, str]
# Takes changes and returns the binary: `build` with a folder of the test's own.
Mutate = Callable[..., Path]


def build(folder: Path, progress: Progress, *changes: Change) -> Path:
    """Build the engine with a few lines changed, from a copy of its source in `folder`; returns the binary.

    Raises:
        AssertionError: The text to replace is not in its file, or is there several times: the source has changed, and
            so must the mutant.

    """
    mutant = Path(copytree(engine_source(), folder))
    for name, text, by in changes:
        file = mutant / name
        source = file.read_text(encoding="utf-8")
        found = source.count(text)
        assert found == 1, f"{name} has this {found} times instead of once; adapt the mutant: {text!r}"
        file.write_text(source.replace(text, by), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(binary, "engine_source", lambda: mutant)
        return binary.install(progress)
