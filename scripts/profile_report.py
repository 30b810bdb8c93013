"""Draws the profiles of engine and orchestrator as flame graphs into docs/images.

Without `--profiles` it first records them: a ddpm on embedded servers carries half a million events into Postgres while
somebody watches it over HTTP.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import memray
from benchmarks.records import COLUMNS, json_orders
from benchmarks.report import machine
from flamegraph import Kind, Picture, draw
from rich.console import Console

from ddpm.broker.produce import Record
from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from ddpm.engine import binary
from ddpm.engine.progress import Progress, Silent, Step, Terminal
from ddpm.engine.toolchain import find_go
from ddpm.observability.profiling import CPU_FILE, MEMORY_FILE, ORCHESTRATOR, SAMPLES_PER_SECOND
from harness.process import Ddpm
from harness.world import World

IMAGES = Path(__file__).parents[1] / "docs" / "images"
RECORDS = 500_000
WATCH_SECONDS = 2.0
ENGINE_CPU = "cpu.pprof"
ENGINE_MEMORY = "memory.pprof"

Stacks = list[tuple[Sequence[str], float]]

GO_OTHER = Kind("other libraries", "#d8b4e2")
GO_KINDS: Mapping[Kind, tuple[str, ...]] = {
    Kind("ddpm's plugins", "#f4a259"): ("ddpm/", "main."),
    Kind("Bento", "#8ecae6"): ("github.com/warpstreamlabs/",),
    Kind("Kafka client", "#a7c957"): ("github.com/twmb/franz-go",),
    Kind("Postgres client", "#f2cc8f"): ("github.com/jackc/",),
    Kind("Go", "#d0d7de"): (
        "runtime",
        "internal/",
        "syscall",
        "net",
        "sync",
        "time",
        "io",
        "bufio",
        "bytes",
        "strconv",
    ),
}
PYTHON_OTHER = Kind("other libraries", "#d8b4e2")
PYTHON_KINDS: Mapping[Kind, tuple[str, ...]] = {
    Kind("ddpm", "#f4a259"): ("ddpm",),
    Kind("HTTP and models", "#8ecae6"): (
        *("uvicorn", "fastapi", "starlette", "anyio", "h11", "httpx2", "httpcore2"),
        *("asyncio", "pydantic", "pydantic_core", "annotated_types", "typing_inspection"),
    ),
    Kind("Kafka client", "#a7c957"): ("kafka",),
    Kind("Postgres client", "#f2cc8f"): ("psycopg", "psycopg_binary"),
    Kind("Python", "#d0d7de"): (*sys.stdlib_module_names, "python"),
}
INTERPRETER = "the interpreter itself (python)"
# How every stack begins, and how every import goes on: the same for all, so it only takes room.
PLUMBING = ("<frozen", "ddpm/__main__", "ddpm/cli/", "typer/", "threading.py", "concurrent/", "<string>")

_VALUE = re.compile(r"^\s*(-?[\d.]+)[sB]?\s{3}(\S.*)$")
_PY_SPY_FRAME = re.compile(r"^(?P<function>.*) \((?P<path>.*?)(?::\d+)?\)$")


def main() -> None:
    """Record unless given what to draw, and draw."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--profiles", type=Path, help="draw these (a folder .ddpm/profiles) and record none")
    arguments.add_argument("--records", type=int, default=RECORDS, help="so many events are recorded")
    arguments.add_argument("--into", type=Path, default=IMAGES, help="the folder of the pictures")
    given = arguments.parse_args()
    console = Console(stderr=True)
    given.into.mkdir(parents=True, exist_ok=True)
    if given.profiles:
        written = report(given.profiles, given.into, "")
    else:
        with tempfile.TemporaryDirectory(prefix="ddpm-profile-") as name:
            folder = Path(name)
            folder.chmod(0o711)  # the user of Postgres has to get through
            profiles = record(folder, given.records, Terminal(console))
            written = report(profiles, given.into, f"{given.records:,} events, {machine()}; ")
    for path in written:
        console.print(f"{path}: {path.stat().st_size / 1000:.0f} kB", highlight=False)


