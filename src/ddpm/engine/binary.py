"""The engine's binary: building it once, finding it, asking it what it is; runs no pipeline."""

import hashlib
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ddpm.engine.cache import cache_dir, make_once
from ddpm.engine.progress import Progress, Silent, Step
from ddpm.engine.shipped import engine_source
from ddpm.engine.toolchain import Go, find_go
from ddpm.errors import ConfigError, EngineError, MissingToolError

# What ddpm asks of any engine besides the outputs of its sinks; without it, it is another engine or an older one.
_REQUIRED = frozenset(
    {
        "ddpm_kafka",
        "ddpm_origin",
        "ddpm_json",
        "ddpm_python",
        "ddpm_forward",
        "ddpm_dead_letter",
        "ddpm_dead_letters",
        "ddpm_feed",
    }
)

ENGINE_VARIABLE = "DDPM_ENGINE"

# The same sources become the same bytes, wherever they are built; deployments/docker/Dockerfile repeats them.
BUILD_FLAGS = ("-trimpath", "-buildvcs=false", "-ldflags", "-s -w")

_NAME = "ddpm-engine"
_SOURCES = ("*.go", "go.mod", "go.sum", "*.sql", "*.json", "*.yaml")
_LINES_OF_COMPILER = 15
_COMPONENT = re.compile(r"^\s*-\s+(\S+)\s*$", re.MULTILINE)
_VERSION = re.compile(r"^Version:\s*(\S+)", re.MULTILINE)
_ANSWER_SECONDS = 60
_LINT_PLACE = re.compile(r"^\S.*?\(\d+,\d+\)\s")


def installed() -> Path | None:
    """ddpm's own engine, if it has been built already, or the one that `DDPM_ENGINE` names."""
    if named := os.environ.get(ENGINE_VARIABLE):
        return Path(named)
    try:
        binary = _folder(engine_source(), ()) / _NAME
    except MissingToolError:
        return None
    return binary if binary.is_file() else None


def install(progress: Progress | None = None, *, tags: Sequence[str] = ()) -> Path:
    """Build the engine from the source that came with ddpm, once for each content of that source.

    Args:
        progress: Notified about downloads and packages; the first build takes minutes.
        tags: Go's build tags, for an engine with more in it than the one that ddpm runs.

    Returns:
        The path of the binary in the user's cache folder.

    Raises:
        MissingToolError: There is no source or no Go toolchain, or the build failed; shows what the compiler said.

    """
    source = engine_source()
    folder = _folder(source, tags)

    def build(part: Path) -> None:
        shown = progress or Silent()
        _build(find_go(shown), source, part / _NAME, (*BUILD_FLAGS, "-tags", ",".join(tags)), shown)

    return make_once(folder, build, complete=lambda made: (made / _NAME).is_file()) / _NAME


def _folder(source: Path, tags: Sequence[str]) -> Path:
    name = "-".join((source_key(source), platform.system(), platform.machine(), *tags)).lower()
    return cache_dir() / "engine" / name


def locate(configured: Path | None, progress: Progress | None = None, *, needed: Collection[str] | None = None) -> Path:
    """Return the binary to use: `configured` after a check that it has what is needed, or the one that ddpm builds.

    What a run needs is needed if nothing else is said.

    Where none is configured, as in an image that has an engine, `DDPM_ENGINE` may name one.

    Raises:
        ConfigError: The configured binary is not one that can be used.
        MissingToolError: ddpm's own could not be built.

    """
    named = os.environ.get(ENGINE_VARIABLE)
    configured = Path(named) if configured is None and named else configured
    if configured is None:
        return install(progress)
    check_plugin(configured, needed)
    return configured


def required_components() -> frozenset[str]:
    """What an engine must have for a run."""
    # Here, because what writes the names that both have in common builds an engine, and needs none of them.
    from ddpm.components.registry import SINKS

    return _REQUIRED | {sink.engine_output for sink in SINKS}


def check_plugin(binary: Path, needed: Collection[str] | None = None) -> None:
    """Make sure that `binary` is an engine that contains the needed components of ddpm's plugin.

    Raises:
        ConfigError: It does not exist, cannot be executed, is not an engine, or lacks components.

    """
    hint = "build it from cmd/engine, or leave app.engine.binary out and ddpm builds its own"
    if not binary.is_file():
        msg = f"the engine {binary} does not exist"
        raise ConfigError(msg, hint=hint)
    if not os.access(binary, os.X_OK):
        msg = f"the engine {binary} is not executable"
        raise ConfigError(msg, hint=f"chmod +x {binary}")
    listed = _ask(binary, "list")
    components = set(_COMPONENT.findall(listed.stdout))
    if listed.returncode or not components:
        msg = f"{binary} is not an engine: it does not answer `list`{_quoted(listed.stderr or listed.stdout)}"
        raise ConfigError(msg, hint=hint)
    if missing := set(required_components() if needed is None else needed) - components:
        msg = f"the engine {binary} was built without ddpm's plugin: it lacks {', '.join(sorted(missing))}"
        raise ConfigError(msg, hint=hint)


