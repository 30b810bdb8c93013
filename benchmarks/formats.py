"""Rows per second from Avro and Parquet files into typed columns, next to a Python loop that does the same work.

Each record is a file of a thousand orders; the contenders run in turn. Results go into docs/benchmarks.md.
"""

import argparse
import io
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import psutil
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from benchmarks.report import machine, write_section
from benchmarks.rig import Clock, Measured, Servers, drop, line, ratios, run_ddpm, running, wait_for
from ddpm.broker.produce import Record, produce
from ddpm.broker.topics import TopicSpec, ensure_topics
from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres

HERE = Path(__file__).parent
ROWS_A_FILE = 1_000
AVRO = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Order",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "created_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            {"name": "customer", "type": "long"},
            {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
            {"name": "paid", "type": "boolean"},
            {
                "name": "address",
                "type": {
                    "type": "record",
                    "name": "Address",
                    "fields": [{"name": "city", "type": "string"}, {"name": "country", "type": "string"}],
                },
            },
            {"name": "note", "type": ["null", "string"]},
        ],
    }
)
PARQUET = pa.schema(
    [
        ("id", pa.string()),
        ("created_at", pa.timestamp("us", tz="UTC")),
        ("customer", pa.int64()),
        ("amount", pa.decimal128(12, 2)),
        ("paid", pa.bool_()),
        ("address", pa.struct([("city", pa.string()), ("country", pa.string())])),
        ("note", pa.string()),
    ]
)
console = Console(stderr=True)


def orders(count: int) -> Iterator[dict[str, Any]]:
    """The same orders in every run."""
    chance = random.Random(4195)  # noqa: S311 -- sample data
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    cities = [("Berlin", "DE"), ("København", "DK"), ("São Paulo", "BR"), ("New York", "US"), ("東京", "JP")]
    for number in range(count):
        city, country = cities[number % len(cities)]
        yield {
            "id": str(uuid.UUID(int=chance.getrandbits(128))),
            "created_at": begin + timedelta(seconds=number, microseconds=number),
            "customer": chance.randrange(10**12),
            "amount": Decimal(chance.randrange(100_000)).scaleb(-2),
            "paid": number % 3 == 0,
            "address": {"city": city, "country": country},
            "note": None if number % 7 == 0 else "to be left with the neighbours " + "x" * (number % 20),
        }


def avro_file(rows: Sequence[dict[str, Any]]) -> bytes:
    """An object container file, compressed with deflate."""
    file = io.BytesIO()
    fastavro.writer(file, AVRO, rows, codec="deflate")
    return file.getvalue()


def parquet_file(rows: Sequence[dict[str, Any]]) -> bytes:
    """A file as pyarrow writes it unless told otherwise: snappy, dictionaries."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=PARQUET), file)
    return file.getvalue()


WRITERS: dict[str, Callable[[Sequence[dict[str, Any]]], bytes]] = {"avro": avro_file, "parquet": parquet_file}


def filled_topic(servers: Servers, form: str, files: int) -> str:
    """A topic with so many files."""
    topic = f"bench-{form}-{uuid.uuid4().hex[:6]}"
    ensure_topics([servers.kafka.bootstrap], [TopicSpec(topic, 3)])
    rows = orders(files * ROWS_A_FILE)
    begin = time.monotonic()

    def records() -> Iterator[Record]:
        for number in range(files):
            yield Record(value=WRITERS[form]([next(rows) for _ in range(ROWS_A_FILE)]), partition=number % 3)

    produce([servers.kafka.bootstrap], topic, records())
    console.print(f"{files:,} files of {form} in {topic} after {time.monotonic() - begin:.0f} s")
    return topic


def run_loop(servers: Servers, form: str, topic: str, rows: int) -> Measured:
    """The Python loop, into a table like ddpm's."""
    tag = uuid.uuid4().hex[:8]
    table, group = f"bench_{tag}", f"bench-{tag}"
    with psycopg.connect(servers.postgres.dsn, autocommit=True) as connection:
        connection.execute(
            f'create table {table} (source integer, partition integer, "offset" bigint, "index" integer, id text, '
            "created_at timestamptz, customer bigint, amount numeric(12,2), paid boolean, city text, country text, "
            'note text, primary key (source, partition, "offset", "index"))'
        )
    command = [sys.executable, str(HERE / "loop.py"), form, servers.kafka.bootstrap, topic, group]
    with running([*command, servers.postgres.dsn, table], {}) as process:
        clock = Clock(servers, table, psutil.Process(process.pid))
        clock.start()
        wait_for(servers, group, topic, table, rows)
        measured = clock.result(rows)
    drop(servers, table)
    return measured


def report(results: dict[str, tuple[list[Measured], list[Measured]]], rows: int) -> str:
    """The section of docs/benchmarks.md."""
    lines = [
        f"`make bench` on {machine()}; broker, contender and Postgres on the same machine, durable commits.",
        "",
        "| what | rows a run | rows/s, each run | CPU s per 1M rows: contender + Postgres | peak memory MB |",
        "|---|---|---|---|---|",
    ]
    for form, (ours, theirs) in results.items():
        lines.append(line(f"{form}: ddpm", f"{rows:,}", ours))
        lines.append(line(f"{form}: Python loop", f"{rows:,}", theirs))
    lines.append("")
    for form, (ours, theirs) in results.items():
        each, middle = ratios(ours, theirs)
        lines.append(f"{form}: ddpm / Python loop, run by run: {each}; median **{middle:.1f} times**.")
    return "\n".join(lines)


def main() -> None:
    """Measure and write the report."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--files", type=int, default=500, help=f"files in a run, {ROWS_A_FILE} rows each")
    chosen = arguments.parse_args()
    rows = chosen.files * ROWS_A_FILE
    results: dict[str, tuple[list[Measured], list[Measured]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with EmbeddedKafka(Path(folder) / "kafka") as kafka, EmbeddedPostgres(Path(folder) / "postgres") as postgres:
            servers = Servers(kafka, postgres)
            topics = {form: filled_topic(servers, form, chosen.files) for form in WRITERS}
            for number in range(1, chosen.rounds + 1):
                for form, topic in topics.items():
                    ours, theirs = results.setdefault(form, ([], []))
                    ours.append(run_ddpm(servers, topic, rows, {"parser": form}))
                    theirs.append(run_loop(servers, form, topic, rows))
                    console.print(f"round {number}, {form}: {ours[-1]} / {theirs[-1]}")
    section = report(results, rows)
    write_section("formats", section)
    console.print(section, markup=False)


if __name__ == "__main__":
    main()
