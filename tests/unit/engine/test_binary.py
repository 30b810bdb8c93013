"""Building, finding and checking the engine's binary, with shell scripts in the place of Go and of engines."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rich.console import Console

from ddpm.engine import binary
from ddpm.engine.progress import Terminal
from ddpm.errors import ConfigError, EngineError, ExitCode, MissingToolError

ENGINE = """#!/bin/sh
case "$1" in
  list) printf '  - %s\\n' ddpm_origin ddpm_json ddpm_python ddpm_forward ddpm_dead_letter ddpm_feed
        printf '  - %s\\n' ddpm_dead_letters ddpm_kafka ddpm_kafka_out postgres_copy stdout ;;
  --version) printf 'Version: v1.20.0\\nDate: unknown\\n' ;;
  lint) printf '%s(3,1) field foo not recognised\\n  got: 3\\n%s(9,1) unable to infer\\n' "$3" "$3" >&2; exit 1 ;;
esac
"""
GO = """#!/bin/sh
echo "$@" >> "{calls}"
case "$1" in
  version) echo 'go version go1.26.8 linux/amd64' ;;
  list) echo 'go: downloading example.org/module v1.0.0' >&2; echo example.org/module; echo ddpm/engine ;;
  build)
    {failure}
    echo example.org/module >&2; echo ddpm/engine >&2
    while [ "$1" != -o ]; do shift; done
    cp "{engine}" "$2" ;;
esac
"""


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return executable(tmp_path / "engine", ENGINE)


class Workshop:
    """A source folder, a Go that is a shell script, and an empty cache."""

    def __init__(self, root: Path, engine: Path) -> None:
        self.source = root / "source"
        self.calls = root / "calls"
        self._bin = root / "bin" / "go"
        self._engine = engine
        self.source.mkdir()
        (self.source / "go.mod").write_text("module ddpm/engine\n")
        (self.source / "main.go").write_text("package main\n")
        self.go()

    def go(self, failure: str = "") -> None:
        executable(self._bin, GO.format(calls=self.calls, engine=self._engine, failure=failure))

    @property
    def builds(self) -> int:
        return self.calls.read_text().count("build ") if self.calls.exists() else 0


@pytest.fixture
def workshop(tmp_path: Path, engine: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    shop = Workshop(tmp_path, engine)
    monkeypatch.setattr(binary, "engine_source", lambda: shop.source)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("DDPM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("DDPM_GO", raising=False)
    return shop


def test_engine_is_built_once(workshop: Workshop) -> None:
    built = binary.install()
    assert binary.version(built) == "v1.20.0"
    assert binary.install() == binary.locate(None) == built
    assert workshop.builds == 1


def test_two_at_once_build_once(workshop: Workshop) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: binary.install(), range(4)))) == 1
    assert workshop.builds == 1


def test_changed_source_is_built_again_but_a_changed_test_is_not(workshop: Workshop) -> None:
    first = binary.install()
    (workshop.source / "main_test.go").write_text("package main\n")
    assert binary.install() == first
    (workshop.source / "main.go").write_text("package main // changed\n")
    assert binary.install() != first
    assert workshop.builds == 2


def test_failed_build_shows_the_compiler_and_leaves_nothing(workshop: Workshop, tmp_path: Path) -> None:
    workshop.go(failure="echo './main.go:7:2: undefined: nonsense' >&2; exit 1")
    with pytest.raises(MissingToolError, match=r"main\.go:7:2: undefined: nonsense") as error:
        binary.install()
    assert error.value.exit_code == ExitCode.ENVIRONMENT
    assert not [path for path in (tmp_path / "cache" / "engine").iterdir() if path.is_dir()]
    workshop.go()
    assert binary.install().is_file()


@pytest.mark.usefixtures("workshop")
def test_progress_is_told_in_plain_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    with (tmp_path / "said").open("w") as stream:
        binary.install(Terminal(Console(file=stream)))
    said = (tmp_path / "said").read_text()
    assert "Building the engine: compiling" in said
    assert "done in" in said
    assert "\x1b" not in said


def test_configured_engine_with_the_plugin_is_accepted(engine: Path) -> None:
    assert binary.locate(engine) == engine


def test_engine_without_the_plugin_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    bare = executable(tmp_path / "bare", "#!/bin/sh\nprintf 'Inputs:\\n  - kafka\\n  - ddpm_json\\n'\n")
    with pytest.raises(ConfigError, match=f"{bare} was built without ddpm's plugin") as error:
        binary.locate(bare)
    assert (
        "it lacks ddpm_dead_letter, ddpm_dead_letters, ddpm_feed, ddpm_forward, ddpm_kafka, ddpm_kafka_out, "
        "ddpm_origin, ddpm_python, postgres_copy" in str(error.value)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#!/bin/sh\necho 'unknown command' >&2; exit 2\n", "is not an engine.*unknown command"),
        ("#!/bin/sh\necho hello\n", "is not an engine.*hello"),
        ("\x7fELF", "cannot be executed"),
    ],
)
def test_program_that_is_no_engine_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        binary.check_plugin(executable(tmp_path / "other", text))


def test_missing_and_unexecutable_files_are_told_apart(engine: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere does not exist"):
        binary.check_plugin(tmp_path / "nowhere")
    engine.chmod(stat.S_IRUSR)
    with pytest.raises(ConfigError, match="is not executable"):
        binary.check_plugin(engine)


def test_lint_gives_one_entry_for_each_problem(engine: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    assert binary.lint(engine, config) == [
        f"{config}(3,1) field foo not recognised\n  got: 3",
        f"{config}(9,1) unable to infer",
    ]


def test_lint_of_a_fine_configuration_is_empty(tmp_path: Path) -> None:
    assert binary.lint(executable(tmp_path / "fine", "#!/bin/sh\n"), tmp_path / "config.yaml") == []


def test_lint_that_breaks_off_is_an_error_of_the_engine(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="ended with exit code 3"):
        binary.lint(executable(tmp_path / "broken", "#!/bin/sh\nexit 3\n"), tmp_path / "config.yaml")
