"""What the contenders of the benchmarks share: servers, a clock, and ddpm itself.

The clock is the growth of the table's file between 10 % and 95 % of its final size: statistics counters of Postgres lag
by seconds.
"""

import os
import statistics
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from ddpm.broker.offsets import lag
from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from harness.process import Ddpm
from harness.waiting import eventually

COLUMNS = {
    "id": "text",
    "created_at": "timestamptz",
    "customer": "bigint",
    "amount": "numeric(12,2)",
    "paid": "boolean",
    "city": {"type": "text", "from": "address.city"},
    "country": {"type": "text", "from": "address.country"},
    "note": "text",
}
SAMPLE_SECONDS = 0.05


@dataclass(frozen=True)
class Servers:
    """The two services that all contenders share."""

    kafka: EmbeddedKafka
    postgres: EmbeddedPostgres


@dataclass(frozen=True)
class Measured:
    """One run: rows per second of wall time, and CPU seconds per million rows of the engine and of Postgres."""

    rows_per_second: float
    engine_cpu: float
    postgres_cpu: float
    peak_memory_mb: float


class Clock(threading.Thread):
    """Samples the size of a table and the use of CPU while a contender runs."""

    def __init__(self, servers: Servers, table: str, engine: psutil.Process) -> None:
        super().__init__(name="clock", daemon=True)
        self._servers = servers
        self._table = table
        self._engine = engine
        self._done = threading.Event()
        self._sizes: list[tuple[float, int]] = []
        self._peak = 0
        self._postgres = psutil.Process(servers.postgres.pid)
        self._postgres_before = _tree_cpu(self._postgres)
        self._engine_before = _cpu(engine)
        self._engine_after = self._engine_before

    def run(self) -> None:
        """Sample until `result` is asked for."""
        with psycopg.connect(self._servers.postgres.dsn, autocommit=True) as connection:
            while not self._done.wait(SAMPLE_SECONDS):
                row = connection.execute("select pg_relation_size(%s::regclass)", [f'"{self._table}"']).fetchone()
                self._sizes.append((time.monotonic(), row[0] if row else 0))
                self._engine_after = _cpu(self._engine)
                self._peak = max(self._peak, self._engine.memory_info().rss)

    def result(self, rows: int) -> Measured:
        """Stop and evaluate; `rows` is how many the table has now."""
        self._done.set()
        self.join()
        final = self._sizes[-1][1]
        begin = next(at for at, size in self._sizes if size >= 0.10 * final)
        end = next(at for at, size in self._sizes if size >= 0.95 * final)
        per_million = 1_000_000 / rows
        return Measured(
            rows_per_second=0.85 * rows / (end - begin),
            engine_cpu=(self._engine_after - self._engine_before) * per_million,
            postgres_cpu=(_tree_cpu(self._postgres) - self._postgres_before) * per_million,
            peak_memory_mb=self._peak / 1e6,
        )


def _cpu(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system


def _tree_cpu(process: psutil.Process) -> float:
    # Postgres' backends add their time to the parent's children when they end.
    used = process.cpu_times()
    total = used.user + used.system + used.children_user + used.children_system
    for child in process.children():
        try:
            total += _cpu(child)
        except psutil.NoSuchProcess:
            continue
    return total


def run_ddpm(servers: Servers, topic: str, rows: int, source: Mapping[str, Any] | None = None) -> Measured:
    """ddpm with its shipped defaults, into typed columns; `source` names another parser than json."""
    tag = uuid.uuid4().hex[:8]
    table, group = f"bench_{tag}", f"bench-{tag}"
    app = {
        "source": dict(source or {}),
        "kafka": {"brokers": [servers.kafka.bootstrap], "topics": [topic], "consumer_group": group},
        "postgres": {"url": servers.postgres.dsn, "table": table, "columns": COLUMNS},
        "server": {"port": 0},
        "logger": {"level": "WARN"},
    }
    with tempfile.TemporaryDirectory() as folder, Ddpm({"app": app}, Path(folder)) as ddpm:
        clock = Clock(servers, table, psutil.Process(ddpm.engine_pid))
        clock.start()
        wait_for(servers, group, topic, table, rows)
        measured = clock.result(rows)
        ddpm.stop()
    drop(servers, table)
    return measured


@contextmanager
def running(command: Sequence[str], env: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    """A process that is ended with the block."""
    process = subprocess.Popen(command, env=os.environ | env, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def wait_for(servers: Servers, group: str, topic: str, table: str, rows: int) -> None:
    """Wait until a topic is consumed, and look whether the table has so many rows."""

    def arrived() -> bool:
        behind = lag([servers.kafka.bootstrap], group, [topic])
        return sum(partition.offsets for partition in behind.values()) == 0

    eventually(arrived, f"{rows} rows through", timeout=600)
    with psycopg.connect(servers.postgres.dsn) as connection:
        row = connection.execute(f"select count(*) from {table}").fetchone()
        assert row == (rows,), f"{row} rows of {rows}"


def drop(servers: Servers, table: str) -> None:
    """Remove a table and what it left to be written."""
    with psycopg.connect(servers.postgres.dsn, autocommit=True) as connection:
        connection.execute(f"drop table {table}")
        connection.execute("checkpoint")


def line(name: str, what: str, runs: Sequence[Measured]) -> str:
    """A contender's line: rows/s of each run, medians of CPU and memory."""

    def middle(of: Callable[[Measured], float]) -> float:
        return statistics.median(of(run) for run in runs)

    speeds = ", ".join(f"{run.rows_per_second / 1000:.1f}k" for run in runs)
    cpu = f"{middle(lambda run: run.engine_cpu):.1f} + {middle(lambda run: run.postgres_cpu):.1f}"
    return f"| {name} | {what} | {speeds} | {cpu} | {middle(lambda run: run.peak_memory_mb):.0f} |"


def ratios(ours: Sequence[Measured], theirs: Sequence[Measured]) -> tuple[str, float]:
    """How many times faster ours was, run by run as text, and the median."""
    each = [a.rows_per_second / b.rows_per_second for a, b in zip(ours, theirs, strict=True)]
    return ", ".join(f"{ratio:.2f}" for ratio in each), statistics.median(each)
