"""The records of the workloads, the same in every run, and the rows that a table must have afterwards."""

import csv
import io
import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import KafkaError, Message, Producer

from benchmarks.readers import READERS
from benchmarks.rig import Contents, Servers, console, contents, drop, fresh_names
from ddpm.broker.topics import TopicSpec, ensure_topics

POISON_EVERY = 100
LINES_A_RECORD = 100
ROWS_A_FILE = 1_000
LARGE_BYTES = 20_000
IN_FLIGHT = 50_000
COPY_BLOCK = 1 << 20

COLUMNS: Mapping[str, Any] = {
    "id": "text",
    "created_at": "timestamptz",
    "customer": "bigint",
    "amount": "numeric(12,2)",
    "paid": "boolean",
    "city": {"type": "text", "from": "address.city"},
    "country": {"type": "text", "from": "address.country"},
    "note": "text",
}
FLAT: Mapping[str, Any] = {**COLUMNS, "city": "text", "country": "text"}
CLICK: Mapping[str, Any] = {"id": "bigint", "kind": "text", "v": "numeric(12,2)", "n": "integer"}

MAPPING = """root = this
root.note = this.note.uppercase()
root.paid = !this.paid"""

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
            {"name": "note", "type": "string"},
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

Values = Callable[[int], Iterable[bytes]]


@dataclass(frozen=True)
class Workload:
    """Records, and what ddpm is to do with them.

    Attributes:
        name: On the command line.
        title: In reports.
        values: So many records; asked twice it gives the same.
        reader: How a record becomes rows, in `benchmarks.readers`.
        columns: `postgres.columns`; None for the document table.
        sections: What the configuration says besides.
        partitions: Of the topic.
        share: Of the number of records asked for, since some are heavier than others.
        rows_a_record: More than one where a record is a file.
        peer: Whether the Python consumer is measured beside ddpm.

    """

    name: str
    title: str
    values: Values
    reader: str = "order"
    columns: Mapping[str, Any] | None = field(default_factory=lambda: COLUMNS)
    sections: Mapping[str, Any] = field(default_factory=dict)
    partitions: int = 3
    share: float = 1.0
    rows_a_record: int = 1
    peer: bool = False

    @property
    def indexed(self) -> bool:
        """Whether the identity of a row has its place in the record."""
        return self.rows_a_record > 1

    @property
    def compared(self) -> tuple[str, ...]:
        """The columns whose contents are compared."""
        return tuple(self.columns) if self.columns is not None else ("data",)

    def records(self, asked: int) -> int:
        """How many records a run has when so many are asked for."""
        return max(self.partitions, int(asked * self.share))

    def create_table(self, of: Servers, table: str) -> None:
        """Make the table that ddpm would make, without a timestamp beside documents."""
        identity = ["source", "partition", '"offset"', *(['"index"'] if self.indexed else [])]
        columns = [f"{name} integer not null" if name != '"offset"' else f"{name} bigint not null" for name in identity]
        types = {"data": "jsonb"} if self.columns is None else self.columns
        columns += [f"{name} {type_ if isinstance(type_, str) else type_['type']}" for name, type_ in types.items()]
        with of.connect() as connection:
            connection.execute(f"create table {table} ({', '.join(columns)}, primary key ({', '.join(identity)}))")


@dataclass(frozen=True)
class Load:
    """A workload's topic, filled, with the same rows as a file for COPY.

    Attributes:
        workload: Where it comes from.
        topic: The topic.
        records: How many it has.
        expected: What a table must hold.
        file: The rows in COPY's text format.

    """

    workload: Workload
    topic: str
    records: int
    expected: Contents
    file: Path


def orders(count: int) -> Iterator[dict[str, Any]]:
    """Orders, the same in every run."""
    chance = random.Random(4195)  # noqa: S311 -- sample data
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    cities = [("Berlin", "DE"), ("København", "DK"), ("São Paulo", "BR"), ("New York", "US"), ("東京", "JP")]
    for number in range(count):
        city, country = cities[number % len(cities)]
        yield {
            "id": str(uuid.UUID(int=chance.getrandbits(128))),
            "created_at": begin + timedelta(seconds=number),
            "customer": chance.randrange(10**12),
            "amount": Decimal(chance.randrange(100_000)).scaleb(-2),
            "paid": number % 3 == 0,
            "address": {"city": city, "country": country},
            "note": "to be left with the neighbours on the third floor " + "x" * (number % 20),
        }


