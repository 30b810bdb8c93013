"""Rows per second into typed columns, next to a configuration written by hand with stock components.

Both read the same kind of events from the same Kafka into the same Postgres on the same machine, in turn, so that a
machine whose speed drifts does not favour one of them. Two more lines: the same events with 1 % poison among them, and
parsed by a Python function. Results go into docs/benchmarks.md.
"""

import argparse
import json
import random
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import psycopg
from rich.console import Console

from benchmarks.report import machine, write_section
from benchmarks.rig import Clock, Measured, Servers, drop, line, ratios, run_ddpm, running, wait_for
from ddpm.broker.produce import Record, produce
from ddpm.broker.topics import TopicSpec, ensure_topics
from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from ddpm.engine import binary
from ddpm.engine.progress import Terminal

HERE = Path(__file__).parent

FUNCTION = {"parser": "trivial", "plugin_path": str(HERE / "trivial.py")}
POISON_EVERY = 100
console = Console(stderr=True)


def events(count: int, *, poison: bool = False) -> Iterator[Record]:
    """Orders of about 270 bytes, the same in every run, spread over three partitions; with poison, one in a hundred."""
    chance = random.Random(4195)  # noqa: S311 -- sample data
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    cities = [("Berlin", "DE"), ("København", "DK"), ("São Paulo", "BR"), ("New York", "US"), ("東京", "JP")]
    for number in range(count):
        city, country = cities[number % len(cities)]
        event = {
            "id": str(uuid.UUID(int=chance.getrandbits(128))),
            "created_at": (begin + timedelta(seconds=number)).isoformat(),
            "customer": "nobody" if poison and number % POISON_EVERY == 0 else chance.randrange(10**12),
            "amount": round(chance.random() * 1000, 2),
            "paid": number % 3 == 0,
            "address": {"city": city, "country": country},
            "note": "to be left with the neighbours on the third floor " + "x" * (number % 20),
        }
        yield Record(value=json.dumps(event, ensure_ascii=False).encode(), partition=number % 3)


def filled_topic(servers: Servers, count: int, *, poison: bool = False) -> str:
    """A topic with so many events."""
    topic = f"bench-{count}-{uuid.uuid4().hex[:6]}"
    ensure_topics([servers.kafka.bootstrap], [TopicSpec(topic, 3)])
    begin = time.monotonic()
    produce([servers.kafka.bootstrap], topic, events(count, poison=poison))
    console.print(f"{count:,} events in {topic} after {time.monotonic() - begin:.0f} s")
    return topic


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
    with running([str(engine), "-c", str(HERE / "handwritten.yaml")], env) as process:
        clock = Clock(servers, table, psutil.Process(process.pid))
        clock.start()
        wait_for(servers, group, topic, table, count)
        measured = clock.result(count)
    drop(servers, table)
    return measured


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def report(
    ours: Sequence[Measured],
    poisoned: Sequence[Measured],
    theirs: Sequence[Measured],
    functions: Sequence[Measured],
    counts: Sequence[int],
) -> str:
    """The section of docs/benchmarks.md; the counts are those of ddpm, the hand-written one and the function."""
    each, middle = ratios(ours, theirs)
    with_poison, cost = ratios(poisoned, ours)
    return "\n".join(
        [
            f"`make bench` on {machine()}; broker, engine and Postgres on the same machine, durable commits.",
            "",
            "| what | events a run | rows/s, each run | CPU s per 1M rows: engine + Postgres | peak memory MB |",
            "|---|---|---|---|---|",
            line("ddpm, 8 typed columns", f"{counts[0]:,}", ours),
            line("the same with 1 % poison", f"{counts[0]:,}", poisoned),
            line("hand-written, document table", f"{counts[1]:,}", theirs),
            line("ddpm, parsed by a Python function", f"{counts[2]:,}", functions),
            "",
            f"ddpm / hand-written, run by run: {each}; median **{middle:.1f} times**. "
            f"With 1 % poison / without: {with_poison}; median **{cost:.2f}**. "
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
            bad = filled_topic(servers, counts[0], poison=True)
            good_rows = counts[0] - -(-counts[0] // POISON_EVERY)
            ours, poisoned, theirs, functions = [], [], [], []
            for number in range(1, chosen.rounds + 1):
                ours.append(run_ddpm(servers, topics[0], counts[0]))
                poisoned.append(run_ddpm(servers, bad, good_rows))
                theirs.append(run_handwritten(servers, topics[1], counts[1], stock))
                functions.append(run_ddpm(servers, topics[2], counts[2], FUNCTION))
                console.print(f"round {number}: {ours[-1]} / {poisoned[-1]} / {theirs[-1]} / {functions[-1]}")
    section = report(ours, poisoned, theirs, functions, counts)
    write_section("throughput", section)
    console.print(section, markup=False)


if __name__ == "__main__":
    main()
