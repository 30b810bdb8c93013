"""Which rows a record of a topic has become, and where the rows of a source begin. Reads only."""

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql
from psycopg.rows import dict_row

from ddpm.config.names import split_table
from ddpm.store import queries
from ddpm.store.connection import Connection, connect
from ddpm.store.sources import TABLE, Incarnation, forks_of, number_of
from ddpm.store.version import own_table


@dataclass(frozen=True, slots=True)
class Row:
    """A row, with the identity by which it was found.

    Attributes:
        source: The number of the topic's incarnation that it came from.
        present: Whether that is the incarnation that the topic has now.
        columns: Everything in it as Postgres prints it, the identity too; None for null.

    """

    source: int
    present: bool
    columns: dict[str, str | None]


def rows_of(url: str, table: str, incarnation: Incarnation, partition: int, offset: int) -> list[Row]:
    """Return the rows that came from a place of a topic, of all of its incarnations, the present one first.

    Args:
        url: The database.
        table: The table, `name` or `schema.name`.
        incarnation: The topic as it is now.
        partition: The partition's number.
        offset: The record's offset.

    Raises:
        ServiceError: The database cannot be reached, or does not let ddpm read.
        NewerStateError: A newer ddpm has changed the tables.

    """
    schema, name = split_table(table)
    with connect(url) as connection:
        target = found_table(connection, schema, name)
        sources = own_table(connection, schema, TABLE)
        if target is None or sources is None:
            return []
        parameters = {"cluster_id": incarnation.cluster_id, "topic": incarnation.topic}
        numbers = connection.execute(queries.SOURCES_OF_TOPIC.format(table=sources), parameters).fetchall()
        base = next((number for number, topic_id in numbers if (topic_id or None) == incarnation.topic_id), 0)
        known = forks_of(connection, sources, incarnation)
        present = number_of(base, known, incarnation.topic, partition, offset)
        return [
            Row(number, number == present, row)
            for number, _ in sorted(numbers, key=lambda each: (each[0] == present, each[0]), reverse=True)
            for row in _rows(connection, target, {"source": number, "partition": partition, "offset": offset})
        ]


def first_offsets(url: str, schema: str, table: str, places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Return the lowest offset that a table has of each source number and partition; without those it has no row of.

    Raises:
        ServiceError: The database cannot be reached, or does not let ddpm read.

    """
    statement = queries.FIRST_OFFSET_OF.format(table=sql.Identifier(schema, table))
    found: dict[tuple[int, int], int] = {}
    with connect(url) as connection:
        for source, partition in places:
            row = connection.execute(statement, {"source": source, "partition": partition}).fetchone()
            if row and row[0] is not None:
                found[source, partition] = int(row[0])
    return found


def _rows(connection: Connection, target: sql.Identifier, identity: dict[str, int]) -> list[dict[str, str | None]]:
    columns = connection.execute(queries.COLUMNS_OF.format(table=target)).description or ()
    query = queries.ROWS_OF.format(
        table=target,
        columns=sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column.name)) for column in columns),
    )
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, identity).fetchall()


def found_table(connection: Connection, schema: str | None, name: str) -> sql.Identifier | None:
    """A table by its whole name; None when there is none. Without a schema, the one that the connection begins with."""
    row = connection.execute(queries.TABLE, {"schema": schema, "name": name}).fetchone()
    return sql.Identifier(row[1], name) if row else None
