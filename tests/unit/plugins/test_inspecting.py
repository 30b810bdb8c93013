"""What a plugin is found to be, and how a broken one is answered: with file and line."""

from pathlib import Path

import pytest

from ddpm.component import Component
from ddpm.components.parsers import OPTIONS, gives_many, processors
from ddpm.components.processors import guarded
from ddpm.components.registry import pipeline_type
from ddpm.config import ConfigProblems, LoadResult, load
from ddpm.plugins.inspecting import inspect_plugin
from ddpm.plugins.loading import entry_point_names

pytestmark = pytest.mark.slow

HEAD = """\
app:
  kafka: {brokers: ["localhost:9092"], topics: [orders], consumer_group: group}
  postgres: {url: embedded, table: orders}
"""
CLASS = """
from pydantic import BaseModel

class Parser:
    '''Reads pairs.'''

    class Options(BaseModel, extra="forbid"):
        separator: str
        strict: bool = False

    many = True

    def __init__(self, options):
        self.options = options

    def processors(self):
        return [{"mapping": "root.separator = \\"%s\\"" % self.options.separator}]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(source: str) -> LoadResult:
    path = Path("app-config.yaml")
    path.write_text(f"{HEAD}  source: {{{source}}}\n")
    return load(path, {}, model=pipeline_type(), parsers=OPTIONS, installed=entry_point_names(), inspect=inspect_plugin)


def problem_of(source: str) -> str:
    with pytest.raises(ConfigProblems) as caught:
        loaded(source)
    (problem,) = caught.value.problems
    return f"{problem.code} {problem.path}: {problem.message}"


def test_a_function_becomes_workers(folder: Path) -> None:
    (folder / "pairs.py").write_text("print('hello')\n\ndef parse(payload, meta):\n    '''Pairs.'''\n    return []\n")
    source = (
        loaded("parser: pairs, plugin_path: pairs.py, workers: {count: 3, timeout: 500ms}").config.pipelines[0].source
    )
    expected = {
        "python_env": "DDPM_PYTHON",
        "name": "pairs",
        "path": str(folder / "pairs.py"),
        "workers": 3,
        "timeout": "500ms",
        "memory": 512 * 2**20,
        "tries": 3,
    }
    assert processors(source) == [{"ddpm_python": expected}]
    assert gives_many(source)


def test_a_class_becomes_its_processors(folder: Path) -> None:
    (folder / "pairs.py").write_text(CLASS)
    source = loaded('parser: pairs, plugin_path: pairs.py, options: {separator: ";"}').config.pipelines[0].source
    made: Component = {"try": [{"mapping": 'root.separator = ";"'}, {"ddpm_index": {"many": True}}]}
    assert processors(source)[1:] == guarded(made)
    assert gives_many(source)


@pytest.mark.parametrize("place", ["parsers/pairs.py", "parsers/pairs/__init__.py"])
@pytest.mark.parametrize("named", ["parsers", "itself"])
def test_a_folder_may_be_named(folder: Path, place: str, named: str) -> None:
    file = folder / place
    file.parent.mkdir(parents=True)
    (file.parent / "helper_of_pairs.py").write_text("A = 1\n")
    own = "from .helper_of_pairs import A" if file.name == "__init__.py" else "from helper_of_pairs import A"
    file.write_text(f"{own}\n\ndef parse(payload, meta):\n    return [{{'a': A}}]\n")
    path = "parsers" if named == "parsers" else place.removesuffix("/__init__.py")
    source = loaded(f"parser: pairs, plugin_path: {path}").config.pipelines[0].source
    assert source.plugin is not None
    assert source.plugin.path == str(folder / place.removesuffix("/__init__.py"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import json\nimport nothing_of_this_name\n", "pairs.py:2: ModuleNotFoundError: No module named"),
        ("def parse(payload, meta:\n", "pairs.py:1: SyntaxError: "),
        ("\n1 / 0\n", "pairs.py:2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit('enough')\n", "pairs.py:2: SystemExit: enough"),
        ("import os\nos._exit(7)\n", "pairs.py: its process ended with 7 while it was loaded"),
        (
            "\n\ndef parse(payload):\n    return []\n",
            "pairs.py:3: parse must take two arguments, payload and meta: too many",
        ),
        ("async def parse(payload, meta):\n    return []\n", "pairs.py:1: parse is asynchronous"),
        ("x = 1\n", "pairs.py:1: the plugin has neither a function parse(payload, meta) nor a class Parser"),
        ("parse = 3\n", "pairs.py: 3 is not a parser"),
        ("class Parser:\n    pass\n", "TypeError: Parser() takes no arguments"),
        (CLASS.replace("return [", "return 5 #"), "pairs.py:4: Parser: processors() must return a list"),
        (
            CLASS.replace("self.options.separator", "self.options.nothing"),
            "pairs.py:17: AttributeError: 'Options' object",
        ),
        (CLASS.replace('BaseModel, extra="forbid"', "dict"), "pairs.py:4: Parser: Options must be a model of pydantic"),
    ],
)
def test_a_broken_plugin_is_told_with_file_and_line(folder: Path, text: str, message: str) -> None:
    (folder / "pairs.py").write_text(text)
    options = ", options: {separator: x}" if "BaseModel" in text else ""
    told = problem_of(f"parser: pairs, plugin_path: pairs.py{options}")
    assert told.startswith('plugin-broken app.source.plugin_path: the plugin of the parser "pairs" cannot be used: ')
    assert message in told


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("plugin_path: no.py", "file-missing app.source.plugin_path: the plugin no.py does not exist"),
        ("plugin_path: .", 'plugin-broken app.source.plugin_path: . holds no plugin for the parser "pairs"'),
        ("plugin_path: app-config.yaml", "plugin-broken app.source.plugin_path: app-config.yaml holds no plugin"),
        ("plugin_path: klass.py", "missing-field app.source.options.separator: missing field"),
        (
            "plugin_path: klass.py, options: {separator: x, strickt: true}",
            "unknown-field app.source.options.strickt: unknown field",
        ),
        (
            "plugin_path: klass.py, options: {separator: 3}",
            "wrong-type app.source.options.separator: expected text, got the number 3",
        ),
        ("plugin_path: function.py, options: {a: 1}", "unknown-field app.source.options.a: unknown field"),
        ("plugin_path: function.py, workers: {tries: 0}", "invalid-value app.source.workers.tries: must be at least 1"),
    ],
)
def test_a_mistake_in_the_configuration_is_told_at_its_place(folder: Path, source: str, told: str) -> None:
    (folder / "klass.py").write_text(CLASS)
    (folder / "function.py").write_text("def parse(payload, meta):\n    return []\n")
    assert told in problem_of(f"parser: pairs, {source}")


def test_workers_of_a_parser_that_has_none_are_told_to_be_idle() -> None:
    (warning,) = loaded("parser: json, workers: {count: 2}").warnings
    assert (warning.code, warning.path) == ("workers-ignored", "app.source.workers")


def test_a_function_cannot_run_in_a_container_without_python(folder: Path) -> None:
    (folder / "function.py").write_text("def parse(payload, meta):\n    return []\n")
    engine = "engine: {launcher: container, container: {image: e}"
    told = problem_of(f"parser: pairs, plugin_path: function.py}}\n  {engine}")
    assert told.startswith('launcher-unfit app.engine.launcher: the parser "pairs" is a Python function')


def test_installed_parsers_are_found_by_their_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = folder / "site" / "shop-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[ddpm.parsers]\npairs = shop:parse\nupper = shop:UPPER\nlost = shop:nothing\nbent = shop:Bent\n"
    )
    (folder / "site" / "shop.py").write_text(
        "UPPER = 'root = content().uppercase()'\ndef parse(payload, meta):\n    return []\n"
        "class Bent:\n    def __init__(self, options):\n        raise ValueError('bent')\n"
    )
    monkeypatch.syspath_prepend(folder / "site")
    monkeypatch.setenv("PYTHONPATH", str(folder / "site"))
    source = loaded("parser: pairs").config.pipelines[0].source
    assert processors(source)[0]["ddpm_python"]["path"] == ""  # type: ignore[index, call-overload]
    mapping = loaded("parser: upper").config.pipelines[0].source
    assert processors(mapping)[1:] == guarded({"try": [{"mapping": "root = content().uppercase()"}]})
    assert "plugin-broken app.source.parser: " in problem_of("parser: lost")
    assert "shop.py:6: ValueError: bent" in problem_of("parser: bent")
    with pytest.raises(ConfigProblems) as caught:
        loaded("parser: pear")
    assert "pairs" in (caught.value.problems[0].hint or "")
