"""The version of the tables that ddpm keeps for itself, and the one door to them. Knows nothing of what is in them.

One row in the table `ddpm_schema` beside them holds for all of them in that schema: the numbers of sources, replays,
dead letters, and the identity columns of rows. Tables without it are those of version 1, which is older than the
row. A newer ddpm brings older tables up to its own version, step by step; an older one leaves newer ones alone.
"""

from collections.abc import Sequence

from psycopg import errors, sql

from ddpm import __version__
from ddpm.errors import NewerStateError, SchemaMismatchError
from ddpm.store import queries
from ddpm.store.connection import Connection

TABLE = "ddpm_schema"

# What makes version 2 of version 1, and so on, with `{schema}` for the schema that the tables stand in.
MIGRATIONS: Sequence[sql.SQL] = ()


def own_table(connection: Connection, schema: str | None, name: str) -> sql.Identifier | None:
    """One of ddpm's own tables, if it is there, in `schema` or else in the first one of the search path.

    Raises:
        NewerStateError: A newer ddpm has changed the tables there.

    """
    check(connection, schema)
    row = connection.execute(queries.TABLE, {"schema": schema, "name": name}).fetchone()
    return sql.Identifier(row[1], name) if row else None


def check(connection: Connection, schema: str | None, migrations: Sequence[sql.SQL] = MIGRATIONS) -> int | None:
    """Return the version of the tables in `schema`, None where none stands; changes nothing.

    Raises:
        NewerStateError: It is one that this ddpm does not know.
        SchemaMismatchError: A table of that name is something else.

    """
    row = connection.execute(queries.TABLE, {"schema": schema, "name": TABLE}).fetchone()
    if row is None:
        return None
    found_in, newest = row[1], 1 + len(migrations)
    try:
        stands = connection.execute(queries.VERSION.format(table=sql.Identifier(found_in, TABLE))).fetchone()
    except (errors.UndefinedColumn, errors.WrongObjectType) as error:
        raise _not_ours(found_in) from error
    if stands is None:
        return None
    version, writer = stands
    if not isinstance(version, int):
        raise _not_ours(found_in)
    if version > newest:
        what = f"what ddpm keeps in the schema {found_in} of the database {connection.info.dbname}"
        raise NewerStateError(what, version, newest, str(writer))
    return version


def bring_up(connection: Connection, schema: str, migrations: Sequence[sql.SQL] = MIGRATIONS) -> None:
    """Bring the tables in `schema` up to this ddpm's version, and note it; the caller holds the lock.

    Where ddpm may make no tables, tables of version 1 stay without the note: they count as such.

    Raises:
        NewerStateError, SchemaMismatchError: As `check` does.

    """
    found, newest = check(connection, schema, migrations), 1 + len(migrations)
    if found == newest:
        return
    table = sql.Identifier(schema, TABLE)
    if found is None:
        row = connection.execute(queries.SCHEMA, {"schema": schema}).fetchone()
        if newest == 1 and not (row and row[2]):
            return
        for statement in (queries.CREATE_VERSION, queries.COMMENT_VERSION, queries.SHOW_VERSION):
            connection.execute(statement.format(table=table))
    for step in migrations[(found or 1) - 1 :]:
        connection.execute(step.format(schema=sql.Identifier(schema)))
    connection.execute(queries.NOTE_VERSION.format(table=table), {"version": newest, "ddpm": __version__})


def _not_ours(schema: str) -> SchemaMismatchError:
    msg = f"the table {schema}.{TABLE} is not the one in which ddpm notes the version of its tables"
    return SchemaMismatchError(msg, hint=f"rename it; ddpm needs the name {TABLE} for itself")