def version(binary: Path) -> str:
    """The version of the engine, such as `v1.20.0`.

    Raises:
        ConfigError: The binary does not say one.

    """
    said = _ask(binary, "--version")
    found = _VERSION.search(said.stdout)
    if found is None:
        msg = f"{binary} is not an engine: it does not answer `--version`{_quoted(said.stderr or said.stdout)}"
        raise ConfigError(msg)
    return found[1]


def lint(binary: Path, config_path: Path, env: Mapping[str, str] | None = None) -> list[str]:
    """Let the engine check a configuration.

    Args:
        binary: The engine.
        config_path: The rendered configuration.
        env: Added to ddpm's own environment; variables that the configuration names must only be there when it runs.

    Returns:
        One line for each problem, `path(line,column) what`; none when the configuration is fine.

    Raises:
        EngineError: The engine broke off without naming a problem.

    """
    ran = _lint(binary, [config_path], env)
    said = (ran.stdout + ran.stderr).strip()
    if ran.returncode == 0:
        return []
    if not said:
        msg = f"the engine {binary} ended with exit code {ran.returncode} when it checked {config_path}"
        raise EngineError(msg)
    return _problems(said)


def all_fine(binary: Path, config_paths: Sequence[Path], env: Mapping[str, str] | None = None) -> bool:
    """Whether the engine finds no problem in any of several configurations; raises and takes `env` as `lint` does.

    To start the engine takes longer than to check a configuration.
    """
    return _lint(binary, config_paths, env).returncode == 0


def _lint(
    binary: Path, config_paths: Sequence[Path], env: Mapping[str, str] | None
) -> "subprocess.CompletedProcess[str]":
    return _ask(binary, "lint", "--skip-env-var-check", *map(str, config_paths), env=env)


def source_key(source: Path) -> str:
    """A hash of everything in the folder `source` that goes into the binary: all but tests."""
    digest = hashlib.sha256(" ".join(BUILD_FLAGS).encode())
    files = {file for pattern in _SOURCES for file in source.rglob(pattern)}
    for file in sorted(files):
        name = file.relative_to(source).as_posix()
        if not name.endswith("_test.go") and "testdata" not in file.parts:
            digest.update(f"\0{name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _problems(said: str) -> list[str]:
    """Join what belongs to one problem: it begins with a place, and its text may go on over further lines."""
    problems: list[str] = []
    for line in said.splitlines():
        if problems and not _LINT_PLACE.match(line):
            problems[-1] += f"\n{line}"
        else:
            problems.append(line)
    return problems


def _build(go: Go, source: Path, target: Path, flags: Sequence[str], progress: Progress) -> None:
    with progress.step("Building the engine: fetching modules", "modules") as step:
        fetched = _Counter(step, "go: downloading ")
        packages = _run_go(
            go, source, ("list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", *flags, "."), fetched
        )
    total = len(packages.split())
    with progress.step("Building the engine: compiling", "packages") as step:
        compiled = _Counter(step, "", total)
        _run_go(go, source, ("build", "-v", *flags, "-o", str(target), "."), compiled)


class _Counter:
    """Counts the lines of a running command that begin with `prefix`."""

    def __init__(self, step: Step, prefix: str, total: int | None = None) -> None:
        self._step = step
        self._prefix = prefix
        self._total = total
        self._done = 0

    def line(self, text: str) -> None:
        if text.startswith(self._prefix):
            self._done += 1
            total = None if self._total is None else max(self._total, self._done)
            self._step.update(self._done, total, text.removeprefix(self._prefix))


def _run_go(go: Go, source: Path, arguments: Sequence[str], counter: _Counter) -> str:
    """Run one command of the toolchain and return its standard output; its progress is read from standard error."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            [go.path, *arguments],
            cwd=source,
            env=go.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        said = _follow(process, counter)
        if process.returncode:
            end = "\n".join(f"    {line}" for line in said[-_LINES_OF_COMPILER:])
            msg = f"the engine could not be built from {source} with {go.path}; the end of what it said:\n{end}"
            raise MissingToolError(
                msg, hint="correct what it says (network, disk space, source), then `ddpm engine install`"
            )
        output.seek(0)
        return output.read()


def _follow(process: "subprocess.Popen[str]", counter: _Counter) -> list[str]:
    assert process.stderr is not None  # noqa: S101 -- a pipe was asked for
    said = []
    try:
        with process.stderr as stream:
            for line in stream:
                said.append(line.rstrip())
                counter.line(line.rstrip())
        process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return said


def _ask(binary: Path, *arguments: str, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            [binary, *arguments],
            env=os.environ | (env or {}),
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except OSError as error:
        msg = f"the engine {binary} cannot be executed: {error.strerror}"
        raise ConfigError(msg, hint="correct app.engine.binary; it must be built for this machine") from error
    except subprocess.TimeoutExpired as error:
        msg = f"{binary} is not an engine: `{arguments[0]}` did not end within {_ANSWER_SECONDS} s"
        raise ConfigError(msg) from error


def _quoted(said: str) -> str:
    lines = said.strip().splitlines()
    return f" but says: {lines[0]}" if lines else ""