def record(folder: Path, count: int, progress: Progress) -> Path:
    """Run ddpm with profiles until it has carried so many events, and return the folder of the profiles."""
    engine = binary.locate(None, progress)
    with (
        EmbeddedKafka(folder / "kafka", progress=progress) as kafka,
        EmbeddedPostgres(folder / "postgres", progress=progress) as postgres,
    ):
        world = World(kafka.bootstrap, postgres.dsn, engine)
        world.create_topic()
        config = world.config(postgres={"columns": dict(COLUMNS)}, profiling=True)
        with Ddpm(config, folder) as running, _watched(running.wait_healthy().url):
            with progress.step("Recording: producing", "events") as step:
                world.produce(_reported(map(_record, range(count), json_orders(count)), count, step))
            world.wait_consumed()
            if running.stop() != 0:
                raise SystemExit(f"ddpm ended with {running.popen.returncode}:\n{running.log[-3000:]}")
    return folder / ".ddpm" / "profiles"


def _record(number: int, value: bytes) -> Record:
    return Record(value=value, partition=number % 3)


def _reported(records: Iterable[Record], count: int, step: Step) -> Iterator[Record]:
    for number, record in enumerate(records):
        step.update(number, count)
        yield record


@contextmanager
def _watched(url: str) -> Iterator[None]:
    """Ask what a console and Prometheus ask."""
    done = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=url, trust_env=False) as client:
            while not done.wait(WATCH_SECONDS):
                try:
                    for path in ("/metrics", "/v1/pipelines", "/v1/pipelines/pipeline"):
                        client.get(path)
                except httpx.HTTPError:
                    return

    watcher = threading.Thread(target=ask, name="watcher")
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def report(profiles: Path, into: Path, about: str) -> list[Path]:
    """Draw all four pictures; of several engines the first one."""
    engine = min(path.parent for path in profiles.glob(f"*/*/{ENGINE_CPU}"))
    own = profiles / ORCHESTRATOR
    cpu = go_stacks(engine / ENGINE_CPU, "cpu", "s")
    memory = go_stacks(engine / ENGINE_MEMORY, "alloc_space", "B")
    own_cpu = collapsed_stacks(own / CPU_FILE)
    own_memory = memray_stacks(own / MEMORY_FILE)
    kept = sum(weight for _, weight in go_stacks(engine / ENGINE_MEMORY, "inuse_space", "B"))
    pictures = {
        "engine-cpu": (cpu, "The engine: CPU time", f"{_seconds(_sum(cpu))} of CPU", go_picture),
        "engine-memory": (
            memory,
            "The engine: memory that was asked for",
            f"{_bytes(_sum(memory))} over the whole run, {_bytes(kept)} of it in use at its end",
            go_picture,
        ),
        "orchestrator-cpu": (
            own_cpu,
            "The orchestrator: time in Python",
            f"{_seconds(_sum(own_cpu))} in which a thread ran or, holding the interpreter, waited for a core",
            python_picture,
        ),
        "orchestrator-memory": (
            own_memory,
            "The orchestrator: memory at its peak",
            f"{_bytes(_sum(own_memory))} in use that were asked for after its start",
            python_picture,
        ),
    }
    written = []
    for name, (stacks, title, said, picture) in pictures.items():
        path = into / f"profile-{name}.svg"
        amount = _seconds if name.endswith("cpu") else _bytes
        path.write_text(draw(stacks, picture(title, about + said, amount)), encoding="utf-8")
        written.append(path)
    return written


