"""Writes the sample files of the parsers' tests with other implementations of each format.

Needs msgpack, fastavro, python-snappy, zstandard, pyarrow, protobuf and grpcio-tools; run it where the samples lie.
The tests say in their own words what the samples hold: change both together.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import uuid
from pathlib import Path
from typing import Any

import fastavro
import msgpack
import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from grpc_tools import protoc

HERE = Path(__file__).parent
WHEN = dt.datetime(2026, 11, 23, 4, 5, 6, 789123, tzinfo=dt.UTC)
ID = uuid.UUID("0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70")
BIG = 2**63 - 1
AMOUNT = decimal.Decimal("12345678901234567890.1234")

PROTO = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/any.proto";
message Order {
  int64 id = 1;
  uint64 huge = 2;
  string name = 3;
  bytes raw = 4;
  double ratio = 5;
  bool paid = 6;
  Status status = 7;
  repeated Line lines = 8;
  map<string, int64> counts = 9;
  google.protobuf.Timestamp created_at = 10;
  google.protobuf.Duration took = 11;
  google.protobuf.Struct extra = 12;
  google.protobuf.StringValue note = 13;
  oneof payment { string card = 14; int32 cash = 15; }
  optional int32 discount = 16;
  google.protobuf.Any attachment = 17;
  Line nothing = 18;
  double weight = 19;
}
enum Status { UNKNOWN = 0; OPEN = 1; }
message Line { string sku = 1; int32 count = 2; }
"""

AVRO_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 4}},
        {
            "name": "price",
            "type": {
                "type": "fixed",
                "name": "Price",
                "size": 8,
                "logicalType": "decimal",
                "precision": 10,
                "scale": 2,
            },
        },
        {"name": "created_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "seen_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "local_at", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "clock", "type": {"type": "long", "logicalType": "time-micros"}},
        {"name": "key", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "raw", "type": "bytes"},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["UNKNOWN", "OPEN"]}},
        {"name": "counts", "type": {"type": "map", "values": "long"}},
        {
            "name": "lines",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Line",
                    "fields": [{"name": "sku", "type": "string"}, {"name": "ratio", "type": "double"}],
                },
            },
        },
        {"name": "first", "type": ["null", "Line"], "default": None},
        {"name": "paid", "type": "boolean"},
        {"name": "weight", "type": "float"},
    ],
}


def order(number: int) -> dict[str, Any]:
    """An order in the types of Avro; fastavro writes decimals, datetimes and UUIDs by their logical types."""
    return {
        "id": BIG - number,
        "amount": -AMOUNT,
        "price": decimal.Decimal("-19.90"),
        "created_at": WHEN,
        "seen_at": WHEN,
        "local_at": WHEN.replace(tzinfo=None),
        "day": WHEN.date(),
        "clock": WHEN.time(),
        "key": ID,
        "raw": b"\x00\xff",
        "note": None if number % 2 else "naïve",
        "status": "OPEN",
        "counts": {"a": 1},
        "lines": [{"sku": "x", "ratio": 0.1}, {"sku": "y", "ratio": float("nan")}],
        "first": {"sku": "z", "ratio": -1.5} if number % 2 else None,
        "paid": True,
        "weight": 0.1,
    }


def write_msgpack() -> None:
    """One map of every type, with an extension type and an integer key."""
    sample = {
        "id": BIG,
        "huge": 2**64 - 1,
        "least": -(2**63),
        "ratio": 0.1,
        "raw": b"\x00\xff",
        "created_at": msgpack.Timestamp.from_datetime(WHEN),
        "before": msgpack.Timestamp(-1, 0),
        "ext": msgpack.ExtType(5, b"\x01"),
        "list": [1, -1, -200, 70000, None, True, "naïve"],
        "nested": {"a": {"b": {}}},
        "long": "x" * 40,
        7: "seven",
    }
    (HERE / "types.msgpack").write_bytes(msgpack.packb(sample))


def write_avro() -> None:
    """Container files in every codec, the same record without a container, and its schema."""
    schema = fastavro.parse_schema(AVRO_SCHEMA)
    (HERE / "order.avsc").write_text(json.dumps(AVRO_SCHEMA) + "\n")
    for codec in ("null", "deflate", "snappy", "zstandard"):
        with (HERE / f"orders_{codec}.avro").open("wb") as file:
            fastavro.writer(file, schema, [order(n) for n in range(5)], codec=codec, sync_interval=300)
    with (HERE / "order.datum").open("wb") as file:
        fastavro.schemaless_writer(file, schema, order(0))


