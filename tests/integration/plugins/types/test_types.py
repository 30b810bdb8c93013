"""Every type in every format, through the whole of ddpm into columns, and the table of docs/parsers.md that says so.

Run it with --update-docs when a change of the table is meant.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import msgpack
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from ddpm.broker.produce import Record
from harness.formats import SAMPLES
from harness.offline import ddpm
from harness.process import Ddpm
from harness.world import World

DOCS = Path(__file__).parents[4] / "docs" / "parsers.md"
MARK = "<!-- types: written by tests/integration/plugins/types -->"

WHEN = datetime(2026, 11, 23, 4, 5, 6, 789123, UTC)
AMOUNT = Decimal("-12345678901234567890.1234")
KEY = UUID("0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70")
NAN = float("nan")


@dataclass(frozen=True)
class Kind:
    """A type as a user thinks of it.

    Attributes:
        title: Its name in the table.
        column: The type of a column that holds it without loss.
        value: What a row of that column must hold.
        text: Its form in text formats.

    """

    title: str
    column: str
    value: Any
    text: str


KINDS = {
    "big": Kind("64-bit integer", "bigint", 2**63 - 1, str(2**63 - 1)),
    "huge": Kind("unsigned 64-bit integer", "numeric", Decimal(2**64 - 1), str(2**64 - 1)),
    "amount": Kind("decimal", "numeric(30,4)", AMOUNT, str(AMOUNT)),
    "ratio": Kind("float", "double precision", 0.1, "0.1"),
    "nothing": Kind("not a number", "double precision", NAN, "NaN"),
    "flag": Kind("boolean", "boolean", True, "true"),
    "word": Kind("text", "text", "naïve", "naïve"),
    "instant": Kind("instant, microseconds", "timestamptz", WHEN, "2026-11-23T04:05:06.789123Z"),
    "local": Kind("local timestamp", "timestamp", WHEN.replace(tzinfo=None), "2026-11-23T04:05:06.789123"),
    "day": Kind("date", "date", WHEN.date(), "2026-11-23"),
    "clock": Kind("time of day", "time", WHEN.time(), "04:05:06.789123"),
    "raw": Kind("bytes", "bytea", b"\x00\xff", r"\x00ff"),
    "key": Kind("UUID", "uuid", KEY, str(KEY)),
    "status": Kind("enum", "text", "OPEN", "OPEN"),
    "place": Kind("document, struct, map", "jsonb", {"x": 1, "y": None}, '{"x": 1, "y": null}'),
    "tags": Kind("array, list", "jsonb", ["a", None, "b"], '["a", null, "b"]'),
    "none": Kind("null", "text", None, ""),
}


@dataclass(frozen=True)
class Sample:
    """A record of a format that has all of its types.

    Attributes:
        payload: Its bytes, from another implementation's writer wherever there is one.
        source: What the pipeline's `source` says.
        paths: Where the values of kinds stand in the document, when not under the kind's own name.
        values: What they are, where that format's sample holds others.
        absent: Kinds that the format has no type for.

    """

    payload: bytes
    source: Mapping[str, Any]
    paths: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    absent: Sequence[str] = ()

    def kinds(self) -> dict[str, str]:
        """The kinds that this format has, and where they stand."""
        return {name: self.paths.get(name, name) for name in KINDS if name not in self.absent}


def json_sample() -> Sample:
    numbers = {"big", "huge", "amount", "ratio", "flag", "place", "tags"}
    parts = [f'"{name}": {kind.text if name in numbers else json.dumps(kind.text)}' for name, kind in KINDS.items()]
    payload = ", ".join([*parts[:-1], '"none": null'])
    return Sample(f"{{{payload}}}".encode(), {"parser": "json"})


def csv_sample() -> Sample:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(KINDS)
    writer.writerow(kind.text for kind in KINDS.values())
    return Sample(text.getvalue().encode(), {"parser": "csv"})


def avro_sample() -> Sample:
    types: dict[str, Any] = {
        "big": "long",
        "amount": {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 4},
        "ratio": "double",
        "nothing": "double",
        "flag": "boolean",
        "word": "string",
        "instant": {"type": "long", "logicalType": "timestamp-micros"},
        "local": {"type": "long", "logicalType": "local-timestamp-micros"},
        "day": {"type": "int", "logicalType": "date"},
        "clock": {"type": "long", "logicalType": "time-micros"},
        "raw": "bytes",
        "key": {"type": "string", "logicalType": "uuid"},
        "status": {"type": "enum", "name": "Status", "symbols": ["UNKNOWN", "OPEN"]},
        "place": {
            "type": "record",
            "name": "Place",
            "fields": [{"name": "x", "type": "int"}, {"name": "y", "type": ["null", "int"]}],
        },
        "tags": {"type": "array", "items": ["null", "string"]},
        "none": ["null", "string"],
    }
    schema = {"type": "record", "name": "Sample", "fields": [{"name": n, "type": t} for n, t in types.items()]}
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(schema), [{name: KINDS[name].value for name in types}])
    return Sample(file.getvalue(), {"parser": "avro"}, absent=["huge"])


def parquet_sample() -> Sample:
    types = {
        "big": pa.int64(),
        "huge": pa.uint64(),
        "amount": pa.decimal128(30, 4),
        "ratio": pa.float64(),
        "nothing": pa.float64(),
        "flag": pa.bool_(),
        "word": pa.string(),
        "instant": pa.timestamp("us", tz="UTC"),
        "local": pa.timestamp("us"),
        "day": pa.date32(),
        "clock": pa.time64("us"),
        "raw": pa.binary(),
        "key": pa.uuid(),
        "status": pa.dictionary(pa.int32(), pa.string()),
        "place": pa.struct([("x", pa.int64()), ("y", pa.int64())]),
        "tags": pa.list_(pa.string()),
        "none": pa.string(),
    }
    values = {name: kind.value for name, kind in KINDS.items()}
    values |= {"huge": 2**64 - 1, "key": KEY.bytes}
    file = io.BytesIO()
    pq.write_table(pa.table({name: pa.array([values[name]], type) for name, type in types.items()}), file)
    return Sample(file.getvalue(), {"parser": "parquet"})


def msgpack_sample() -> Sample:
    names = ("big", "huge", "ratio", "nothing", "flag", "word", "raw", "place", "tags", "none")
    values = {name: KINDS[name].value for name in names} | {"huge": 2**64 - 1}
    payload = msgpack.packb(values | {"instant": msgpack.Timestamp.from_datetime(WHEN)})
    absent = ("amount", "local", "day", "clock", "key", "status")
    return Sample(payload, {"parser": "msgpack"}, absent=absent)


def protobuf_sample() -> Sample:
    options = {"descriptor_set": str(SAMPLES / "shop.pb"), "message": "shop.Order"}
    return Sample(
        (SAMPLES / "order.protobuf").read_bytes(),
        {"parser": "protobuf", "options": options},
        paths={
            "big": "id",
            "nothing": "weight",
            "flag": "paid",
            "word": "name",
            "instant": "created_at",
            "place": "counts",
            "tags": "lines",
            "none": "nothing",
        },
        values={"place": {"a": 1 - 2**63}, "tags": [{"sku": "x", "count": 1}, {"sku": "y", "count": 0}]},
        absent=("amount", "local", "day", "clock", "key"),
    )


FUNCTION = """
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID


