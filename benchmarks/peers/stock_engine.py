"""The engine with stock components alone: a configuration as people write it by hand, and one tuned for throughput."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.peer import SameTable
from benchmarks.records import DIRECT, Load, Workload
from benchmarks.rig import Client, Names, Servers, console, progress, running
from ddpm.engine import binary

HERE = Path(__file__).parent
# Stock SQL and Kafka components, whatever ddpm's own engine has.
TAGS = ("stocksql",)


class StockInsert(SameTable):
    """stock_insert.yaml: the same table with the same key, rows by 4,000, four inserts at once."""

    name = "stock"
    title = "stock sql_insert, tuned"
    file = HERE / "stock_insert.yaml"

    def __init__(self) -> None:
        self._engine = Path()

    def prepare(self) -> None:
        """Have an engine with the stock components built."""
        console.print("the engine with stock components: built if it is not there")
        self._engine = binary.install(progress, tags=TAGS)

    @contextmanager
    def started(self, of: Servers, load: Load, names: Names, folder: Path) -> Iterator[Client]:
        """The engine alone."""
        env = {
            "BENCH_PORT": str(_free_port()),
            "BENCH_BROKER": of.kafka.bootstrap,
            "BENCH_TOPIC": load.topic,
            "BENCH_GROUP": names.group,
            "BENCH_DSN": of.postgres.dsn,
            "BENCH_TABLE": names.table,
        }
        with running([str(self._engine), "-c", str(self.file)], folder / "engine.log", env) as client:
            yield client


class Handwritten(StockInsert):
    """handwritten.yaml: deduplicated by the document's key, a document table, inserts of 100."""

    name = "handwritten"
    title = "hand-written engine configuration"
    file = HERE / "handwritten.yaml"

    def create_table(self, of: Servers, load: Load, names: Names) -> None:
        """A table as its author would have it."""
        with of.connect() as connection:
            connection.execute(f"create table {names.table} (id text primary key, created_at timestamptz, data jsonb)")

    def compared(self, workload: Workload) -> Sequence[str]:
        """The columns of the workload `direct`, out of the documents."""
        assert workload.columns is DIRECT.columns, "the file is written for orders"
        return (
            "id",
            "created_at",
            "(data->>'customer')::bigint",
            "(data->>'amount')::numeric(12,2)",
            "(data->>'paid')::boolean",
            "data->'address'->>'city'",
            "data->'address'->>'country'",
            "data->>'note'",
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
