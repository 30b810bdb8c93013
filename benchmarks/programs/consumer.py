"""A Python consumer as a competent person writes it, and as fast as one gets it without leaving Python.

confluent-kafka in batches, orjson (fastavro, pyarrow), COPY into a temporary table, INSERT … ON CONFLICT DO NOTHING
into the table, one transaction a batch, and offsets committed after it: rows under their identity as ddpm has them,
without dead letters, waiting, or anybody who starts it again.
"""

import argparse
from contextlib import suppress

import psycopg
from confluent_kafka import Consumer, KafkaException, Message
from psycopg import sql

from benchmarks.readers import READERS, Reader

BATCH = 10_000
# So many bytes of records at once, or large ones would take all memory.
BATCH_BYTES = 32_000_000
WAIT_SECONDS = 0.2


def main() -> None:
    """Read until killed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap", "topic", "group", "dsn", "table"):
        arguments.add_argument(name)
    arguments.add_argument("reader", choices=READERS)
    arguments.add_argument("--indexed", action="store_true", help="a record has many rows")
    chosen = arguments.parse_args()
    consumer = Consumer(
        {
            "bootstrap.servers": chosen.bootstrap,
            "group.id": chosen.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "partition.assignment.strategy": "cooperative-sticky",
            "queued.max.messages.kbytes": 65_536,
        }
    )
    consumer.subscribe([chosen.topic])
    table = sql.Identifier(chosen.table)
    with psycopg.connect(chosen.dsn) as connection:
        connection.execute(sql.SQL("create temp table staging (like {}) on commit delete rows").format(table))
        connection.commit()
        insert = sql.SQL("insert into {} select * from staging on conflict do nothing").format(table)
        count = BATCH
        while True:
            messages = consumer.consume(count, WAIT_SECONDS)
            if not messages:
                continue
            count = sized(messages)
            store(connection, messages, READERS[chosen.reader], indexed=chosen.indexed)
            connection.execute(insert)
            connection.commit()
            # While the group shares its partitions out, a commit may be refused; the rows come again, and do nothing.
            with suppress(KafkaException):
                consumer.commit(asynchronous=False)


def sized(messages: list[Message]) -> int:
    """How many records to take next, by how large these were."""
    average = sum(len(message) for message in messages) / len(messages)
    return max(1, min(BATCH, int(BATCH_BYTES / max(average, 1))))


def store(
    connection: "psycopg.Connection[tuple[object, ...]]", messages: list[Message], read: Reader, *, indexed: bool
) -> None:
    """Write the rows of records into the temporary table."""
    with connection.cursor() as cursor, cursor.copy("copy staging from stdin") as copy:
        for message in messages:
            if error := message.error():
                raise KafkaException(error)
            value, partition, offset = message.value(), message.partition(), message.offset()
            assert isinstance(value, bytes)
            if indexed:
                for index, row in enumerate(read(value)):
                    copy.write_row((1, partition, offset, index, *row))
            else:
                for row in read(value):
                    copy.write_row((1, partition, offset, *row))


if __name__ == "__main__":
    main()
