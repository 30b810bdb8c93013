"""Gives every incarnation of a topic a number of its own, which rows carry in their column `source`.

The numbers stand in a small table beside the data, so they stay true to the rows whatever happens to ddpm.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from psycopg import errors, sql

from ddpm.errors import SchemaMismatchError
from ddpm.store import queries
from ddpm.store.connection import Connection, connect
from ddpm.store.tables import schema_for_new_table
from ddpm.store.version import bring_up, own_table

TABLE = "ddpm_sources"


class Incarnation(Protocol):
    """One life of a topic, as the broker knows it; `topic_id` is None where it has no ids."""

    @property
    def cluster_id(self) -> str:
        """The id of the cluster."""

    @property
    def topic(self) -> str:
        """The name of the topic."""

    @property
    def topic_id(self) -> str | None:
        """The id that the cluster gave to this life of the topic."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The number of each topic's present incarnation, by topic, and what a person should know."""

    numbers: Mapping[str, int]
    warnings: tuple[str, ...] = ()


def ensure_sources(url: str, incarnations: Mapping[str, Incarnation], schema: str | None = None) -> Sources:
    """Return the numbers of `incarnations`, and give one to each that has none yet.

    Args:
        url: The database.
        incarnations: By topic.
        schema: Where the table of pipelines stands, and so that of the numbers; None for the first
            one of the search path.

    Raises:
        SchemaMismatchError: A table of that name is something else.
        MismatchError: The schema does not exist.
        ServiceError: The database cannot be reached, is read-only, or ddpm lacks a right.
        NewerStateError: A newer ddpm has changed the tables.

    """
    try:
        with connect(url) as connection:
            connection.execute(queries.LOCK)
            table = _table(connection, url, schema)
            numbers = {name: _number(connection, table, each) for name, each in sorted(incarnations.items())}
    except _NotOurs as error:
        raise _not_ours(error.args[0], error.__cause__) from error
    nameless = sorted(name for name, each in incarnations.items() if each.topic_id is None)
    warnings = tuple(
        f"the broker gives no id for topic {name}: if it is deleted and made again, ddpm takes its new records for old "
        "ones and does not write them"
        for name in nameless
    )
    return Sources(numbers, warnings)


def remade(url: str, incarnations: Mapping[str, Incarnation], schema: str | None = None) -> frozenset[str]:
    """Return which topics have a number for an earlier incarnation and none for the present one; changes nothing.

    Raises as `ensure_sources` does.
    """
    with connect(url) as connection:
        table = own_table(connection, schema, TABLE)
        if table is None:
            return frozenset()
        try:
            return frozenset(name for name, each in incarnations.items() if _is_another(connection, table, each))
        except (errors.UndefinedColumn, errors.WrongObjectType) as error:
            raise _not_ours(table.as_string(None), error) from error


def _is_another(connection: Connection, table: sql.Identifier, incarnation: Incarnation) -> bool:
    def there(statement: sql.SQL) -> bool:
        return connection.execute(statement.format(table=table), _parameters(incarnation)).fetchone() is not None

    return there(queries.KNOWN_TOPIC) and not there(queries.FIND_SOURCE)


def _not_ours(table: str, cause: object) -> SchemaMismatchError:
    msg = f"the table {table} is not the one that ddpm keeps its sources in: {cause}"
    return SchemaMismatchError(msg, hint=f"rename it; ddpm needs the name {TABLE} for itself")


def known_sources(url: str, incarnations: Mapping[str, Incarnation], schema: str | None = None) -> dict[str, int]:
    """Return the numbers of those of `incarnations` that have one, by topic; none is given. Raises ServiceError."""
    with connect(url) as connection:
        table = own_table(connection, schema, TABLE)
        if table is None:
            return {}
        statement = queries.FIND_SOURCE.format(table=table)
        rows = {
            name: connection.execute(statement, _parameters(each)).fetchone() for name, each in incarnations.items()
        }
    return {name: int(row[0]) for name, row in rows.items() if row}


