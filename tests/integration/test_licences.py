"""The licences of what ddpm uses: all are listed, and none is one that nobody has accepted."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ddpm.engine.progress import Progress

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def licences() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("licences", ROOT / "scripts" / "licences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["licences"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["licences"]


def test_the_list_is_that_of_what_is_installed_linked_and_locked(licences: ModuleType, progress: Progress) -> None:
    wanted = licences.documents(progress)
    for path, text in wanted.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.relative_to(ROOT)} is out of date: make licences"
    # One of each kind, so that an empty list cannot pass.
    table = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    for name in ("psycopg", "psutil", "memray", "github.com/warpstreamlabs/bento", "org.scala-lang:scala-library"):
        assert f"\n| {name} | " in table


POLICY: dict[str, Any] = {
    "permissive": ["MIT", "Apache-2.0"],
    "accepted": {"careful": {"licence": "LGPL-3.0-only", "reason": "…"}},
}


@pytest.mark.parametrize(
    ("name", "licence", "problem"),
    [
        ("free", "MIT", None),
        ("free", "MIT AND Apache-2.0", None),
        ("other", "", "other 1.0 has no licence that is recognised"),
        ("other", "GPL-3.0-only", "other 1.0 has the licence GPL-3.0-only, which is not accepted"),
        ("other", "MIT AND AGPL-3.0-only", "other 1.0 has the licence MIT AND AGPL-3.0-only"),
        ("other", "LGPL-3.0-only", "other 1.0 has the licence LGPL-3.0-only"),
    ],
)
def test_a_licence_is_permissive_or_accepted_for_this_very_part(
    licences: ModuleType, name: str, licence: str, problem: str | None
) -> None:
    parts = [licences.Part("Python", "careful", "2.0", "LGPL-3.0-only"), licences.Part("Python", name, "1.0", licence)]
    if problem is None:
        licences.judge(parts, POLICY)
    else:
        with pytest.raises(licences.LicenceError, match=problem):
            licences.judge(parts, POLICY)


def test_an_accepted_part_that_changes_its_licence_or_goes_away_is_told(licences: ModuleType) -> None:
    for parts in ([], [licences.Part("Python", "careful", "3.0", "MIT")]):
        with pytest.raises(licences.LicenceError, match="careful is accepted and not used, or not with this licence"):
            licences.judge(parts, POLICY)