def parse(payload, meta):
    yield {values}
"""


def function_sample(folder: Path) -> Sample:
    values = {name: kind.value for name, kind in KINDS.items() if name != "status"}
    shown = repr(values).replace("datetime.", "").replace("timezone.utc", "UTC").replace("nan", "float('nan')")
    (folder / "everything.py").write_text(FUNCTION.format(values=shown))
    source = {"parser": "everything", "plugin_path": str(folder / "everything.py")}
    return Sample(b"x", source, absent=("status",))


def samples(folder: Path) -> dict[str, Sample]:
    """By the head of the column of the table."""
    return {
        "json, ndjson, spade": json_sample(),
        "csv, tsv": csv_sample(),
        "msgpack": msgpack_sample(),
        "avro": avro_sample(),
        "parquet": parquet_sample(),
        "protobuf": protobuf_sample(),
        "Python": function_sample(folder),
    }


class Number(str):
    """A number of a document, digit by digit."""


def compact(value: Any) -> str:
    """A value of a document as JSON, its numbers as they stood there."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {compact(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(compact(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def document_forms(sample: Sample, folder: Path) -> dict[str, str]:
    """What a document holds for each kind, by `ddpm parse`."""
    folder.mkdir()
    config = folder / "app-config.yaml"
    addresses = {"brokers": ["kafka.invalid:9092"], "topics": ["t"], "consumer_group": "t"}
    database = {"url": "postgresql://db.invalid/shop", "table": "t"}
    config.write_text(yaml.safe_dump({"app": {"source": sample.source, "kafka": addresses, "postgres": database}}))
    told = ddpm("parse", "--json", "--config", str(config), "-", cwd=folder, stdin=sample.payload)
    assert told.returncode == 0, told.stderr
    (result,) = json.loads(told.stdout, parse_int=Number, parse_float=Number)["documents"]
    document = result["parsed"]
    return {name: compact(document[path]) for name, path in sample.kinds().items() if path in document}


