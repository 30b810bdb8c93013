"""The avro parser: container files of fastavro, single values by a schema file, and those of a schema registry."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from ddpm.engine.progress import Silent
from harness.audit import Outcome, Poison, Row, audit
from harness.formats import SAMPLES, Format, round_trip
from harness.process import Ddpm
from harness.registry import Registry
from harness.waiting import eventually
from harness.world import World

CODECS = ("null", "deflate", "snappy", "zstandard")
FILES = [(SAMPLES / f"orders_{codec}.avro").read_bytes() for codec in CODECS]
DATUM = (SAMPLES / "order.datum").read_bytes()
SCHEMA_ID = 7
COLUMNS = {
    "id": "bigint",
    "amount": "numeric(30,4)",
    "created_at": "timestamptz",
    "day": "date",
    "key": "uuid",
    "raw": "bytea",
    "note": "text",
    "lines": "jsonb",
}


def row(number: int) -> Row:
    return {
        "id": 2**63 - 1 - number,
        "amount": Decimal("-12345678901234567890.1234"),
        "created_at": datetime(2026, 11, 23, 4, 5, 6, 789123, UTC),
        "day": date(2026, 11, 23),
        "key": UUID("0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70"),
        "raw": b"\x00\xff",
        "note": None if number % 2 else "naïve",
        "lines": [{"sku": "x", "ratio": Decimal("0.1")}, {"sku": "y", "ratio": "NaN"}],
    }


def sections(**options: str) -> dict[str, object]:
    return {"source": {"parser": "avro", "options": options}, "postgres": {"columns": COLUMNS}}


def spread(values: list[bytes | None]) -> list[Record]:
    return [Record(value=value, partition=index % 3) for index, value in enumerate(values)]


def test_container_files(world: World, tmp_path: Path) -> None:
    poison = {FILES[1][:-20]: "not_avro", b"Obj\x01": "not_avro", DATUM: "not_avro", b"": "empty", None: "null_value"}

    def expected(record: RawRecord) -> list[Outcome] | Poison:
        return Poison(poison[record.value]) if record.value in poison else [row(number) for number in range(5)]

    books = round_trip(world, Format(sections(), spread([*FILES, *poison] * 10), expected), tmp_path)
    assert (books.rows, books.dead) == (10 * len(FILES) * 5, 10 * len(poison))


def test_single_values_by_a_schema_file(world: World, tmp_path: Path) -> None:
    poison = {DATUM[:-1]: "not_avro", DATUM + b"\x00": "not_avro", None: "null_value"}

    def expected(record: RawRecord) -> Row | Poison:
        return Poison(poison[record.value]) if record.value in poison else row(0)

    options = {"framing": "datum", "schema_file": str(SAMPLES / "order.avsc")}
    books = round_trip(world, Format(sections(**options), spread([DATUM, *poison] * 20), expected), tmp_path)
    assert (books.rows, books.dead) == (20, 20 * len(poison))


@contextmanager
def registry(port: int = 0, token: Callable[[], str] | None = None) -> Iterator[ThreadingHTTPServer]:
    """A server that speaks the part of the published registry API that readers use; `token` is what it asks for."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if token is not None and self.headers["Authorization"] != f"Bearer {token()}":
                self.send_response(401)
                self.end_headers()
                return
            known = self.path.split("?")[0] == f"/schemas/ids/{SCHEMA_ID}"
            schema = (SAMPLES / "order.avsc").read_text()
            body = {"schema": schema} if known else {"error_code": 40403, "message": "Schema not found"}
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_schema_registry_that_is_away_is_waited_for(world: World, tmp_path: Path) -> None:
    wire = b"\x00" + SCHEMA_ID.to_bytes(4, "big") + DATUM
    poison = {
        b"\x00\x00\x00\x00\x63" + DATUM: "unknown_schema",
        DATUM: "not_wire_format",
        wire[:-1]: "not_avro",
        None: "null_value",
    }

    def expected(record: RawRecord) -> Row | Poison:
        return Poison(poison[record.value]) if record.value in poison else row(0)

    with registry() as server:
        port = server.server_port
    world.create_topic()
    world.produce(spread([wire, *poison] * 20))
    password = "hunter2-of-the-registry"
    options = {"framing": "confluent", "registry": f"http://ddpm:{password}@127.0.0.1:{port}"}
    with Ddpm(world.config(**sections(**options)), tmp_path) as running:
        eventually(lambda: "waiting for the schema registry" in running.log, "it says what it waits for", 60)
        reason = "parser: the schema registry does not answer"
        eventually(lambda: reason in str(running.health()), "the health names it")
        assert running.health()[0] == 503
        assert world.count() == 0
        assert wire not in {letter.value for letter in world.dead()}, "an outage is nobody's poison"
        with registry(port):
            world.wait_consumed()
            running.wait_healthy()
        assert running.stop() == 0
        assert password not in running.log
        assert not [path for path in (tmp_path / ".ddpm").rglob("*") if path.is_file() and password in path.read_text()]
    books = audit(world, expected)
    assert (books.rows, books.dead) == (20, 20 * len(poison))


