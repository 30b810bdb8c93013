"""`ddpm init` and `ddpm schema`: files that work as they are, in the terminal and in an editor."""

import json
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from ddpm.components.parsers import OPTIONS
from ddpm.components.registry import pipeline_type
from ddpm.config import load
from unit.cli.fake_ddpm import call, error_of

FILES = {"app-config.yaml", "orders.ndjson", "orders.cases.yaml", ".gitignore", "app-config.schema.json"}
SHIPPED = Path(__file__).parents[3] / "config" / "app-config.yaml"


def test_the_starter_is_a_valid_configuration_for_ddpm_and_for_an_editor(tmp_path: Path) -> None:
    shown = call("init", str(tmp_path / "a b")).stdout
    folder = tmp_path / "a b"
    assert {path.name for path in folder.iterdir()} == FILES
    assert f"next: cd '{folder}' && ddpm run --seed orders.ndjson" in shown
    loaded = load(folder / "app-config.yaml", {}, model=pipeline_type(), parsers=OPTIONS)
    assert loaded.warnings == ()
    assert loaded.config.pipelines[0].kafka.embedded
    first = (folder / "app-config.yaml").read_text().splitlines()[0]
    schema = folder / first.removeprefix("# yaml-language-server: $schema=")
    jsonschema_rs.validator_for(json.loads(schema.read_text())).validate(
        yaml.safe_load((folder / "app-config.yaml").read_text())
    )
    assert ".ddpm/" in (folder / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("taken", sorted(FILES - {".gitignore"}))
def test_nothing_is_written_where_a_file_would_be_overwritten(taken: str, tmp_path: Path) -> None:
    (tmp_path / taken).write_text("mine")
    assert f"already has {taken}; nothing was written" in str(error_of(call("init", str(tmp_path))))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {taken: "mine"}


def test_a_gitignore_of_ones_own_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".gitignore").write_text("mine")
    assert "next: ddpm run" in call("init").stdout
    assert (tmp_path / ".gitignore").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in str(error_of(call("init", str(tmp_path / "file" / "folder"))))


def test_the_printed_schema_takes_the_shipped_configuration_and_no_misspelled_one() -> None:
    validator = jsonschema_rs.validator_for(json.loads(call("schema").stdout))
    shipped = yaml.safe_load(SHIPPED.read_text())
    validator.validate(shipped)
    shipped["app"]["postgres"]["tabel"] = "flights"
    assert not validator.is_valid(shipped)