def _json(order: Mapping[str, Any], **changes: str) -> bytes:
    plain = {"created_at": order["created_at"].isoformat(), "amount": float(order["amount"])} | changes
    return json.dumps(dict(order) | plain, ensure_ascii=False).encode()


def json_orders(count: int) -> Iterator[bytes]:
    """About 270 bytes each."""
    return map(_json, orders(count))


def poisoned(count: int) -> Iterator[bytes]:
    """JSON orders of which one in a hundred has no number where one belongs."""
    for number, order in enumerate(orders(count)):
        yield _json(order, customer="nobody") if number % POISON_EVERY == 0 else _json(order)


def large(count: int) -> Iterator[bytes]:
    """JSON orders with a note of 20 KB that does not compress well."""
    chance = random.Random(4195)  # noqa: S311 -- sample data
    return (_json(order, note=chance.randbytes(LARGE_BYTES // 2).hex()) for order in orders(count))


def clicks(count: int) -> Iterator[bytes]:
    """About 50 bytes each."""
    return (
        b'{"id":%d,"kind":"click","v":%d.%02d,"n":%d}' % (10**9 + number, number % 1000, number % 100, number % 7)
        for number in range(count)
    )


def _files(count: int, rows: int, write: Callable[[list[dict[str, Any]]], bytes]) -> Iterator[bytes]:
    all_rows = orders(count * rows)
    return (write([next(all_rows) for _ in range(rows)]) for _ in range(count))


def csv_record(rows: list[dict[str, Any]]) -> bytes:
    """Lines without a header."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for row in rows:
        flat = row | row["address"] | {"created_at": row["created_at"].isoformat(), "paid": str(row["paid"]).lower()}
        writer.writerow(flat[name] for name in FLAT)
    return text.getvalue().encode()


def avro_file(rows: list[dict[str, Any]]) -> bytes:
    """An object container file, compressed with deflate."""
    file = io.BytesIO()
    # The mark between blocks is a random one by default.
    fastavro.writer(file, AVRO, rows, codec="deflate", sync_marker=b"ddpm-benchmarks!")
    return file.getvalue()


def parquet_file(rows: list[dict[str, Any]]) -> bytes:
    """A file as pyarrow writes it unless told otherwise: snappy, dictionaries."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=PARQUET), file)
    return file.getvalue()


def csv_records(count: int) -> Iterator[bytes]:
    """A hundred orders a record."""
    return _files(count, LINES_A_RECORD, csv_record)


def avro_files(count: int) -> Iterator[bytes]:
    """A thousand orders a record."""
    return _files(count, ROWS_A_FILE, avro_file)


def parquet_files(count: int) -> Iterator[bytes]:
    """A thousand orders a record."""
    return _files(count, ROWS_A_FILE, parquet_file)


FUNCTION = {"parser": "trivial", "plugin_path": str(Path(__file__).parent / "programs" / "trivial.py")}

DIRECT = Workload("direct", "JSON of 270 B, 8 typed columns", json_orders, peer=True)
WORKLOADS = (
    DIRECT,
    Workload(
        "mapping",
        "the same with a mapping of three lines",
        json_orders,
        reader="mapped",
        sections={"processors": [{"mapping": MAPPING}]},
        peer=True,
    ),
    Workload("poison", "the same with 1 % poison", poisoned),
    Workload(
        "documents", "the same as whole documents (jsonb)", json_orders, reader="document", columns=None, peer=True
    ),
    Workload("one-partition", "the same from 1 partition", json_orders, partitions=1),
    Workload("twelve-partitions", "the same from 12 partitions", json_orders, partitions=12),
    Workload(
        "function", "the same, parsed by a Python function", json_orders, sections={"source": FUNCTION}, share=0.3
    ),
    Workload("small", "JSON of 50 B, 4 typed columns", clicks, reader="click", columns=CLICK, peer=True),
    Workload("large", "JSON of 20 KB, 8 typed columns", large, share=0.03, peer=True),
    Workload(
        "csv",
        f"CSV, {LINES_A_RECORD} rows a record",
        csv_records,
        reader="csv",
        columns=FLAT,
        sections={"source": {"parser": "csv", "options": {"columns": list(FLAT)}}},
        share=1 / LINES_A_RECORD,
        rows_a_record=LINES_A_RECORD,
        peer=True,
    ),
    Workload(
        "avro",
        f"Avro, files of {ROWS_A_FILE:,} rows",
        avro_files,
        reader="avro",
        sections={"source": {"parser": "avro"}},
        share=0.5 / ROWS_A_FILE,
        rows_a_record=ROWS_A_FILE,
        peer=True,
    ),
    Workload(
        "parquet",
        f"Parquet, files of {ROWS_A_FILE:,} rows",
        parquet_files,
        reader="parquet",
        sections={"source": {"parser": "parquet"}},
        share=0.5 / ROWS_A_FILE,
        rows_a_record=ROWS_A_FILE,
        peer=True,
    ),
)


def load(of: Servers, workload: Workload, asked: int, folder: Path) -> Load:
    """Fill a topic and a file with a workload, and find out what a table must hold.

    Args:
        of: The servers.
        workload: The workload.
        asked: How many records, before the workload's share.
        folder: Where the file is put.

    """
    begin = time.monotonic()
    count = workload.records(asked)
    topic = f"bench-{workload.name}-{uuid.uuid4().hex[:6]}"
    ensure_topics([of.kafka.bootstrap], [TopicSpec(topic, workload.partitions)])
    file = folder / f"{topic}.copy"
    rows = _fill(of, workload, count, topic, file)
    expected = _expected(of, workload, file)
    assert expected.rows == rows, f"{expected.rows} rows of {rows} in the file"
    console.print(f"{workload.name}: {count:,} records in {topic} after {time.monotonic() - begin:.0f} s")
    return Load(workload, topic, count, expected, file)


def _fill(of: Servers, workload: Workload, count: int, topic: str, file: Path) -> int:
    """Produce the records, write their rows into the file, and return how many rows those are."""
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    settings = {"bootstrap.servers": of.kafka.bootstrap, "enable.idempotence": True, "linger.ms": 20}
    producer = Producer(settings | {"on_delivery": delivered, "queue.buffering.max.kbytes": 131_072})
    read = READERS[workload.reader]
    rows = 0
    with file.open("wb") as lines:
        for number, value in enumerate(workload.values(count)):
            partition, offset = number % workload.partitions, number // workload.partitions
            while True:
                try:
                    producer.produce(topic, value, partition=partition)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
            try:
                found = list(read(value))
            except ValueError:
                continue
            for index, row in enumerate(found):
                identity = (1, partition, offset, index) if workload.indexed else (1, partition, offset)
                lines.write(copy_line((*identity, *row)))
            rows += len(found)
    left = producer.flush(120)
    assert not left, f"{left} records of {topic} are still on their way"
    assert not failed, f"{len(failed)} records of {topic} were refused: {failed[0]}"
    return rows


def copy_line(values: Sequence[Any]) -> bytes:
    """A row in COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html)."""
    return ("\t".join(map(_cell, values)) + "\n").encode()


def _cell(value: object) -> str:
    if value is None:
        return r"\N"
    if isinstance(value, str):
        return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    return str(value)


def _expected(of: Servers, workload: Workload, file: Path) -> Contents:
    """What a table holds into which the file was copied."""
    table = fresh_names().table
    workload.create_table(of, table)
    with (
        of.connect() as connection,
        connection.cursor().copy(f"copy {table} from stdin") as copy,
        file.open("rb") as data,
    ):
        while block := data.read(COPY_BLOCK):
            copy.write(block)
    found = contents(of, table, workload.compared)
    drop(of, table)
    return found
