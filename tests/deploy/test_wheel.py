"""What is handed out: the wheel and the source distribution, built for real, installed into an empty environment."""

import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yaml

import ddpm as checkout
from ddpm.devstack import leftovers, remove_data
from ddpm.devstack.running import running_dsn
from harness.process import Ddpm, ddpm
from harness.waiting import eventually
from harness.wheel import ROOT, Built, Environment, build

# Of 21 orders one is a test and one has a total that is no number.
ROWS = 19


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(ROOT, tmp_path_factory.mktemp("dist"), {"SOURCE_DATE_EPOCH": "1700000000"})


@pytest.fixture(scope="module")
def environment(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """With the wheel and what it requires, without any extra."""
    made = Environment(tmp_path_factory.mktemp("venv"))
    made.add_locked(ROOT / "requirements" / "runtime.lock")
    made.install(built.wheel)
    return made


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the user of Postgres can enter, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="ddpm-test-"))
    made.chmod(0o711)
    yield made
    remove_data(made / ".ddpm")
    shutil.rmtree(made)


def test_another_folder_time_and_umask_give_the_same_bytes_and_so_does_the_source_distribution(
    built: Built, tmp_path: Path
) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path / "elsewhere", filter="data")
    (source,) = (tmp_path / "elsewhere").iterdir()
    for file in source.rglob("*"):
        os.utime(file, (1_234_567_890, 1_234_567_890))
    env = {"SOURCE_DATE_EPOCH": "1700000000", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    again = build(source, tmp_path / "dist", env, umask=0o077)
    assert again.wheel.read_bytes() == built.wheel.read_bytes()
    assert again.sdist.read_bytes() == built.sdist.read_bytes()


def test_the_wheel_has_the_licences_and_nothing_that_only_tests_need(built: Built) -> None:
    names = zipfile.ZipFile(built.wheel).namelist()
    for name in ("LICENSE", "docs/licences.md", "docs/licences-engine.txt"):
        assert f"ddpm-{checkout.__version__}.dist-info/licenses/{name}" in names
    assert not [name for name in names if name.endswith("_test.go") or "testdata" in name or "/tests/" in name]


def test_the_wheel_runs_the_starter_from_an_empty_environment(
    environment: Environment, built: Built, engine_binary: Path, folder: Path
) -> None:
    program = (str(environment.ddpm),)
    assert ddpm("version", cwd=folder, program=program).stdout.strip() == checkout.__version__
    said = subprocess.run(
        [environment.python, "-c", "import ddpm; print(ddpm.__file__)"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(said.stdout.strip()).is_relative_to(environment.python.parents[1])
    # The same sources, so the engine that is there already.
    installed = ddpm("engine", "install", cwd=folder, program=program)
    assert (installed.returncode, installed.stdout.strip()) == (0, str(engine_binary))

    assert ddpm("init", cwd=folder, program=program).returncode == 0
    validated = ddpm("validate", "--config", "app-config.yaml", cwd=folder, program=program)
    assert (validated.returncode, validated.stdout) == (0, "app-config.yaml: ok (orders)\n"), validated.stderr

    config = yaml.safe_load((folder / "app-config.yaml").read_text())
    config["app"]["server"] = {"port": 0}
    with_extra = Ddpm(config, folder, program=program, options=("--seed", "orders.ndjson"))
    refused = ddpm("run", "--config", "app-config.yaml", cwd=folder, program=program)
    assert refused.returncode == 3
    assert "-py3-none-any.whl[embedded]'" in refused.stderr
    assert not (folder / ".ddpm").exists()

    environment.add_locked(ROOT / "requirements" / "embedded.lock")
    environment.install(built.wheel, "[embedded]")
    with with_extra as run:
        run.wait_healthy()
        dsn = running_dsn(folder / ".ddpm")
        with psycopg.connect(dsn, autocommit=True) as connection:

            def rows() -> int:
                return len(connection.execute("select id from orders").fetchall())

            eventually(lambda: rows() == ROWS, f"{ROWS} orders are in the table")
        letters = ddpm("dlq", "list", "--config", "app-config.yaml", cwd=folder, program=program)
        assert "22P02" in letters.stdout, letters.stderr
        assert run.stop() == 0
    assert leftovers(folder / ".ddpm") == []
