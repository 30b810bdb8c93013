"""Keeps the monthly partitions of a table: makes those that are due, and drops those that are over.

A month is made with the rows that stand in the default partition for it, in one transaction; what nobody may lose is
never taken out of the default partition otherwise. Partitions that a person made are left alone.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from ddpm.errors import MismatchError
from ddpm.store import queries
from ddpm.store.connection import Connection, connect, where
from ddpm.store.months import Month, Partition, Span, default_name, partition_name
from ddpm.store.tables import TableSpec


@dataclass(frozen=True, slots=True)
class Made:
    """A partition that was made, and how many rows came into it from the default one."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """A partition that was dropped with its rows, because its month was over."""

    name: str


def maintain(url: str, spec: TableSpec, span: Span, now: float | None = None) -> Iterator[Made | Dropped]:
    """Make the default partition and the months that are missing, then drop those that are over.

    Yields each change when it is done; each is a transaction of its own. Waits three seconds for what holds the table.

    Args:
        url: The database.
        spec: The table, which is partitioned by ranges of `spec.partitioned_by`.
        span: Which months there should be.
        now: Seconds since 1970; None takes the server's clock, or this machine's if that is behind.

    Raises:
        ServiceError: The database cannot be reached, something holds the table, or ddpm does not own it.
        MismatchError: The table is missing, or another one has the name of a partition.

    """
    with _table(url, spec) as table:
        found = table.partitions()
        present = Month.at(now if now is not None else _earlier_clock(table.connection))
    if not any(each.default for each in found):
        _make_default(url, spec)
    for month in span.missing(found, present):
        made = _make(url, spec, month)
        if made is not None:
            yield made
    for partition in span.over(found, spec.name, present):
        if _drop(url, spec, partition):
            yield Dropped(partition.name)


@dataclass(frozen=True, slots=True)
class _Table:
    """A table within a transaction of its own."""

    connection: Connection
    database: str
    oid: int
    schema: str
    name: str

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    def execute(self, statement: sql.SQL, **names: sql.Composable) -> int:
        return self.connection.execute(statement.format(table=self.identifier, **names)).rowcount

    def partitions(self) -> list[Partition]:
        return [_partition(row) for row in self.connection.execute(queries.PARTITIONS, {"table": self.oid})]

    def columns(self) -> sql.Composed:
        """Those that can be given a value."""
        rows = self.connection.execute(queries.COLUMNS, {"table": self.oid})
        return sql.SQL(", ").join(sql.Identifier(row[0]) for row in rows if row[4] != "expression")

    def free(self, name: str) -> sql.Identifier:
        """A name beside the table that nothing has yet."""
        if self.connection.execute(queries.TABLE, {"schema": self.schema, "name": name}).fetchone():
            msg = f"{self.schema}.{name} in {self.database} has the name of a partition that is missing, and is none"
            raise MismatchError(msg, hint=f"rename it, or attach it to {self.schema}.{self.name}")
        return sql.Identifier(self.schema, name)


@contextmanager
def _table(url: str, spec: TableSpec) -> Iterator[_Table]:
    with connect(url) as connection:
        connection.execute(queries.FOR_PARTITIONS)
        row = connection.execute(queries.TABLE, {"schema": spec.schema, "name": spec.name}).fetchone()
        if row is None:
            raise MismatchError(f"there is no table {spec} in {where(url)}", hint="`ddpm run` makes it")
        yield _Table(connection, where(url), int(row[0]), str(row[1]), spec.name)


def _earlier_clock(connection: Connection) -> float:
    # A clock that runs far ahead would take every month for over.
    row = connection.execute(queries.CLOCK).fetchone()
    return min(time.time(), row[0]) if row else time.time()


def _partition(row: tuple[Any, ...]) -> Partition:
    schema, name, default, lower, upper = row
    bounds = {key: value for key, value in (("lower", lower), ("upper", upper)) if value is not None}
    return Partition(schema, name, default, **bounds)


def _make_default(url: str, spec: TableSpec) -> None:
    with _table(url, spec) as table:
        table.execute(queries.LOCK_PARENT)
        if not any(each.default for each in table.partitions()):
            table.execute(queries.CREATE_DEFAULT, partition=table.free(default_name(spec.name)))


def _make(url: str, spec: TableSpec, month: Month) -> Made | None:
    with _table(url, spec) as table:
        table.execute(queries.LOCK_PARTITIONING)
        found = table.partitions()
        if any(each.overlaps(month) for each in found):
            return None
        name = partition_name(spec.name, month)
        bounds = {"lower": sql.Literal(month.text), "upper": sql.Literal(month.plus(1).text)}
        target: dict[str, sql.Composable] = {"partition": table.free(name), **bounds}
        table.execute(queries.CREATE_LIKE, **target)
        columns, by = table.columns(), sql.Identifier(str(spec.partitioned_by))
        moved = 0
        for default in (sql.Identifier(each.schema, each.name) for each in found if each.default):
            # As attaching does; a weaker lock that is made stronger later could cross somebody else's.
            table.execute(queries.LOCK_DEFAULT, default=default)
            moved += table.execute(queries.MOVE, default=default, column=by, columns=columns, **target)
        table.execute(queries.ATTACH, **target)
        return Made(name, moved)


def _drop(url: str, spec: TableSpec, partition: Partition) -> bool:
    with _table(url, spec) as table:
        table.execute(queries.LOCK_PARENT)
        if partition not in table.partitions():
            return False
        table.execute(queries.DROP, partition=sql.Identifier(partition.schema, partition.name))
        return True
