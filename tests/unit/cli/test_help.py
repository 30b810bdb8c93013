"""What a person sees who does not know ddpm yet: help, examples, version, completion."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import ddpm
from ddpm.cli.commands import PLACES, load
from ddpm.cli.examples import EXAMPLES
from ddpm.cli.main import app
from ddpm.engine.cache import CACHE_DIR_VARIABLE
from ddpm.words import counted

CONFIG = """\
app:
  kafka: {brokers: ["localhost:9092"], topics: [orders], consumer_group: orders}
  postgres: {url: "postgresql://u@db:5432/shop", table: orders}
pipelines: {orders: {}, returns: {postgres: {table: returns}}}
"""


def commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


LOADED = {place.name: load(place.name) for place in PLACES}
ALL = dict(commands(SimpleNamespace(commands=LOADED)))


def test_without_arguments_ddpm_says_what_it_is_and_three_things_to_do() -> None:
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0
    assert "one YAML file" in result.stdout
    for first in ("ddpm init", "ddpm run --seed orders.ndjson", "ddpm rows"):
        assert first in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 110


def test_the_list_of_commands_says_what_each_says_of_itself() -> None:
    assert {place.name: place.summary for place in PLACES} == {
        name: command.help.partition("\n\n")[0] for name, command in LOADED.items()
    }


# What only a run, or a question to a server, needs.
HEAVY = (
    "docker",
    "fastapi",
    "httpx2",
    "kafka",
    "pandas",
    "prometheus_client",
    "psycopg",
    "pyarrow",
    "starlette",
    "uvicorn",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        ("--help", (*HEAVY, "jinja2", "pydantic", "structlog", "yaml")),
        ("--version", (*HEAVY, "jinja2", "pydantic", "rich", "structlog", "yaml")),
        ("", (*HEAVY, "jinja2", "structlog", "yaml")),
        ("run --help", tuple({*HEAVY} - {"httpx2"})),
        ("status --help", tuple({*HEAVY} - {"httpx2"})),
        ("validate --config app-config.yaml", HEAVY),
    ],
)
def test_a_command_imports_nothing_heavy_that_it_does_not_need(
    arguments: str, heavy: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "app-config.yaml").write_text(CONFIG)
    code = (
        "import json, sys\n"
        "from ddpm.cli import main\n"
        "sys.argv = ['ddpm', *json.loads(sys.argv[1])]\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as ended:\n"
        "    assert not ended.code, ended.code\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    # Without an engine: what `validate` imports to ask one is imported all the same.
    env = {name: value for name, value in os.environ.items() if name not in ("CONFIG_PATH", "DDPM_ENGINE")}
    env[CACHE_DIR_VARIABLE] = str(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments.split())],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    imported = json.loads(ran.stdout.splitlines()[-1])
    assert [name for name in heavy if name in imported] == []


@pytest.mark.parametrize("option", ["--version", "version"])
def test_the_version_is_told(option: str) -> None:
    result = CliRunner().invoke(app, [option])
    assert (result.exit_code, result.stdout.split()[-1]) == (0, ddpm.__version__)


@pytest.mark.parametrize("words", ALL, ids=str)
def test_every_command_has_help_with_examples(words: str) -> None:
    result = CliRunner().invoke(app, [*words.split(), "-h"], env={"COLUMNS": "100"})
    assert result.exit_code == 0
    for example in EXAMPLES[words]:
        assert f"$ {example}" in result.stdout


@pytest.mark.parametrize("example", [line for lines in EXAMPLES.values() for line in lines])
def test_every_example_can_be_typed(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("shop.yaml", "orders.ndjson", "orders.cases.yaml", "data.csv"):
        Path(name).touch()
    typed = shlex.split(example.rpartition("| ")[2].partition(" > ")[0])
    assert typed[0] == "ddpm"
    size = 2 if " ".join(typed[1:3]) in ALL else 1
    words, arguments = " ".join(typed[1 : 1 + size]), typed[1 + size :]
    ALL[words].make_context(words, arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "asked"),
    [
        ("bash", {"COMP_WORDS": "ddpm pause r", "COMP_CWORD": "2"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "ddpm pause r"}),
        ("fish", {"_TYPER_COMPLETE_ARGS": "ddpm pause r", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ],
)
def test_shells_complete_the_names_of_pipelines(shell: str, asked: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "app-config.yaml").write_text(CONFIG)
    command = Path(sys.executable).with_name("ddpm")
    env = os.environ | asked | {"_DDPM_COMPLETE": f"complete_{shell}"}
    env.pop("CONFIG_PATH", None)
    said = subprocess.run([command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert "returns" in said.stdout
    assert "orders" not in said.stdout
    source = subprocess.run(
        [command],
        env=os.environ | {"_DDPM_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "_DDPM_COMPLETE" in source.stdout


@pytest.mark.parametrize(("number", "words"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1234567, "1,234,567 rows")])
def test_one_is_not_many(number: int, words: str) -> None:
    assert counted(number, "row") == words
    assert counted(1, "entry", "entries") == "1 entry"
    assert counted(2, "entry", "entries") == "2 entries"


@pytest.mark.parametrize("module", ["ddpm.cli.examples", "ddpm.cli.init", "ddpm.starter"])
def test_ctrl_c_while_the_command_is_still_loading_shows_no_traceback(module: str) -> None:
    code = (
        "import sys\n"
        "broken = sys.argv.pop()\n"
        "class Impatient:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == broken:\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Impatient())\n"
        "import ddpm.cli\n"
        "ddpm.cli.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, "schema", module], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
