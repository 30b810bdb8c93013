"""The launcher with a small Python program in the engine's place: environment, logs, lifeline, end."""

import os
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ddpm.engine.launching import EngineSpec, LogLine, parse_log_line
from ddpm.engine.process import launch
from ddpm.errors import MissingToolError
from harness.process import alive
from harness.waiting import eventually

WAIT = 20


def program(folder: Path, body: str) -> EngineSpec:
    binary = folder / "engine"
    binary.write_text(f"#!{sys.executable}\nimport os, sys, json\n{body}\n")
    binary.chmod(0o700)
    return EngineSpec(binary, folder / "config.yaml", {"DDPM_POSTGRES_DSN": "secret"}, drain=7.0, memory_limit=123)


def collect(lines: list[LogLine], wanted: int) -> tuple[threading.Event, "object"]:
    enough = threading.Event()

    def on_log(line: LogLine) -> None:
        lines.append(line)
        if len(lines) >= wanted:
            enough.set()

    return enough, on_log


def test_the_engine_gets_its_settings_and_a_group_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPM_CACHE_DIR", "/not/for/the/engine")
    monkeypatch.setenv("SHOP", "berlin")
    spec = program(
        tmp_path,
        "env = {k: v for k, v in os.environ.items() if k.startswith(('DDPM_', 'SHOP', 'GOMEM'))}\n"
        "print(json.dumps({'level': 'info', 'msg': 'env', 'env': env, 'argv': sys.argv[1:], 'pgid': os.getpgid(0)}),"
        " file=sys.stderr)",
    )
    lines: list[LogLine] = []
    enough, on_log = collect(lines, 1)
    engine = launch(spec, on_log)  # type: ignore[arg-type]
    assert engine.wait(WAIT) == 0
    assert enough.wait(WAIT)
    fields = lines[0].fields
    lifeline = fields["env"].pop("DDPM_LIFELINE_FD")  # type: ignore[attr-defined]
    assert int(lifeline) > 2
    assert fields["env"] == {
        "SHOP": "berlin",
        "GOMEMLIMIT": "123",
        "DDPM_POSTGRES_DSN": "secret",
        "DDPM_ENGINE_PORT": engine.url.rpartition(":")[2],
        "DDPM_LIFELINE_GRACE": "7.0",
    }
    assert fields["argv"] == ["-c", str(tmp_path / "config.yaml")]
    assert fields["pgid"] == engine.pid != os.getpgid(0)


def test_the_lifeline_closes_when_its_holder_lets_go(tmp_path: Path) -> None:
    spec = program(tmp_path, "os.read(int(os.environ['DDPM_LIFELINE_FD']), 1)\nsys.exit(5)")
    engine = launch(spec, lambda _: None)
    assert engine.exit_code() is None
    os.close(engine._lifeline)
    engine._lifeline = -1
    assert engine.wait(WAIT) == 5


def test_kill_ends_the_whole_group(tmp_path: Path) -> None:
    spec = program(
        tmp_path,
        "import signal, subprocess\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '1000'])\nprint(child.pid, file=sys.stderr, flush=True)\nchild.wait()",
    )
    lines: list[LogLine] = []
    enough, on_log = collect(lines, 1)
    engine = launch(spec, on_log)  # type: ignore[arg-type]
    assert enough.wait(WAIT)
    engine.kill()
    assert engine.wait(WAIT) == -9
    child = int(lines[0].message)
    eventually(lambda: not alive(child), "the engine's child is gone", WAIT)


def test_a_binary_that_cannot_be_executed_is_named(tmp_path: Path) -> None:
    spec = program(tmp_path, "")
    spec.binary.chmod(0o600)
    if os.access(spec.binary, os.X_OK):
        pytest.skip("this user may execute anything")
    with pytest.raises(MissingToolError, match="cannot be started: Permission denied"):
        launch(spec, lambda _: None)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            '{"level":"warning","msg":"away","time":"now","path":"root.output"}',
            LogLine("warning", "away", {"path": "root.output"}),
        ),
        ("panic: nil", LogLine("error", "panic: nil", {})),
        ('{"msg": "no level"}', LogLine("error", '{"msg": "no level"}', {})),
        ("[1]", LogLine("error", "[1]", {})),
        ("3", LogLine("error", "3", {})),
    ],
)
def test_log_lines_are_understood_or_kept_as_they_are(text: str, line: LogLine) -> None:
    assert parse_log_line(text) == line


def test_an_engine_works_in_the_folder_of_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    spec = program(Path(), "print(os.getcwd(), sys.argv[2], file=sys.stderr)")
    lines: list[LogLine] = []
    enough, on_log = collect(lines, 1)

    engine = launch(replace(spec, folder=tmp_path / "elsewhere"), on_log)  # type: ignore[arg-type]

    assert engine.wait(WAIT) == 0
    assert enough.wait(WAIT)
    assert lines[0].message == f"{tmp_path}/elsewhere {tmp_path}/config.yaml"


def test_an_engine_that_cannot_start_says_why(tmp_path: Path) -> None:
    cause = "failed to init processor <no label> path root.pipeline.processors.0: open x.json: no such file"
    entry = {"level": "error", "msg": f"Service closing due to: {cause}: \n"}
    spec = program(tmp_path, f"print(json.dumps({entry!r}), file=sys.stderr)\nsys.exit(1)")

    engine = launch(spec, lambda _: None)

    assert engine.wait(WAIT) == 1
    assert engine.ending() == f"the engine cannot start: {cause}"
