"""One ddpm at a time on a data folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ddpm.devstack.ownership import Claim
from ddpm.errors import ExitCode, MissingToolError


def test_second_claim_names_folder_and_owner(tmp_path: Path) -> None:
    first = Claim(tmp_path, "the embedded Kafka")
    with pytest.raises(
        MissingToolError, match=f"{tmp_path} of the embedded Kafka is in use by pid {os.getpid()}"
    ) as error:
        Claim(tmp_path, "the embedded Kafka")
    assert error.value.exit_code == ExitCode.ENVIRONMENT
    first.release()
    Claim(tmp_path, "the embedded Kafka").release()


def test_claim_ends_with_a_killed_owner(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from ddpm.devstack.ownership import Claim
claim = Claim(Path({str(tmp_path)!r}), "it")
print("mine", flush=True)
input()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"mine\n"
        with pytest.raises(MissingToolError, match=f"pid {owner.pid}"):
            Claim(tmp_path, "it")
        owner.kill()
    Claim(tmp_path, "it").release()


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MissingToolError, match=r"file/data of it cannot be written"):
        Claim(tmp_path / "file" / "data", "it")