def go_picture(title: str, about: str, amount: Callable[[float], str]) -> Picture:
    """How stacks of the engine are drawn."""

    def kind_of(frame: str) -> Kind:
        return next((kind for kind, begins in GO_KINDS.items() if frame.startswith(begins)), GO_OTHER)

    def label(frame: str) -> str:
        return frame.rpartition("/")[2]

    return Picture(title, about, [*GO_KINDS, GO_OTHER], kind_of, label, amount)


def python_picture(title: str, about: str, amount: Callable[[float], str]) -> Picture:
    """How stacks of the orchestrator are drawn."""

    def kind_of(frame: str) -> Kind:
        package = frame.rpartition("(")[2].split("/")[0].rstrip(")").removesuffix(".py")
        return next((kind for kind, packages in PYTHON_KINDS.items() if package in packages), PYTHON_OTHER)

    return Picture(title, about, [*PYTHON_KINDS, PYTHON_OTHER], kind_of, _python_label, amount)


def _python_label(frame: str) -> str:
    function, _, path = frame.rpartition(" (")
    if function == "<module>":
        return f"import {path.rstrip(')').removesuffix('.py').removesuffix('/__init__').replace('/', '.')}"
    return function


def go_stacks(path: Path, index: str, unit: str) -> Stacks:
    """The stacks of a file in pprof's format."""
    go = find_go(Silent())
    command = [
        str(go.path),
        "tool",
        "pprof",
        "-traces",
        "-symbolize=none",
        f"-sample_index={index}",
        f"-unit={unit}",
        str(path),
    ]
    ran = subprocess.run(command, env=go.environment(), capture_output=True, text=True, check=True)
    blocks = re.split(r"^-+\+-+$", ran.stdout, flags=re.MULTILINE)
    return [_go_stack(block.splitlines()) for block in blocks[1:] if block.strip()]


def _go_stack(lines: Sequence[str]) -> tuple[Sequence[str], float]:
    # Tags stand before the line with the value and the innermost function.
    begin, value = next((number, found) for number, line in enumerate(lines) if (found := _VALUE.match(line)))
    frames = [_go_name(line) for line in (value[2], *lines[begin + 1 :]) if line.strip()]
    return frames[::-1], float(value[1])


def _go_name(line: str) -> str:
    """A function's name without the types that a generic one was made for."""
    name = line.strip().removesuffix(" (inline)")
    kept, depth = [], 0
    for letter in name:
        depth += letter == "["
        if not depth:
            kept.append(letter)
        depth -= letter == "]"
    return "".join(kept)


def collapsed_stacks(path: Path) -> Stacks:
    """The stacks of a file of py-spy, in seconds."""
    stacks: Stacks = []
    for line in path.read_text(encoding="utf-8").splitlines():
        stack, _, count = line.rpartition(" ")
        found = [_PY_SPY_FRAME.match(frame) for frame in stack.split(";")]
        frames = [f"{frame['function']} ({frame['path']})" for frame in found if frame]
        stacks.append((_worth_showing(frames), int(count) / SAMPLES_PER_SECOND))
    return stacks


def memray_stacks(path: Path) -> Stacks:
    """The stacks of what was in use at the peak, from a file of memray."""
    stacks: Stacks = []
    with memray.FileReader(path) as reader:
        for found in reader.get_high_watermark_allocation_records(merge_threads=True):
            frames = [f"{function} ({_short(file)})" for function, file, _ in found.stack_trace()]
            stacks.append((_worth_showing(frames[::-1]), found.size))
    return stacks


def _worth_showing(frames: Sequence[str]) -> list[str]:
    return [frame for frame in frames if not frame.rpartition(" (")[2].startswith(PLUMBING)] or [INTERPRETER]


def _short(file: str) -> str:
    """A file's name as it is imported."""
    parents = [parent for parent in sys.path if parent and file.startswith(f"{parent}/")]
    return file.removeprefix(f"{max(parents, key=len)}/") if parents else file


def _sum(stacks: Stacks) -> float:
    return sum(weight for _, weight in stacks)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s"


def _bytes(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


if __name__ == "__main__":
    main()
