"""How a record becomes rows, in Python: what the Python consumer does, and what a table must hold afterwards.

A reader takes a record's bytes and yields a row's values in the order of the workload's columns. It raises ValueError
for a record that no table should have.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

Row = tuple[Any, ...]
Reader = Callable[[bytes], Iterable[Row]]


def _order(document: dict[str, Any]) -> Row:
    address = document["address"]
    return (
        document["id"],
        document["created_at"],
        document["customer"],
        document["amount"],
        document["paid"],
        address["city"],
        address["country"],
        document["note"],
    )


def order(value: bytes) -> Iterable[Row]:
    """A JSON order."""
    row = _order(orjson.loads(value))
    if not isinstance(row[2], int):
        msg = f"not a customer: {row[2]!r}"
        raise ValueError(msg)  # noqa: TRY004 -- of a record, not of an argument
    return (row,)


def mapped(value: bytes) -> Iterable[Row]:
    """What the mapping of the workload `mapping` makes of a JSON order."""
    ((name, created_at, customer, amount, paid, city, country, note),) = order(value)
    return ((name, created_at, customer, amount, not paid, city, country, note.upper()),)


def document(value: bytes) -> Iterable[Row]:
    """A JSON document as it is."""
    return ((value.decode(),),)


def click(value: bytes) -> Iterable[Row]:
    """A small JSON event."""
    found = orjson.loads(value)
    return ((found["id"], found["kind"], found["v"], found["n"]),)


def csv_rows(value: bytes) -> Iterable[Row]:
    """Lines of comma-separated values."""
    return (tuple(cells) for cells in csv.reader(io.StringIO(value.decode(), newline="")))


def avro_rows(value: bytes) -> Iterator[Row]:
    """The rows of an object container file."""
    import fastavro

    for record in fastavro.reader(io.BytesIO(value)):
        assert isinstance(record, dict)
        yield _order(record)


def parquet_rows(value: bytes) -> Iterator[Row]:
    """The rows of a Parquet file."""
    import pyarrow.parquet

    return map(_order, pyarrow.parquet.read_table(io.BytesIO(value), use_threads=False).to_pylist())


READERS: dict[str, Reader] = {
    "order": order,
    "mapped": mapped,
    "document": document,
    "click": click,
    "csv": csv_rows,
    "avro": avro_rows,
    "parquet": parquet_rows,
}
