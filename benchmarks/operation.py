"""What it costs to be watched: `make bench` runs one idle pipeline and then twenty, each on real servers.

The share of a core is the process' CPU time over a quiet minute; answers are the slowest of fifty. Results go into
docs/benchmarks.md.
"""

import argparse
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil
from rich.console import Console

from benchmarks.report import machine, write_section
from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from ddpm.engine import binary
from ddpm.engine.progress import Terminal
from harness.process import Ddpm
from harness.waiting import eventually

QUIET_SECONDS = 60.0
SETTLE_SECONDS = 10.0
QUESTIONS = 50
MANY = 20
console = Console(stderr=True)


@dataclass(frozen=True)
class Measured:
    """One run of ddpm with so many pipelines: seconds, megabytes, shares of a core in percent, milliseconds."""

    pipelines: int
    start: float
    cpu: float
    memory: float
    engines_cpu: float
    engines_memory: float
    answers: dict[str, float]
    stop: float


def config(kafka: EmbeddedKafka, postgres: EmbeddedPostgres, engine: Path, pipelines: int) -> dict[str, Any]:
    """A configuration with so many pipelines, each with a topic and a table of its own."""
    tag = uuid.uuid4().hex[:6]
    names = [f"p{number:02d}-{tag}" for number in range(pipelines)]
    return {
        "app": {
            "kafka": {"brokers": [kafka.bootstrap], "min_partitions": 3},
            "postgres": {"url": postgres.dsn},
            "engine": {"binary": str(engine)},
            "server": {"port": 0},
        },
        "pipelines": [
            {
                "name": name,
                "kafka": {"topics": [name], "consumer_group": name},
                "postgres": {"table": name.replace("-", "_")},
            }
            for name in names
        ],
    }


def measure(configuration: dict[str, Any], folder: Path) -> Measured:
    """Start ddpm, let it settle, watch it for a minute, ask it, stop it."""
    pipelines = len(configuration["pipelines"])
    begin = time.monotonic()
    with Ddpm(configuration, folder) as running:
        eventually(lambda: running.health()[0] == httpx.codes.OK, "all pipelines run", 300)
        start = time.monotonic() - begin
        time.sleep(SETTLE_SECONDS)
        process = psutil.Process(running.popen.pid)
        engines = process.children(recursive=True)
        before, engines_before, clock = _cpu(process), sum(map(_cpu, engines)), time.monotonic()
        time.sleep(QUIET_SECONDS)
        span = time.monotonic() - clock
        cpu, engines_cpu = _cpu(process) - before, sum(map(_cpu, engines)) - engines_before
        memory = process.memory_info().rss / 1e6
        engines_memory = sum(engine.memory_info().rss for engine in engines) / 1e6
        paths = ("/livez", "/health", "/v1/pipelines", "/metrics")
        with httpx.Client(base_url=running.url, trust_env=False) as client:
            answers = {path: _slowest(partial(client.get, path)) for path in paths}
        clock = time.monotonic()
        assert running.stop(timeout=120) == 0, running.log[-2000:]
        stop = time.monotonic() - clock
    return Measured(pipelines, start, 100 * cpu / span, memory, 100 * engines_cpu / span, engines_memory, answers, stop)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _slowest(ask: Callable[[], httpx.Response]) -> float:
    """Milliseconds of the slowest but one of many answers."""
    taken = []
    for _ in range(QUESTIONS):
        begin = time.monotonic()
        ask().raise_for_status()
        taken.append(1000 * (time.monotonic() - begin))
    return statistics.quantiles(taken, n=QUESTIONS)[-1]


def report(measured: list[Measured]) -> str:
    """The section of docs/benchmarks.md."""
    lines = [
        f"`make bench` on {machine()}; Kafka and Postgres on the same machine, no records.",
        "",
        "| pipelines | healthy after s | ddpm: % of a core, MB | engines: % of a core, MB | slowest ms: "
        "/livez, /health, /v1/pipelines, /metrics | stopped after s |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.pipelines} | {each.start:.1f} | {each.cpu:.2f} %, {each.memory:.0f} "
        f"| {each.engines_cpu:.1f} %, {each.engines_memory:.0f} "
        f"| {', '.join(f'{ms:.0f}' for ms in each.answers.values())} | {each.stop:.1f} |"
        for each in measured
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write the report."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    engine = binary.install(Terminal(console))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedKafka(folder / "kafka") as kafka, EmbeddedPostgres(folder / "postgres") as postgres:
            measured = []
            for pipelines in (1, MANY):
                (folder / str(pipelines)).mkdir()
                measured.append(measure(config(kafka, postgres, engine, pipelines), folder / str(pipelines)))
                console.print(measured[-1])
    section = report(measured)
    write_section("operation", section)
    console.print(section, markup=False)


if __name__ == "__main__":
    main()