ORDER: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 4}},
        {"name": "created_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    ],
}
# A later version, which readers can tell from the first by its number alone.
ORDER_WITH_NOTE = {**ORDER, "fields": [*ORDER["fields"], {"name": "note", "type": "string", "default": ""}]}


def serialized(url: str, topic: str, schema: dict[str, Any], value: Row) -> bytes:
    """A value as the registry's own serializer writes it; it registers the schema."""
    with SchemaRegistryClient({"url": url}) as client:
        written = AvroSerializer(client, json.dumps(schema))(value, SerializationContext(topic, MessageField.VALUE))
    assert isinstance(written, bytes)
    return written


def test_values_of_a_real_registry_by_its_own_serializer(world: World, tmp_path: Path) -> None:
    plain = {name: row(0)[name] for name in ("id", "amount", "created_at")}
    noted = {**plain, "note": "näme"}
    with Registry(tmp_path / "registry", Silent()) as registry:
        values = {
            serialized(registry.url, world.topic, ORDER, plain): {**plain, "note": None},
            serialized(registry.url, world.topic, ORDER_WITH_NOTE, noted): noted,
        }
        unknown = b"\x00\x00\x00\x27\x0f" + next(iter(values))[5:]

        def expected(record: RawRecord) -> Row | Poison:
            return values.get(record.value or b"") or Poison("unknown_schema")

        source = {"parser": "avro", "options": {"framing": "confluent", "registry": registry.url}}
        chosen = {"source": source, "postgres": {"columns": {name: COLUMNS[name] for name in noted}}}
        books = round_trip(world, Format(chosen, spread([*values, unknown] * 20), expected), tmp_path)
    assert (books.rows, books.dead) == (40, 20)


def test_a_token_of_the_registry_that_is_rotated_is_taken_up(world: World, tmp_path: Path) -> None:
    tokens = ["first-token-0123", "second-token-0123"]
    file = tmp_path / "token"
    file.write_text(tokens[0])
    wire = b"\x00" + SCHEMA_ID.to_bytes(4, "big") + DATUM
    world.create_topic()
    with registry(token=lambda: tokens[0]) as server:
        options = {"framing": "confluent", "registry": f"http://127.0.0.1:{server.server_port}"}
        config = world.config(**sections(**options, registry_token=f"${{file:{file}}}"))
        with Ddpm(config, tmp_path) as running:
            world.produce(spread([wire] * 20))
            world.wait_consumed()
            engine = running.engine_pid
            former = tokens.pop(0)
            file.write_text(tokens[0])
            eventually(lambda: running.engine_pid not in (None, engine), "an engine with the new token is there", 30)
            running.wait_healthy()
            world.produce(spread([wire] * 20))
            world.wait_consumed()
            assert running.stop() == 0
    assert (world.count(), world.dead()) == (40, [])
    assert former not in running.log
    assert tokens[0] not in running.log


def test_a_stop_while_the_registry_is_away_loses_nothing(world: World, tmp_path: Path) -> None:
    with registry() as server:
        port = server.server_port
    world.create_topic()
    world.produce(spread([b"\x00" + SCHEMA_ID.to_bytes(4, "big") + DATUM] * 20))
    options = {"framing": "confluent", "registry": f"http://127.0.0.1:{port}"}
    config = world.config(**sections(**options), engine={"drain": "3s"})
    with Ddpm(config, tmp_path) as waiting:
        eventually(lambda: "waiting for the schema registry" in waiting.log, "it says what it waits for", 60)
        assert waiting.stop() == 0
    with registry(port), Ddpm(config, tmp_path) as running:
        world.wait_consumed()
        assert running.stop() == 0
    books = audit(world, lambda _: row(0))
    assert (books.rows, books.dead) == (20, 0)


def test_a_schema_that_cannot_be_used_is_answered_before_anything_is_made(world: World, tmp_path: Path) -> None:
    (tmp_path / "order.avsc").write_text('{"type": "recor"}')
    config = world.config(**sections(framing="datum", schema_file="order.avsc"))
    with Ddpm(config, tmp_path) as running:
        assert running.popen.wait(60) == 2
    assert 'order.avsc: the schema has no type "recor"' in running.log
    assert "engine started" not in running.log
