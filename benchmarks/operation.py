"""What ddpm costs when nothing is to be carried: 1, 20 and 50 idle pipelines, each with a topic, a table, an engine.

The share of a core is CPU time over a quiet span; answers are asked one after the other on one connection.
"""

import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil

from benchmarks.report import Effort, finish
from benchmarks.rig import Checkout, Servers, console, scratch
from harness.process import Ddpm
from harness.waiting import eventually

PATHS = ("/livez", "/health", "/metrics", "/v1/pipelines")
PIPELINES = (1, 20, 50)
QUIET_SECONDS, QUICK_QUIET_SECONDS = 60.0, 10.0
SETTLE_SECONDS = 10.0
QUESTIONS = 200
MB = 1e6


@dataclass(frozen=True)
class Idle:
    """One run of ddpm with so many pipelines: seconds, shares of a core in percent, megabytes, milliseconds.

    Attributes:
        pipelines: How many.
        healthy: From the start until /health says ok.
        cpu: Of ddpm's own process.
        memory: Of ddpm's own process, resident.
        engines_cpu: Of all engines.
        engines_memory: Of all engines, resident.
        engines_shared: The same with pages that several have counted once (PSS).
        answers: The median and the 99th percentile by path.
        stopped: From SIGTERM to the end.

    """

    pipelines: int
    healthy: float
    cpu: float
    memory: float
    engines_cpu: float
    engines_memory: float
    engines_shared: float
    answers: dict[str, tuple[float, float]]
    stopped: float


def measure(of: Servers, effort: Effort, _: Path) -> None:
    """Run with each number of pipelines, and write the section `operation`."""
    Checkout().build()
    measured = []
    for pipelines in PIPELINES[:1] if effort.quick else PIPELINES:
        measured.append(idle(of, Checkout(), pipelines, QUICK_QUIET_SECONDS if effort.quick else QUIET_SECONDS))
        console.print(measured[-1], highlight=False)
    finish("operation", effort, table(measured))


def table(measured: Sequence[Idle]) -> list[str]:
    """The two tables of the section."""
    lines = [
        "| pipelines | healthy after s | ddpm: % of a core, MB | engines: % of a core, MB, MB with shared pages once "
        "| stopped after s |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.pipelines} | {each.healthy:.1f} | {each.cpu:.2f} %, {each.memory:.0f} "
        f"| {each.engines_cpu:.1f} %, {each.engines_memory:.0f}, {each.engines_shared:.0f} | {each.stopped:.1f} |"
        for each in measured
    ]
    lines += [
        "",
        f"| pipelines | {' | '.join(f'{path} ms: p50, p99' for path in PATHS)} |",
        "|---" * (len(PATHS) + 1) + "|",
    ]
    lines += [
        f"| {each.pipelines} | {' | '.join('{:.1f}, {:.1f}'.format(*each.answers[path]) for path in PATHS)} |"
        for each in measured
    ]
    return lines


def idle(of: Servers, checkout: Checkout, pipelines: int, quiet: float) -> Idle:
    """Start ddpm, let it settle, watch it, ask it, stop it."""
    begin = time.monotonic()
    with scratch() as folder, Ddpm(_config(of, pipelines), folder, checkout.env, program=checkout.program) as ddpm:
        eventually(lambda: ddpm.health()[0] == httpx.codes.OK, "all pipelines run", 300)
        healthy = time.monotonic() - begin
        time.sleep(SETTLE_SECONDS)
        process = psutil.Process(ddpm.popen.pid)
        engines = process.children(recursive=True)
        before, engines_before, clock = _cpu(process), sum(map(_cpu, engines)), time.monotonic()
        time.sleep(quiet)
        share = 100 / (time.monotonic() - clock)
        cpu, engines_cpu = share * (_cpu(process) - before), share * (sum(map(_cpu, engines)) - engines_before)
        memory = process.memory_info().rss / MB
        engines_memory = sum(engine.memory_info().rss for engine in engines) / MB
        engines_shared = sum(engine.memory_full_info().pss for engine in engines) / MB
        with httpx.Client(base_url=ddpm.url, trust_env=False, timeout=30) as client:
            answers = {path: _answers(partial(client.get, path)) for path in PATHS}
        clock = time.monotonic()
        assert ddpm.stop(timeout=120) == 0, ddpm.log[-2000:]
        stopped = time.monotonic() - clock
    return Idle(pipelines, healthy, cpu, memory, engines_cpu, engines_memory, engines_shared, answers, stopped)


def _config(of: Servers, pipelines: int) -> dict[str, Any]:
    """So many pipelines, each with a topic and a table of its own."""
    tag = uuid.uuid4().hex[:6]
    names = [f"p{number:02d}-{tag}" for number in range(pipelines)]
    return {
        "app": {
            "kafka": {"brokers": [of.kafka.bootstrap], "min_partitions": 3},
            "postgres": {"url": of.postgres.dsn},
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


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _answers(ask: Callable[[], httpx.Response]) -> tuple[float, float]:
    """Milliseconds of many answers: the median and the 99th percentile."""
    taken = []
    for _ in range(QUESTIONS):
        begin = time.monotonic()
        ask().raise_for_status()
        taken.append(1000 * (time.monotonic() - begin))
    cuts = statistics.quantiles(taken, n=100)
    return statistics.median(taken), cuts[98]
