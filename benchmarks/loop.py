"""A Python loop as people write it: kafka-python, fastavro or pyarrow, COPY. A process of its own, for formats.py.

It keeps the same promise as ddpm in the cheapest way: rows under their identity, offsets committed after the rows.
"""

import argparse
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import fastavro
import psycopg
import pyarrow.parquet as pq
from kafka import KafkaConsumer
from psycopg import sql

Row = Mapping[str, Any]


def avro_rows(value: bytes) -> Iterator[Row]:
    """The rows of an object container file."""
    return fastavro.reader(io.BytesIO(value))  # type: ignore[return-value]


def parquet_rows(value: bytes) -> Iterator[Row]:
    """The rows of a Parquet file."""
    return iter(pq.read_table(io.BytesIO(value), use_threads=False).to_pylist())


READERS: dict[str, Callable[[bytes], Iterator[Row]]] = {"avro": avro_rows, "parquet": parquet_rows}


def main() -> None:
    """Read until killed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ("format", "bootstrap", "topic", "group", "dsn", "table"):
        arguments.add_argument(name)
    chosen = arguments.parse_args()
    read = READERS[chosen.format]
    copy_in = sql.SQL("copy {} from stdin").format(sql.Identifier(chosen.table))
    consumer = KafkaConsumer(
        chosen.topic,
        bootstrap_servers=[chosen.bootstrap],
        group_id=chosen.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        check_crcs=False,
    )
    with psycopg.connect(chosen.dsn) as connection:
        while True:
            polled = consumer.poll(timeout_ms=500)
            if not polled:
                continue
            with connection.cursor().copy(copy_in) as copy:
                for partition, records in polled.items():
                    for record in records:
                        for index, row in enumerate(read(record.value)):
                            address = row["address"]
                            copy.write_row(
                                (
                                    1,
                                    partition.partition,
                                    record.offset,
                                    index,
                                    row["id"],
                                    row["created_at"],
                                    row["customer"],
                                    row["amount"],
                                    row["paid"],
                                    address["city"],
                                    address["country"],
                                    row["note"],
                                )
                            )
            connection.commit()
            consumer.commit()


if __name__ == "__main__":
    main()
