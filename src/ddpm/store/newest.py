"""The newest rows of a pipeline's table, found by its primary key and without reading the whole. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from ddpm.config.names import split_table
from ddpm.store import queries
from ddpm.store.connection import Connection, connect
from ddpm.store.trace import found_table

PATIENCE = "10s"


@dataclass(frozen=True, slots=True)
class Newest:
    """Rows, the newest first: the names of the columns and their values as Postgres prints them, None for null.

    A value that is longer than asked for is cut, with … at its end. `documents` are the same rows whole, as JSON.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    documents: tuple[str, ...]


def newest_rows(url: str, table: str, count: int, longest: int) -> Newest | None:
    """Return the newest rows of a table with ddpm's identity; None when there is no such table.

    New is what was written last; of what was written together, what stood last in its partition.

    Args:
        url: The database.
        table: The table, `name` or `schema.name`.
        count: How many rows.
        longest: How many characters of a value are returned.

    Raises:
        ServiceError: The database cannot be reached, does not let ddpm read, or takes more than `PATIENCE`.
        ConfigError: The table is not one of ddpm's: it lacks the columns of the identity.

    """
    schema, name = split_table(table)
    with connect(url) as connection:
        connection.execute("SET TRANSACTION READ ONLY")
        connection.execute("SELECT set_config('statement_timeout', %s, true)", [PATIENCE])
        target = found_table(connection, schema, name)
        return None if target is None else _read(connection, target, count, longest)


def _read(connection: Connection, target: sql.Identifier, count: int, longest: int) -> Newest:
    columns = tuple(each.name for each in connection.execute(queries.COLUMNS_OF.format(table=target)).description or ())
    # One character more says that there are more; the mark of it is not in every database's encoding.
    text = sql.SQL("left({}::text, {})")
    texts = sql.SQL(", ").join(text.format(_part("whole", name), sql.Literal(longest + 1)) for name in columns)
    # A table whose records have many documents has their number in the key, too.
    places = ("offset", "index") if "index" in columns else ("offset",)
    last, behind = (
        sql.SQL(", ").join(sql.SQL("{} DESC").format(_part(row, name)) for name in places)
        for row in ("ddpm_row", "newest.whole")
    )
    query = queries.NEWEST_ROWS.format(table=target, columns=texts, last=last, behind=behind)
    found = connection.execute(query, {"count": count}).fetchall()
    return Newest(columns, tuple(_cut(row[1:], longest) for row in found), tuple(row[0] for row in found))


def _cut(row: Sequence[str | None], longest: int) -> tuple[str | None, ...]:
    return tuple(f"{value[:longest]}…" if value and len(value) > longest else value for value in row)


def _part(row: str, column: str) -> sql.Composed:
    name = sql.SQL(".").join(map(sql.Identifier, row.split(".")))
    return sql.SQL("({}).{}").format(name, sql.Identifier(column))
