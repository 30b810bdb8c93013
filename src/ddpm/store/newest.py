"""The newest rows of a pipeline's table, found by its primary key and without reading the whole. Reads only."""

from dataclasses import dataclass

from psycopg import sql

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
    schema, _, name = table.rpartition(".")
    with connect(url) as connection:
        connection.execute("SET TRANSACTION READ ONLY")
        connection.execute("SELECT set_config('statement_timeout', %s, true)", [PATIENCE])
        target = found_table(connection, schema or None, name)
        return None if target is None else _read(connection, target, count, longest)


def _read(connection: Connection, target: sql.Identifier, count: int, longest: int) -> Newest:
    columns = tuple(each.name for each in connection.execute(queries.COLUMNS_OF.format(table=target)).description or ())
    text = "CASE WHEN length({0}::text) > {1} THEN left({0}::text, {1}) || '…' ELSE {0}::text END"
    texts = sql.SQL(", ").join(sql.SQL(text).format(_part("whole", name), sql.Literal(longest)) for name in columns)
    # A table whose records have many documents has their number in the key, too.
    places = ("offset", "index") if "index" in columns else ("offset",)
    last, behind = (
        sql.SQL(", ").join(sql.SQL("{} DESC").format(_part(row, name)) for name in places)
        for row in ("ddpm_row", "newest.whole")
    )
    query = queries.NEWEST_ROWS.format(table=target, columns=texts, last=last, behind=behind)
    found = connection.execute(query, {"count": count}).fetchall()
    return Newest(columns, tuple(row[1:] for row in found), tuple(row[0] for row in found))


def _part(row: str, column: str) -> sql.Composed:
    name = sql.SQL(".").join(map(sql.Identifier, row.split(".")))
    return sql.SQL("({}).{}").format(name, sql.Identifier(column))
