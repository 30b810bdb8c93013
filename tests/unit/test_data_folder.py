"""The data folder tells which layout it has, and a newer one is not touched."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ddpm import __version__
from ddpm.errors import ExitCode, MissingToolError, NewerStateError
from ddpm.orchestrator.run.datafolder import check_folder, check_free, check_unheld, claim_folder, held


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


def test_a_folder_is_held_by_one_and_whoever_comes_next_is_told_by_whom(tmp_path: Path) -> None:
    check_unheld(tmp_path)
    with held(tmp_path, "http://127.0.0.1:4195"):
        for _ in range(2):
            with pytest.raises(MissingToolError) as refused, held(tmp_path, "http://127.0.0.1:4196"):
                pass
            assert refused.value.exit_code is ExitCode.ENVIRONMENT
            said = (
                f"another ddpm runs in the data folder {tmp_path}: process {os.getpid()}, http://127.0.0.1:4195, since"
            )
            assert refused.value.message.startswith(said)
            assert "in a folder of its own" in (refused.value.hint or "")
        with pytest.raises(MissingToolError) as removing:
            check_free(tmp_path, "end that one first")
        assert removing.value.hint == "end that one first"
    check_free(tmp_path)
    with held(tmp_path, "http://127.0.0.1:4196"):
        pass


def test_whoever_held_a_folder_and_was_killed_holds_it_no_more(tmp_path: Path) -> None:
    code = (
        "import sys, subprocess, pathlib; from ddpm.orchestrator.run.datafolder import held\n"
        "with held(pathlib.Path(sys.argv[1]), 'http://127.0.0.1:4195'):\n"
        "    child = subprocess.Popen(['sleep', '60'])\n"
        "    print(child.pid, flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            with pytest.raises(MissingToolError, match=f"process {holder.pid},"):
                check_unheld(tmp_path)
            holder.kill()
            holder.wait()
            check_unheld(tmp_path)
        finally:
            os.kill(child, 9)