def write_parquet() -> None:
    """Two row groups of the same rows in every codec."""
    rows = 5
    line = pa.struct([("sku", pa.string()), ("count", pa.int64()), ("tags", pa.list_(pa.string()))])
    table = pa.table(
        {
            "id": pa.array([BIG - n for n in range(rows)], pa.int64()),
            "huge": pa.array([2**64 - 1] * rows, pa.uint64()),
            "amount": pa.array([-AMOUNT] * rows, pa.decimal128(30, 4)),
            "price": pa.array([decimal.Decimal("-19.90")] * rows, pa.decimal128(9, 2)),
            "created_at": pa.array([WHEN] * rows, pa.timestamp("us", tz="UTC")),
            "nanos": pa.array([WHEN] * rows, pa.timestamp("ns", tz="UTC")),
            "local_at": pa.array([WHEN.replace(tzinfo=None)] * rows, pa.timestamp("ms")),
            "day": pa.array([WHEN.date()] * rows, pa.date32()),
            "clock": pa.array([WHEN.time()] * rows, pa.time64("us")),
            "raw": pa.array([b"\x00\xff"] * rows, pa.binary()),
            "key": pa.array([ID.bytes] * rows, pa.uuid()),
            "note": pa.array([None if n % 2 else "naïve" for n in range(rows)], pa.string()),
            "small": pa.array([-7] * rows, pa.int8()),
            "ratio": pa.array([0.1] * rows, pa.float32()),
            "paid": pa.array([True] * rows, pa.bool_()),
            "tags": pa.array([["a", None, "b"], [], None, ["c"], ["d"]], pa.list_(pa.string())),
            "lines": pa.array(
                [[{"sku": "x", "count": 1, "tags": ["p", "q"]}, {"sku": "y", "count": None, "tags": None}], [], None]
                + [[{"sku": "z", "count": 2, "tags": []}]] * 2,
                pa.list_(line),
            ),
            "place": pa.array(
                [{"x": 1, "y": None}, None, {"x": 2, "y": 3}, None, None],
                pa.struct([("x", pa.int32()), ("y", pa.int32())]),
            ),
            "counts": pa.array([[("a", 1), ("b", None)], [], None, [], []], pa.map_(pa.string(), pa.int64())),
            "nested": pa.array([[[1, 2], []], [None], [], None, [[3]]], pa.list_(pa.list_(pa.int32()))),
        }
    )
    for codec in ("none", "snappy", "zstd", "gzip"):
        pq.write_table(table, HERE / f"orders_{codec}.parquet", compression=codec, row_group_size=3)


def write_odd_parquet() -> None:
    """Half floats, no rows at all, a row group of none, and BYTE_STREAM_SPLIT of every type but floats."""
    half = pa.table(
        {
            "half": pa.array([1.5, -2.0, 65504.0, 2.0**-24, float("nan"), float("-inf")], pa.float16()),
            "list": pa.array([[0.5, None], None, [], [2.0], [-0.0], [1.0]], pa.list_(pa.float16())),
        }
    )
    pq.write_table(half, HERE / "half.parquet")
    table = pa.table(
        {
            "narrow": pa.array([1, -2, None], pa.int32()),
            "wide": pa.array([2**62, -3, 4], pa.int64()),
            "fixed": pa.array([b"abcd", None, b"wxyz"], pa.binary(4)),
            "amount": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("-0.01")], pa.decimal128(20, 2)),
            "half": pa.array([1.5, -2.0, None], pa.float16()),
        }
    )
    pq.write_table(table.slice(0, 0), HERE / "no_rows.parquet")
    with pq.ParquetWriter(HERE / "empty_group.parquet", table.schema) as writer:
        for part in (table, table.slice(0, 0), table):
            writer.write_table(part)
    for version in ("1.0", "2.0"):
        pq.write_table(
            table,
            HERE / f"split_v{version[0]}.parquet",
            use_dictionary=False,
            column_encoding="BYTE_STREAM_SPLIT",
            data_page_version=version,
        )


def write_protobuf() -> None:
    """One message and the descriptor set that protoc makes of its file."""
    source = HERE / "shop.proto"
    source.write_text(PROTO.lstrip())
    builtin = str(Path(protoc.__file__).parent / "_proto")
    arguments = ["protoc", f"-I{HERE}", f"-I{builtin}", "--include_imports", f"--descriptor_set_out={HERE / 'shop.pb'}"]
    if protoc.main([*arguments, source.name]) != 0:
        raise SystemExit("protoc failed")
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString((HERE / "shop.pb").read_bytes()).file:
        pool.Add(file)
    order_class = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))
    sample = order_class(id=BIG, huge=2**64 - 1, name="naïve", raw=b"\x00\xff", ratio=0.1, paid=True, status=1)
    sample.lines.add(sku="x", count=1)
    sample.lines.add(sku="y")
    sample.counts["a"] = -BIG
    sample.created_at.FromDatetime(WHEN)
    sample.took.seconds = 3
    sample.took.nanos = 500_000_000
    sample.extra.update({"a": [1, None, {"b": "c"}]})
    sample.note.value = ""
    sample.cash = 0
    sample.discount = 0
    sample.weight = float("nan")
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(WHEN)
    sample.attachment.Pack(stamp)
    (HERE / "order.protobuf").write_bytes(sample.SerializeToString(deterministic=True))


if __name__ == "__main__":
    write_msgpack()
    write_avro()
    write_parquet()
    write_odd_parquet()
    write_protobuf()
