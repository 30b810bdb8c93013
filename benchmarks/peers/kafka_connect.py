"""Kafka Connect with Debezium's JDBC sink, as fast as it goes here.

One worker with as many tasks as partitions, rows under their Kafka coordinates by upsert (its own way to change nothing
on redelivery), inserts of many rows by the driver, JSON without schemas in the records. The connector's own UNNEST
fails with Kafka's coordinates as the key (3.6.0: a NullPointerException in UnnestRecordWriter).
"""

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from benchmarks.peers.peer import SameTable
from benchmarks.records import DIRECT, Load, Workload
from benchmarks.rig import Client, Names, Servers, console, progress, running
from ddpm.devstack.jars import Jar, fetch, parse_lock
from ddpm.devstack.java import find_java
from ddpm.devstack.ports import free_ports
from ddpm.engine.cache import cache_dir, make_once

LOCK = Path(__file__).with_name("connect.lock")


@dataclass(frozen=True)
class Plugin(Jar):
    """A connector with all that it needs, as Maven has it for Connect."""

    @property
    def name(self) -> str:
        """The name of its archive."""
        return f"{self.artifact}-{self.version}-plugin.tar.gz"


DEBEZIUM = Plugin(
    "io.debezium",
    "debezium-connector-jdbc",
    "3.6.0.Final",
    "c23af8d416f0f801ffb0271b1a8fd9b5360ff8d66b0dd650e066bb56ecfddc05",
    57_974_346,
)
# Connect's own start script allows 2 GB; nothing here needs more than half of that.
JVM = ("-Xms256m", "-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
BATCH = 4_000
# The worker stays when its tasks are gone.
TASK_DIED = "uncaught and unrecoverable exception"
SCHEMA = {
    "type": "struct",
    "optional": False,
    "fields": [
        {"field": "id", "type": "string"},
        {"field": "created_at", "type": "string"},
        {"field": "customer", "type": "int64"},
        {"field": "amount", "type": "double"},
        {"field": "paid", "type": "boolean"},
        {
            "field": "address",
            "type": "struct",
            "fields": [{"field": "city", "type": "string"}, {"field": "country", "type": "string"}],
        },
        {"field": "note", "type": "string"},
    ],
}


class KafkaConnect(SameTable):
    """A standalone worker."""

    name = "connect"
    title = "Kafka Connect, Debezium JDBC sink"

    def __init__(self) -> None:
        self._java = self._home = Path()

    def prepare(self) -> None:
        """Fetch Java, Connect and the connector, each checked against its hash."""
        self._java = find_java(progress)
        text = LOCK.read_text(encoding="utf-8")
        key = hashlib.sha256(f"{text}{DEBEZIUM.sha256}".encode()).hexdigest()[:16]
        self._home = make_once(cache_dir() / "kafka-connect" / key, lambda part: _install(parse_lock(text), part))

    def create_table(self, of: Servers, load: Load, names: Names) -> None:
        """The workload's columns under the names and the key that the connector has for coordinates."""
        assert load.workload.columns is DIRECT.columns, "the schema is written for orders"
        with of.connect() as connection:
            connection.execute(
                f"create table {names.table} ("
                "__connect_topic text, __connect_partition integer, __connect_offset bigint, "
                "id text, created_at timestamptz, customer bigint, amount numeric(12,2), paid boolean, "
                "address_city text, address_country text, note text, "
                "primary key (__connect_topic, __connect_partition, __connect_offset))"
            )

    def compared(self, workload: Workload) -> Sequence[str]:
        """The columns, two of which are named by where they stood."""
        return [f"address_{name}" if name in ("city", "country") else name for name in workload.compared]

    def group(self, names: Names) -> str:
        """Connect names the group by the connector."""
        return f"connect-{names.group}"

    @contextmanager
    def started(self, of: Servers, load: Load, names: Names, folder: Path) -> Iterator[Client]:
        """One worker; its REST port is its own affair."""
        (port,) = free_ports(1)
        worker = _properties(folder / "worker.properties", _worker(of, self._home, folder, port))
        sink = _properties(folder / "sink.properties", _sink(of, load, names))
        classpath = f"{self._home / 'libs'}/*"
        command = [str(self._java), *JVM, "-cp", classpath, "org.apache.kafka.connect.cli.ConnectStandalone"]
        with running([*command, str(worker), str(sink)], folder / "connect.log", broken=TASK_DIED) as client:
            yield client


def _install(jars: tuple[Jar, ...], folder: Path) -> None:
    console.print("Kafka Connect and Debezium: fetched once")
    libs, plugins = folder / "libs", folder / "plugins"
    libs.mkdir()
    plugins.mkdir()
    fetch(jars, libs, progress, whose="Kafka Connect")
    fetch((DEBEZIUM,), folder, progress, whose="Debezium")
    archive = folder / DEBEZIUM.name
    with tarfile.open(archive) as packed:
        packed.extractall(plugins, filter="data")
    archive.unlink()


def _worker(of: Servers, home: Path, folder: Path, port: int) -> Mapping[str, object]:
    return {
        "bootstrap.servers": of.kafka.bootstrap,
        "listeners": f"http://127.0.0.1:{port}",
        "plugin.path": home / "plugins",
        "plugin.discovery": "service_load",
        "offset.storage.file.filename": folder / "offsets",
        "offset.flush.interval.ms": 5_000,
        "key.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "true",
        "value.converter.schema.content": json.dumps(SCHEMA),
        "consumer.max.poll.records": BATCH,
        "consumer.auto.offset.reset": "earliest",
    }


def _sink(of: Servers, load: Load, names: Names) -> Mapping[str, object]:
    address = urlsplit(of.postgres.dsn)
    # Texts find their type in the table, as they do for everybody else.
    options = "sslmode=disable&stringtype=unspecified&reWriteBatchedInserts=true"
    return {
        "name": names.group,
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": load.workload.partitions,
        "topics": load.topic,
        "connection.url": f"jdbc:postgresql://{address.hostname}:{address.port}{address.path}?{options}",
        "connection.username": unquote(address.username or ""),
        "connection.password": unquote(address.password or ""),
        "collection.name.format": names.table,
        "insert.mode": "upsert",
        "primary.key.mode": "kafka",
        "schema.evolution": "none",
        "batch.size": BATCH,
        "transforms": "flat",
        "transforms.flat.type": "org.apache.kafka.connect.transforms.Flatten$Value",
        "transforms.flat.delimiter": "_",
    }


def _properties(path: Path, settings: Mapping[str, object]) -> Path:
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    return path
