"""Profiles of real processes: what is in them, which ends they survive, and what is said when there can be none."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import memray
import pytest

from ddpm.contract import Env
from ddpm.errors import ExitCode, MissingToolError
from ddpm.observability.profiling import CPU_FILE, MEMORY_FILE, ORCHESTRATOR, engine_environment, profiling
from harness.waiting import eventually

pytestmark = pytest.mark.slow

WORK = """
import json, signal, sys, threading, time
from pathlib import Path
from ddpm.observability.profiling import profiling

def stop(*_):
    sys.exit(7)

def transform(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        json.loads(json.dumps({"numbers": list(range(1000))}))

def wait():
    time.sleep(1.5)

def remember():
    return [bytearray(1000) for _ in range(20_000)]

signal.signal(signal.SIGTERM, stop)
with profiling(Path(sys.argv[1])):
    kept = remember()
    threads = [threading.Thread(target=transform, args=(0.4,)), threading.Thread(target=wait)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Path(sys.argv[2]).touch()
    if sys.argv[3] == "wait":
        time.sleep(60)
"""


def work(folder: Path, *, wait: bool = False) -> "subprocess.Popen[bytes]":
    """A process that has done its work, and waits for its end or ends by itself."""
    worked = folder / "worked"
    arguments = [sys.executable, "-c", WORK, str(folder / "profiles"), str(worked), "wait" if wait else "end"]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    eventually(lambda: worked.exists() or process.poll() is not None, "it works")
    return process


def samples(path: Path) -> Counter[str]:
    """How many samples have a function in their stack."""
    found: Counter[str] = Counter()
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        if not count.isdigit():
            continue  # of a process that was killed: nobody was left to drop what was read while it changed
        for function in {frame.partition(" (")[0] for frame in stack.split(";")}:
            found[function] += int(count)
    return found


def peak(path: Path) -> Counter[str]:
    """Bytes by the function that allocated them, when most was in use."""
    found: Counter[str] = Counter()
    with memray.FileReader(path) as reader:
        for record in reader.get_high_watermark_allocation_records(merge_threads=True):
            for function in {str(frame[0]) for frame in record.stack_trace()}:
                found[function] += record.size
    return found


def test_cpu_of_all_threads_and_memory_are_saved(tmp_path: Path) -> None:
    assert work(tmp_path).wait(30) == 0
    cpu = samples(tmp_path / "profiles" / ORCHESTRATOR / CPU_FILE)
    assert cpu["transform"] > 10
    assert cpu["wait"] <= 2, "who sleeps uses no CPU"
    assert peak(tmp_path / "profiles" / ORCHESTRATOR / MEMORY_FILE)["remember"] > 20_000_000


def test_they_are_saved_when_a_signal_ends_the_run(tmp_path: Path) -> None:
    process = work(tmp_path, wait=True)
    process.terminate()
    assert process.wait(30) == 7
    assert samples(tmp_path / "profiles" / ORCHESTRATOR / CPU_FILE)["transform"] > 10
    assert peak(tmp_path / "profiles" / ORCHESTRATOR / MEMORY_FILE)["remember"] > 20_000_000


def test_the_cpu_profile_survives_a_sigkill_and_nothing_is_left_running(tmp_path: Path) -> None:
    process = work(tmp_path, wait=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    path = tmp_path / "profiles" / ORCHESTRATOR / CPU_FILE
    eventually(lambda: path.is_file() and samples(path)["transform"] > 10, "the CPU profile is saved")
    assert children
    eventually(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in children), "the sampler ends")


SAMPLER = """#!/bin/sh
trap 'printf "work (a.py:1);load (b.py:2) 3\\nwork (a.py:1);to\\nrn\\f7\\n 9\\nwait (a.py:4) 1\\n" > "$5"; exit' INT
echo "Sampling process"
while :; do sleep 0.01; done
"""


def test_a_sample_whose_name_changed_while_it_was_read_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = tmp_path / "py-spy"
    sampler.write_text(SAMPLER)
    sampler.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with profiling(tmp_path / "profiles"):
        pass
    saved = (tmp_path / "profiles" / ORCHESTRATOR / CPU_FILE).read_text()
    assert saved == "work (a.py:1);load (b.py:2) 3\nwait (a.py:4) 1\n"


def test_what_an_earlier_run_left_is_removed(tmp_path: Path) -> None:
    old = tmp_path / "profiles" / "orders" / "0" / "cpu.pprof"
    old.parent.mkdir(parents=True)
    old.touch()
    with profiling(tmp_path / "profiles"):
        assert not old.exists()


def test_a_missing_library_is_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "memray", None)
    with pytest.raises(MissingToolError, match="memray is not installed") as raised, profiling(tmp_path / "profiles"):
        pass
    assert raised.value.exit_code is ExitCode.ENVIRONMENT
    assert "-py3-none-any.whl[profiling]'" in (raised.value.hint or "")
    assert not (tmp_path / "profiles").exists()


def test_a_missing_sampler_is_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="py-spy is not installed"), profiling(tmp_path / "profiles"):
        pass


def test_a_sampler_that_is_not_allowed_to_look_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = tmp_path / "py-spy"
    refused.write_text("#!/bin/sh\necho 'Error: Permission denied (os error 13)' >&2\nexit 1\n")
    refused.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(MissingToolError, match="Permission denied") as raised, profiling(tmp_path / "profiles"):
        pass
    assert "ptrace" in (raised.value.hint or "")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MissingToolError, match="file/profiles"), profiling(tmp_path / "file" / "profiles"):
        pass


def test_each_engine_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = engine_environment(Path(".ddpm/profiles"), "orders", 2)
    assert told == {Env.PROFILE_FOLDER: str(tmp_path / ".ddpm/profiles/orders/2")}
