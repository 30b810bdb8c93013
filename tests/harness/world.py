"""A fresh topic, table, dead-letter topic and group on real servers, and the configuration that joins them."""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from ddpm.broker.dump import RawRecord, dump
from ddpm.broker.offsets import lag
from ddpm.broker.produce import Record, produce
from ddpm.broker.topics import TopicSpec, ensure_topics
from harness.waiting import eventually

# A healthy engine moves thousands of records a second; this only bounds a test that fails.
DELIVERY_TIMEOUT = 120.0
# So many copies have what is acknowledged, where there are more.
_ENOUGH_IN_STEP = 2


@dataclass(frozen=True)
class World:
    """Names and addresses of one test's own corner of the servers.

    `bootstrap` is the address of the broker, or the addresses of several with commas between them.
    """

    bootstrap: str
    dsn: str
    engine: Path
    partitions: int = 3
    replicas: int = 1
    tag: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @property
    def brokers(self) -> list[str]:
        return self.bootstrap.split(",")

    @property
    def topic(self) -> str:
        return f"events-{self.tag}"

    @property
    def dead_topic(self) -> str:
        return f"dead-{self.tag}"

    @property
    def table(self) -> str:
        return f"events_{self.tag}"

    @property
    def group(self) -> str:
        return f"group-{self.tag}"

    def config(self, **sections: Any) -> dict[str, Any]:
        """A configuration for this world; sections given are merged over it, one level deep."""
        app: dict[str, Any] = {
            "kafka": {
                "brokers": self.brokers,
                "topics": [self.topic],
                "consumer_group": self.group,
                "min_partitions": self.partitions,
                "replication_factor": self.replicas,
            },
            "postgres": {"url": self.dsn, "table": self.table},
            "dead_letter": {"topic": self.dead_topic},
            "engine": {"binary": str(self.engine)},
            "server": {"port": 0},
        }
        for name, section in sections.items():
            merges = isinstance(section, Mapping) and isinstance(app.get(name), Mapping)
            app[name] = app[name] | section if merges else section
        return {"app": app}

    def create_topic(self, **configs: str) -> None:
        if self.replicas > _ENOUGH_IN_STEP:
            configs = {"min.insync.replicas": str(_ENOUGH_IN_STEP), **configs}
        ensure_topics(self.brokers, [TopicSpec(self.topic, self.partitions, self.replicas, configs)])

    def produce(self, records: Iterable[Record]) -> int:
        """Produce into the topic and return how many the broker acknowledged."""
        return produce(self.brokers, self.topic, records, timeout=DELIVERY_TIMEOUT)

    def raw(self) -> list[RawRecord]:
        """Everything in the topic, as it was produced."""
        return list(dump(self.brokers, [self.topic]))

    def dead(self) -> list[RawRecord]:
        """Everything in the dead-letter topic."""
        return list(dump(self.brokers, [self.dead_topic]))

    def rows(self, columns: str = "*", table: str | None = None) -> list[dict[str, Any]]:
        """All rows of the table, or of another one."""
        with psycopg.connect(self.dsn, row_factory=dict_row) as connection:
            # Numbers as they stand in the document, so that the auditor compares every digit.
            set_json_loads(partial(json.loads, parse_float=Decimal), connection)
            return connection.execute(f'select {columns} from "{table or self.table}"').fetchall()

    def count(self) -> int:
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute(f'select count(*) from "{self.table}"').fetchone()
            assert row is not None
            return int(row[0])

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def lag(self, sink: str = "") -> int:
        """Records that the group has not committed yet, or that of a sink, `.kafka`."""
        return sum(behind.offsets for behind in lag(self.brokers, self.group + sink, [self.topic]).values())

    def wait_consumed(self, *sinks: str, timeout: float = DELIVERY_TIMEOUT) -> None:
        """Wait until every record is in the table or dead and its offset committed, or in these sinks."""
        for sink in [f".{name}" for name in sinks] or [""]:
            eventually(partial(self._has_all, sink), f"lag{sink} returns to 0", timeout)

    def _has_all(self, sink: str) -> bool:
        return self.lag(sink) == 0


def json_records(documents: Sequence[Any], partitions: int = 3) -> list[Record]:
    """Documents as records, spread evenly over the partitions."""
    return [
        Record(value=json.dumps(document).encode(), key=str(index).encode(), partition=index % partitions)
        for index, document in enumerate(documents)
    ]
