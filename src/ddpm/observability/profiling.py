"""Records where ddpm and its engines spend CPU time and memory; saved when a run ends, in whatever way.

Beside a folder for each replica, which the engine writes (`cmd/engine/internal/runtime/profiling`), there is one for
ddpm itself:

    cpu.collapsedstack.txt  samples of whichever thread holds the interpreter, for speedscope, FlameGraph or inferno
    memory.memray.bin       allocations by stack, the peak and what was left, for `memray flamegraph|table|summary`

py-spy samples from a process of its own: hooks in the interpreter are taken by memray, and a thread that samples has to
wait for those that work. On a busy machine its samples also count a thread that waits for a core with the interpreter
in its hands. The optional libraries are imported only when somebody asks for profiles.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO

import structlog

from ddpm.contract import Env
from ddpm.errors import MissingToolError, install_hint

ORCHESTRATOR = "orchestrator"
CPU_FILE = "cpu.collapsedstack.txt"
MEMORY_FILE = "memory.memray.bin"
SAMPLES_PER_SECOND = 200

INSTALL_HINT = f"{install_hint('profiling')}, or set app.profiling to false"

_PATIENCE_SECONDS = 20.0
_POLL_SECONDS = 0.01
_ANSWER_BYTES = 4096
_READY = "Sampling process"
_PR_SET_PTRACER = 0x59616D61
_SAMPLE = re.compile(r"\S.* [0-9]+")


@contextmanager
def profiling(folder: Path) -> Iterator[None]:
    """Record CPU and memory of this process while the block runs, and save both at its end.

    Args:
        folder: Of all profiles. What an earlier run left in it is removed.

    Raises:
        MissingToolError: A library is missing, the folder cannot be written, or this process may not be looked into.

    """
    try:
        import memray
    except ImportError as error:
        raise _missing("memray") from error
    # Its programs stand beside this interpreter, whether or not that folder is on PATH.
    places = (str(Path(sys.executable).parent), os.environ.get("PATH", ""))
    sampler = shutil.which("py-spy", path=os.pathsep.join(places))
    if sampler is None:
        raise _missing("py-spy")
    own = (folder / ORCHESTRATOR).absolute()
    _prepare(folder, own)
    memory = memray.Tracker(
        destination=memray.FileDestination(own / MEMORY_FILE, overwrite=True),
        # Else anyone who finds Python's own reserve empty is charged for all of the next one.
        trace_python_allocators=True,
        # The other format grows with every allocation, this one only with every place that allocates.
        file_format=memray.FileFormat.AGGREGATED_ALLOCATIONS,
    )
    with ExitStack() as recorders:
        recorders.enter_context(_sampling(sampler, own / CPU_FILE))
        recorders.enter_context(_tracking(memory))
        try:
            yield
        finally:
            recorders.close()
            _report(own)


def engine_environment(folder: Path, pipeline: str, replica: int) -> dict[str, str]:
    """What an engine's environment needs so that it records profiles.

    Args:
        folder: Of all profiles; this engine's are in `<pipeline>/<replica>/` below it.
        pipeline: Its name.
        replica: Its number.

    """
    return {Env.PROFILE_FOLDER: str((folder / pipeline / str(replica)).absolute())}


def _missing(library: str) -> MissingToolError:
    return MissingToolError(f"app.profiling is true, but {library} is not installed", hint=INSTALL_HINT)


def _prepare(folder: Path, own: Path) -> None:
    try:
        if folder.exists():
            shutil.rmtree(folder)
        own.mkdir(parents=True, mode=0o700)
    except OSError as error:
        msg = f"the folder {folder} for profiles cannot be written: {error.strerror}"
        raise MissingToolError(msg, hint="make it writable, or set app.profiling to false") from error


@contextmanager
def _sampling(sampler: str, path: Path) -> Iterator[None]:
    _let_children_look()
    command = [sampler, "record", "--pid", str(os.getpid()), "--output", str(path), "--format", "raw"]
    # Without --gil threads count that are about to sleep or to wait; blocking would hold this process at each sample.
    options = ["--rate", str(SAMPLES_PER_SECOND), "--gil", "--nonblocking"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*command, *options],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            # The terminal's Ctrl-C is not for it: it has to see the drain, too.
            start_new_session=True,
        )
        try:
            _wait_until_it_samples(process, said)
            yield
        finally:
            _end(process)
            _keep_whole_samples(path)


@contextmanager
def _tracking(tracker: AbstractContextManager[object]) -> Iterator[None]:
    # memray knows the frames that other threads are in when it starts, but of the thread that starts it only those
    # above: with every return from below it would lose its place.
    with ThreadPoolExecutor(max_workers=1) as other_thread:
        other_thread.submit(tracker.__enter__).result()
    try:
        yield
    finally:
        tracker.__exit__(None, None, None)


def _let_children_look() -> None:
    """Where only parents may look into their children (Yama's level 1), allow it to the children of this process."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(os.getpid()), 0, 0, 0)


def _wait_until_it_samples(process: "subprocess.Popen[bytes]", said: IO[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        # Not by seeking: the place in the file is shared with the one that writes.
        text = os.pread(said.fileno(), _ANSWER_BYTES, 0).decode("utf-8", "replace")
        if ended:
            msg = f"the CPU profile of ddpm cannot be recorded: {' '.join(text.split()) or 'py-spy ended at once'}"
            raise MissingToolError(
                msg, hint="allow processes of one user to trace each other (ptrace), or set app.profiling to false"
            )
        if _READY in text:
            return
        time.sleep(_POLL_SECONDS)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Let it write its file; it ends by itself when this process is gone."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _keep_whole_samples(path: Path) -> None:
    """Drop the lines that are not samples: a name that is read while its memory changes may hold anything.

    A sample is a stack and a count, as flame graph tools read them (https://github.com/brendangregg/FlameGraph).
    """
    if not path.is_file():
        return
    lines = path.read_text("utf-8", "replace").splitlines()
    path.write_text("".join(f"{line}\n" for line in lines if _SAMPLE.fullmatch(line)), "utf-8")


def _report(own: Path) -> None:
    log = structlog.get_logger()
    missing = [name for name in (CPU_FILE, MEMORY_FILE) if not (own / name).is_file()]
    if missing:
        log.warning("not all profiles could be saved", folder=str(own), missing=missing)
    else:
        log.info("profiles saved", folder=str(own))