def cell(name: str, sample: Sample, forms: Mapping[str, str], usual: str) -> str:
    if name in sample.absent:
        return "–"  # noqa: RUF001
    form = forms.get(name)
    if form is None:
        return "absent"
    if form == usual or name in sample.values:
        return "✓"
    if form == json.dumps(KINDS[name].text, ensure_ascii=False) or (name == "none" and form == '""'):
        return "text"
    return f"`{form}`"


def table(all_samples: Mapping[str, Sample], forms: Mapping[str, Mapping[str, str]]) -> str:
    """The table of docs/parsers.md."""
    lines = [
        f"| type | in the document (✓) | column | {' | '.join(all_samples)} |",
        f"|---|---|---|{'---|' * len(all_samples)}",
    ]
    for name, kind in KINDS.items():
        usual = forms["avro"].get(name, forms["parquet"][name])
        cells = " | ".join(cell(name, sample, forms[title], usual) for title, sample in all_samples.items())
        lines.append(f"| {kind.title} | `{usual}` | `{kind.column}` | {cells} |")
    return "\n".join(lines)


def test_every_type_of_every_format_survives(world: World, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    all_samples = samples(tmp_path)
    worlds = {title: World(world.bootstrap, world.dsn, world.engine, partitions=1) for title in all_samples}
    pipelines = [pipeline(worlds[title], sample) for title, sample in all_samples.items()]
    for title, sample in all_samples.items():
        worlds[title].create_topic()
        worlds[title].produce([Record(value=sample.payload)])
    shared = {"engine": {"binary": str(world.engine)}, "server": {"port": 0}}
    with Ddpm({"app": shared, "pipelines": pipelines}, tmp_path) as running:
        running.wait_healthy()
        for each in worlds.values():
            each.wait_consumed()
        assert running.stop() == 0

    for title, sample in all_samples.items():
        assert not worlds[title].dead(), title
        (row,) = worlds[title].rows()
        for name in sample.kinds():
            wanted = sample.values.get(name, KINDS[name].value)
            # NaN is unequal to itself.
            assert row[name] == wanted or (wanted is NAN and math.isnan(row[name])), f"{name} of {title}"

    forms = {
        title: document_forms(sample, tmp_path / f"parse-{number}")
        for number, (title, sample) in enumerate(all_samples.items())
    }
    seen = table(all_samples, forms)
    before, _, rest = DOCS.read_text(encoding="utf-8").partition(f"{MARK}\n")
    written, _, after = rest.partition(f"\n{MARK}")
    if request.config.getoption("--update-docs"):
        DOCS.write_text(f"{before}{MARK}\n{seen}\n{MARK}{after}", encoding="utf-8")
    else:
        assert written == seen, "run pytest with --update-docs when the change is meant"


def pipeline(world: World, sample: Sample) -> dict[str, Any]:
    """One pipeline with a column for each kind of its format."""
    app = world.config()["app"]
    columns = {name: {"type": KINDS[name].column, "from": path} for name, path in sample.kinds().items()}
    return {
        "name": f"types-{world.tag}",
        "source": dict(sample.source),
        "kafka": app["kafka"],
        "dead_letter": app["dead_letter"],
        "postgres": app["postgres"] | {"columns": columns},
    }
