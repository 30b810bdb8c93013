"""`profiling: true` on the real thing: what is saved when ddpm is stopped, and that the usual tools can read it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import memray
import psutil
import pytest

from ddpm.engine.progress import Silent
from ddpm.engine.toolchain import find_go
from ddpm.observability.profiling import CPU_FILE, MEMORY_FILE, ORCHESTRATOR
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World, json_records

ROOT = Path(__file__).parents[2]
COUNT = 20_000
# Work for a quarter of a second: what is copied as it is costs the engine so little that a profile may miss it.
MAPPING = "root.n = this.n + range(this.n, this.n + 500).sum() * 0"
LISTED = 100_000
# Of ddpm's own CPU time: 200 chances of a sample.
BUSY_SECONDS = 1.0


def pprof(*arguments: str | Path) -> str:
    """What Go's own viewer prints."""
    go = find_go(Silent())
    ran = subprocess.run(
        [go.path, "tool", "pprof", "-symbolize=none", *arguments],
        env=go.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def listeners(pid: int) -> list[str]:
    """The base addresses of everything that a process listens on."""
    addresses = (each.laddr for each in psutil.Process(pid).net_connections("tcp") if each.status == psutil.CONN_LISTEN)
    return [f"http://[{at.ip}]:{at.port}" if ":" in at.ip else f"http://{at.ip}:{at.port}" for at in addresses]


def live_profiles(pid: int) -> list[str]:
    """The addresses at which an engine serves its profiles."""
    return [url for url in listeners(pid) if _answers(f"{url}/debug/pprof/heap")]


def _answers(url: str) -> bool:
    return httpx.get(url, timeout=10, trust_env=False).status_code == httpx.codes.OK


def drawn(profiles: Path, folder: Path) -> set[str]:
    """The pictures that `make profile-report` makes of profiles."""
    pictures = folder / "pictures"
    subprocess.run(
        [sys.executable, "scripts/profile_report.py", "--profiles", profiles, "--into", pictures],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        check=True,
    )
    return {path.name for path in pictures.iterdir() if "<g>" in path.read_text()}


def keep_busy(running: Ddpm) -> None:
    """Ask ddpm for its metrics until that has cost enough for a sampler to notice: what it does unasked is little."""
    orchestrator = psutil.Process(running.popen.pid)
    enough = orchestrator.cpu_times().user + BUSY_SECONDS
    while orchestrator.cpu_times().user < enough:
        running.metrics()


@pytest.fixture
def consumed(world: World, tmp_path: Path) -> Iterator[Ddpm]:
    """A ddpm with profiles that has consumed records and still runs."""
    world.create_topic()
    world.produce(json_records([{"n": number} for number in range(COUNT)]))
    config = world.config(postgres={"columns": {"n": "integer"}}, processors=[{"mapping": MAPPING}], profiling=True)
    with Ddpm(config, tmp_path) as running:
        world.wait_consumed()
        running.wait_healthy()
        yield running


def test_both_profiles_of_engine_and_orchestrator_are_saved(consumed: Ddpm) -> None:
    profiles = consumed.folder / ".ddpm" / "profiles"
    (live,) = live_profiles(consumed.engine_pid)
    assert live.startswith("http://127.0.0.1:")
    assert "Type: cpu" in pprof("-top", f"{live}/debug/pprof/profile?seconds=1")
    keep_busy(consumed)
    assert consumed.stop() == 0
    engine = profiles / "pipeline" / "0"
    assert "bento" in pprof("-top", f"-nodecount={LISTED}", engine / "cpu.pprof")
    allocated = pprof("-top", f"-nodecount={LISTED}", "-sample_index=alloc_space", engine / "memory.pprof")
    assert "ddpm/engine/internal/sinks/postgrescopy" in allocated
    samples = (profiles / ORCHESTRATOR / CPU_FILE).read_text().splitlines()
    assert any("(ddpm/server/" in line for line in samples)
    assert all(line.rpartition(" ")[2].isdigit() for line in samples)
    with memray.FileReader(profiles / ORCHESTRATOR / MEMORY_FILE) as reader:
        records = reader.get_high_watermark_allocation_records(merge_threads=True)
        places = {str(frame[1]) for record in records for frame in record.stack_trace()}
    assert any("/ddpm/supervisor/" in place for place in places)
    assert "profiles saved" in consumed.log
    assert drawn(profiles, consumed.folder) == {
        "profile-engine-cpu.svg",
        "profile-engine-memory.svg",
        "profile-orchestrator-cpu.svg",
        "profile-orchestrator-memory.svg",
    }


def test_a_sigkill_of_the_engine_costs_its_profiles_and_nothing_else(consumed: Ddpm) -> None:
    first = consumed.engine_pid
    psutil.Process(first).kill()
    # In this order: right after the kill the health is still that of the engine before.
    eventually(lambda: consumed.engine_pid != first and consumed.health()[0] == httpx.codes.OK, "it runs again")
    assert consumed.stop() == 0
    saved = consumed.folder / ".ddpm" / "profiles" / "pipeline" / "0"
    assert {path.name for path in saved.iterdir()} == {"cpu.pprof", "memory.pprof"}


def test_without_profiling_nothing_is_recorded_or_served(world: World, tmp_path: Path) -> None:
    world.create_topic()
    with Ddpm(world.config(), tmp_path) as running:
        running.wait_healthy()
        assert listeners(running.engine_pid)
        assert live_profiles(running.engine_pid) == []
        assert running.stop() == 0
    assert not (tmp_path / ".ddpm" / "profiles").exists()


def test_a_missing_library_ends_ddpm_before_anything_is_started(world: World, tmp_path: Path) -> None:
    # A module of this name that cannot be imported comes before the installed one.
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "memray.py").write_text("raise ImportError\n")
    config = world.config(profiling=True)
    with Ddpm(config, tmp_path, env={"PYTHONPATH": str(tmp_path / "hidden")}) as running:
        assert running.popen.wait(60) == 3
    assert "memray is not installed" in running.log
    assert "-py3-none-any.whl[profiling]'" in running.log
    assert "engine started" not in running.log
