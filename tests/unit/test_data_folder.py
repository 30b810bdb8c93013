"""The data folder tells which layout it has, and a newer one is not touched."""

import json
from pathlib import Path

import pytest

from ddpm import __version__
from ddpm.errors import ExitCode, MissingToolError, NewerStateError
from ddpm.orchestrator.datafolder import check_folder, claim_folder


def test_a_new_folder_and_one_from_before_there_was_a_version_get_the_present_one(tmp_path: Path) -> None:
    check_folder(tmp_path / ".ddpm")
    assert not (tmp_path / ".ddpm").exists()
    (tmp_path / "older" / "state").mkdir(parents=True)
    for folder in (tmp_path / ".ddpm", tmp_path / "older"):
        claim_folder(folder)
        claim_folder(folder)
        assert json.loads((folder / "version.json").read_text()) == {"version": 1, "ddpm": __version__}


def test_a_newer_folder_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "version.json").write_text('{"version": 2, "ddpm": "1.4.0"}')
    with pytest.raises(NewerStateError) as refused:
        claim_folder(tmp_path)
    assert str(refused.value) == (
        f"the data folder {tmp_path} has version 2, written by ddpm 1.4.0; this is ddpm {__version__}, which knows "
        "versions up to 1, and it has changed nothing\n  hint: upgrade ddpm to 1.4.0 or later"
    )
    assert refused.value.exit_code is ExitCode.ENVIRONMENT


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": "new"}', '{"version": null}'])
def test_a_version_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "version.json").write_text(text)
    with pytest.raises(MissingToolError, match=r"cannot be read from .*version\.json"):
        check_folder(tmp_path)