@dataclass(frozen=True, slots=True)
class Fork:
    """Where a partition has another log than before, and the number of its records from there on.

    `seen_at` is when it was noticed, in seconds since 1970.
    """

    topic: str
    partition: int
    first: int
    number: int
    seen_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Parting:
    """A partition's log that is another one from `first` on; `known_at` is when it was last seen to be the old one."""

    partition: int
    first: int
    known_at: float


def forks(url: str, incarnations: Mapping[str, Incarnation], schema: str | None = None) -> tuple[Fork, ...]:
    """Return all forks of the present lives of topics, the latest last. Raises ServiceError."""
    with connect(url) as connection:
        table = own_table(connection, schema, TABLE)
        if table is None:
            return ()
        found = [fork for each in incarnations.values() for fork in forks_of(connection, table, each)]
    return tuple(sorted(found, key=lambda fork: fork.number))


def add_forks(url: str, incarnation: Incarnation, partings: Sequence[Parting], schema: str | None = None) -> bool:
    """Give a number to the records of partitions of a topic from some offsets on; returns whether any is new.

    A parting that was noticed by another ddpm since it was last known to be the old log has one already.

    Raises:
        ServiceError: The database cannot be reached, is read-only, or ddpm lacks a right.

    """
    with connect(url) as connection:
        connection.execute(queries.LOCK)
        table = _table(connection, url, schema)
        known, added = forks_of(connection, table, incarnation), False
        for parting in partings:
            mine = [fork for fork in known if fork.partition == parting.partition]
            if any(fork.seen_at > parting.known_at for fork in mine):
                continue
            name = f"{incarnation.topic_id or ''}/{parting.partition}@{parting.first}"
            again = sum(fork.first == parting.first for fork in mine)
            parameters = _parameters(incarnation) | {"topic_id": f"{name}#{again + 1}" if again else name}
            connection.execute(queries.ADD_SOURCE.format(table=table), parameters)
            added = True
    return added


def number_of(base: int, forks: Iterable[Fork], topic: str, partition: int, offset: int) -> int:
    """Return the number of a record: that of the latest fork at or before its offset, or its topic's."""
    numbers = [
        fork.number for fork in forks if (fork.topic, fork.partition) == (topic, partition) and fork.first <= offset
    ]
    return max(numbers, default=base)


def forks_of(connection: Connection, table: sql.Identifier, incarnation: Incarnation) -> list[Fork]:
    """Return the forks of one life of a topic, the latest last."""
    parameters = _parameters(incarnation) | {"topic_id": incarnation.topic_id or ""}
    found = []
    for number, name, seen_at in connection.execute(queries.FORKS.format(table=table), parameters):
        partition, _, first = str(name).partition("@")
        found.append(Fork(incarnation.topic, int(partition), int(first.partition("#")[0]), int(number), float(seen_at)))
    return found


class _NotOurs(Exception):  # noqa: N818 -- never leaves this module
    """The table has other columns than ours; its cause says which."""


def _table(connection: Connection, url: str, schema: str | None) -> sql.Identifier:
    found = connection.execute(queries.TABLE, {"schema": schema, "name": TABLE}).fetchone()
    if found:
        bring_up(connection, found[1])
        return sql.Identifier(found[1], TABLE)
    place = schema_for_new_table(connection, schema, connection.info.user, TABLE, url)
    bring_up(connection, place)
    table = sql.Identifier(place, TABLE)
    for statement in (queries.CREATE_SOURCES, queries.INDEX_SOURCES, queries.COMMENT_SOURCES):
        connection.execute(statement.format(table=table))
    return table


def _parameters(incarnation: Incarnation) -> dict[str, Any]:
    return {
        "cluster_id": incarnation.cluster_id,
        "topic": incarnation.topic,
        "topic_id": incarnation.topic_id,
    }


def _number(connection: Connection, table: sql.Identifier, incarnation: Incarnation) -> int:
    parameters = _parameters(incarnation)
    try:
        for statement in (queries.FIND_SOURCE, queries.ADD_SOURCE):
            row = connection.execute(statement.format(table=table), parameters).fetchone()
            if row:
                return int(row[0])
    except (errors.UndefinedColumn, errors.WrongObjectType) as error:
        raise _NotOurs(table.as_string(None)) from error
    raise _NotOurs(table.as_string(None))
