"""Sinks that installed packages bring, in configurations."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ddpm.components.registry import SINK_GROUP, pipeline_type
from ddpm.config import json_schema
from harness import outside
from unit.config.folder import MINIMAL, Folder

NEEDED = "the text_file sink needs a path: write - text_file: {path: /data/orders.jsonl}"

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Install:
    def installed(entry: str = "text_file = text_sink:TextFile") -> None:
        monkeypatch.syspath_prepend(outside.install(tmp_path / "site", entry))
        pipeline_type.cache_clear()

    # When what is installed has gone again.
    request.addfinalizer(pipeline_type.cache_clear)
    return installed


def test_it_is_read_as_ddpms_own_are(folder: Folder, install: Install) -> None:
    install()
    (sink,) = folder.load(MINIMAL + "  sinks: [{text_file: {path: /data/x}}]\n").config.pipelines[0].sinks
    assert (sink.kind, sink.shown, sink.described) == ("text_file", "/data/x", "text_file /data/x")


@pytest.mark.parametrize(
    ("sinks", "path", "message"),
    [
        ("[{text_file: {pth: x}}]", "app.sinks[0].text_file.path", "missing field"),
        ("[postgres, {text_file: {path: 5}}]", "app.sinks[1].text_file.path", "expected text, got the number 5"),
        ("[{text_file: {path: x, more: 1}}]", "app.sinks[0].text_file.more", "unknown field"),
        ("[text_file]", "app.sinks[0]", NEEDED),
        ("[text_fiel]", "app.sinks[0]", '"text_fiel" is not a sink'),
    ],
)
def test_its_mistakes_are_told_with_their_place(
    folder: Folder, install: Install, sinks: str, path: str, message: str
) -> None:
    install()
    problem = folder.errors(MINIMAL + f"  sinks: {sinks}\n")[0]
    assert (problem.path, problem.message) == (path, message)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("text_file = nowhere:TextFile", "cannot be imported: ModuleNotFoundError"),
        ("text_file = text_sink:Path", "is not a class derived from ddpm.config.model.Sink"),
        ("rows = text_sink:TextFile", 'calls itself "text_file"'),
    ],
)
def test_one_that_is_broken_is_a_problem_of_who_names_it_alone(
    folder: Folder, install: Install, entry: str, why: str
) -> None:
    install(entry)
    assert folder.load(MINIMAL).warnings == ()
    name = entry.partition(" ")[0]
    problem = folder.error(MINIMAL + f"  sinks: [{{{name}: {{path: x}}}}]\n")
    assert problem.path == "app.sinks[0]"
    assert why in problem.message
    assert "of the package text-sink" in problem.message


def test_the_schema_knows_it(install: Install) -> None:
    install()
    definitions = json_schema(pipeline_type())["$defs"]
    assert {"$ref": "#/$defs/sinks.text_file"} in [
        each["properties"].get("text_file") for each in definitions["Sink"]["anyOf"] if "properties" in each
    ]
    assert definitions["sinks.text_file"]["required"] == ["path"]


def test_ddpms_own_sinks_cannot_be_replaced(folder: Folder, install: Install) -> None:
    install("stdout = text_sink:TextFile")
    assert folder.load(MINIMAL + "  sinks: [stdout]\n").config.pipelines[0].sinks[0].kind == "stdout"


def test_the_group_is_the_one_that_the_page_names() -> None:
    page = (Path(__file__).parents[3] / "docs" / "writing-a-sink.md").read_text()
    assert f'[project.entry-points."{SINK_GROUP}"]' in page
    assert 'text_file = "text_sink:TextFile"' in page
