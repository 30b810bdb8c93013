"""Rows per second into typed columns, next to a configuration written by hand with stock components.

Both read the same kind of events from the same Kafka into the same Postgres on the same machine, in turn, so that a
machine whose speed drifts does not favour one of them. The clock is the growth of the table's file between 10 % and
95 % of its final size: statistics counters of Postgres lag by seconds. A third contender lets a
Python function parse the same events. Results go into docs/benchmarks.md.
"""

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
from rich.console import Console

from benchmarks.report import machine, write_section
from ddpm.broker.offsets import lag
from ddpm.broker.produce import Record, produce
from ddpm.broker.topics import TopicSpec, ensure_topics
from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from ddpm.engine import binary
from ddpm.engine.progress import Terminal
from harness.process import Ddpm
from harness.waiting import eventually

HERE = Path(__file__).parent

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
FUNCTION = {"parser": "trivial", "plugin_path": str(HERE / "trivial.py")}
SAMPLE_SECONDS = 0.05
console = Console(stderr=True)


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


def events(count: int) -> Iterator[Record]:
    """Orders of about 270 bytes, the same in every run, spread over three partitions."""
    chance = random.Random(4195)  # noqa: S311 -- sample data
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    cities = [("Berlin", "DE"), ("København", "DK"), ("São Paulo", "BR"), ("New York", "US"), ("東京", "JP")]
    for number in range(count):
        city, country = cities[number % len(cities)]
        event = {
            "id": str(uuid.UUID(int=chance.getrandbits(128))),
            "created_at": (begin + timedelta(seconds=number)).isoformat(),
            "customer": chance.randrange(10**12),
            "amount": round(chance.random() * 1000, 2),
            "paid": number % 3 == 0,
            "address": {"city": city, "country": country},
            "note": "to be left with the neighbours on the third floor " + "x" * (number % 20),
        }
        yield Record(value=json.dumps(event, ensure_ascii=False).encode(), partition=number % 3)


def filled_topic(servers: Servers, count: int) -> str:
    """A topic with so many events."""
    topic = f"bench-{count}-{uuid.uuid4().hex[:6]}"
    ensure_topics([servers.kafka.bootstrap], [TopicSpec(topic, 3)])
    begin = time.monotonic()
    produce([servers.kafka.bootstrap], topic, events(count))
    console.print(f"{count:,} events in {topic} after {time.monotonic() - begin:.0f} s")
    return topic


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


def run_ddpm(servers: Servers, topic: str, count: int, source: Mapping[str, Any] | None = None) -> Measured:
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
        _wait_for(servers, group, topic, table, count)
        measured = clock.result(count)
        ddpm.stop()
    _drop(servers, table)
    return measured


def run_handwritten(servers: Servers, topic: str, count: int, engine: Path) -> Measured:
    """The configuration of handwritten.yaml, on the same engine with the stock SQL components added."""
    tag = uuid.uuid4().hex[:8]
    table, group = f"bench_{tag}", f"bench-{tag}"
    with psycopg.connect(servers.postgres.dsn, autocommit=True) as connection:
        connection.execute(f"create table {table} (id text primary key, created_at timestamptz, data jsonb)")
    env = {
        "BENCH_PORT": str(_free_port()),
        "BENCH_BROKER": servers.kafka.bootstrap,
        "BENCH_TOPIC": topic,
        "BENCH_GROUP": group,
        "BENCH_DSN": servers.postgres.dsn,
        "BENCH_TABLE": table,
    }
    with _running([str(engine), "-c", str(HERE / "handwritten.yaml")], env) as process:
        clock = Clock(servers, table, psutil.Process(process.pid))
        clock.start()
        _wait_for(servers, group, topic, table, count)
        measured = clock.result(count)
    _drop(servers, table)
    return measured


@contextmanager
def _running(command: Sequence[str], env: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(command, env=os.environ | env, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(servers: Servers, group: str, topic: str, table: str, count: int) -> None:
    def arrived() -> bool:
        behind = lag([servers.kafka.bootstrap], group, [topic])
        return sum(partition.offsets for partition in behind.values()) == 0

    eventually(arrived, f"{count} records through", timeout=600)
    with psycopg.connect(servers.postgres.dsn) as connection:
        row = connection.execute(f"select count(*) from {table}").fetchone()
        assert row == (count,), f"{row} rows of {count}"


def _drop(servers: Servers, table: str) -> None:
    with psycopg.connect(servers.postgres.dsn, autocommit=True) as connection:
        connection.execute(f"drop table {table}")
        connection.execute("checkpoint")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def report(
    ours: Sequence[Measured], theirs: Sequence[Measured], functions: Sequence[Measured], counts: Sequence[int]
) -> str:
    """The section of docs/benchmarks.md; the counts are those of the three contenders."""
    ratios = [a.rows_per_second / b.rows_per_second for a, b in zip(ours, theirs, strict=True)]

    def line(name: str, count: int, runs: Sequence[Measured]) -> str:
        def middle(of: Callable[[Measured], float]) -> float:
            return statistics.median(of(run) for run in runs)

        speeds = ", ".join(f"{run.rows_per_second / 1000:.1f}k" for run in runs)
        cpu = f"{middle(lambda run: run.engine_cpu):.1f} + {middle(lambda run: run.postgres_cpu):.1f}"
        return f"| {name} | {count:,} | {speeds} | {cpu} | {middle(lambda run: run.peak_memory_mb):.0f} |"

    return "\n".join(
        [
            f"`make bench` on {machine()}; broker, engine and Postgres on the same machine, durable commits.",
            "",
            "| what | events a run | rows/s, each run | CPU s per 1M rows: engine + Postgres | peak memory MB |",
            "|---|---|---|---|---|",
            line("ddpm, 8 typed columns", counts[0], ours),
            line("hand-written, document table", counts[1], theirs),
            line("ddpm, parsed by a Python function", counts[2], functions),
            "",
            f"ddpm / hand-written, run by run: {', '.join(f'{ratio:.1f}' for ratio in ratios)}; "
            f"median **{statistics.median(ratios):.1f} times**. "
            "The CPU time of the function's workers is not in the engine's.",
        ]
    )


def main() -> None:
    """Measure and write the report."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--events", type=int, default=1_000_000, help="events in a run of ddpm")
    arguments.add_argument("--events-handwritten", type=int, default=100_000, help="events in a run of the other")
    arguments.add_argument("--events-function", type=int, default=500_000, help="events in a run of the function")
    chosen = arguments.parse_args()
    progress = Terminal(console)
    stock = binary.install(progress, tags=("stocksql",))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with EmbeddedKafka(Path(folder) / "kafka") as kafka, EmbeddedPostgres(Path(folder) / "postgres") as postgres:
            servers = Servers(kafka, postgres)
            counts = (chosen.events, chosen.events_handwritten, chosen.events_function)
            topics = [filled_topic(servers, count) for count in counts]
            ours, theirs, functions = [], [], []
            for number in range(1, chosen.rounds + 1):
                ours.append(run_ddpm(servers, topics[0], counts[0]))
                theirs.append(run_handwritten(servers, topics[1], counts[1], stock))
                functions.append(run_ddpm(servers, topics[2], counts[2], FUNCTION))
                console.print(f"round {number}: {ours[-1]} / {theirs[-1]} / {functions[-1]}")
    section = report(ours, theirs, functions, counts)
    write_section("throughput", section)
    console.print(section, markup=False)


if __name__ == "__main__":
    main()
