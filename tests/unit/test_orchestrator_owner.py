"""Who a ddpm is, over its restarts and beside another one."""

from pathlib import Path

import pytest

from ddpm.errors import MissingToolError
from ddpm.orchestrator.run.owner import owner


def test_a_ddpm_keeps_its_name(tmp_path: Path) -> None:
    path = tmp_path / "state" / "owner"
    with owner(path) as first:
        pass
    with owner(path) as second:
        assert first == second


def test_two_that_run_at_once_have_two_names(tmp_path: Path) -> None:
    with owner(tmp_path / "owner") as first, owner(tmp_path / "owner") as second:
        assert first != second


def test_a_file_that_was_spoiled_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "owner"
    path.write_bytes(b"\xff\x00")
    with owner(path) as first:
        assert path.read_text() == first


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in its place")
    with pytest.raises(MissingToolError, match="owner cannot be written"), owner(tmp_path / "state" / "owner"):
        pass
