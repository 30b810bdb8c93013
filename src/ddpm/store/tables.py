"""Makes the table of a pipeline exist, or says exactly why the one that is there cannot be used. Writes no rows.

An existing table is changed only as far as `TableSpec.evolve` allows: what would have to be changed besides is said in
statements that its owner can run.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql

from ddpm.config.model import Evolve
from ddpm.config.names import join_table
from ddpm.config.pgtypes import near
from ddpm.errors import MismatchError, ServiceError
from ddpm.store import queries
from ddpm.store.checkup import ALL_MODES, holders
from ddpm.store.connection import Connection, connect, where
from ddpm.store.evolution import changes, kept_wide
from ddpm.store.evolving import Evolution, TableHeldError, carry_out, examined, hold
from ddpm.store.schema import Column, FoundColumn, FoundTable, Key, compare, identity_columns, with_identity
from ddpm.store.version import check

# How long a table that others work with is tried to be changed, and the pause in which these get on.
EVOLVE_SECONDS = 30.0
_EVOLVE_PAUSE = 1.0
_ORDINARY = "r"
_PARTITIONED = "p"
_BY_RANGE = "r"
_KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
    "i": "an index",
    "I": "an index",
    "c": "a composite type",
}


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table as it is wanted.

    Attributes:
        schema: None for the first one of the search path.
        name: Its name, without the schema.
        columns: Name and Postgres type of each column behind the identity columns.
        indexed: Whether a record can become many rows, so that its identity needs the row's place in it.
        partitioned_by: The one of `columns` that holds the record's timestamp, if the table is partitioned by it.
        evolve: How far a table that exists may be changed.
        takes_wider: Whether one with wider types fits, though it could not be made so.

    """

    schema: str | None
    name: str
    columns: tuple[tuple[str, str], ...] = ()
    indexed: bool = False
    partitioned_by: str | None = None
    evolve: Evolve = Evolve.OFF
    takes_wider: bool = False

    @property
    def identity(self) -> tuple[str, ...]:
        """The names of its identity columns."""
        return identity_columns(indexed=self.indexed)

    @property
    def partition_columns(self) -> tuple[str, ...]:
        """The names of the columns that it is partitioned by."""
        return () if self.partitioned_by is None else (self.partitioned_by,)

    @property
    def key(self) -> tuple[str, ...]:
        """The names of its key's columns: Postgres keeps no key of a partitioned table without what it is split by."""
        return (*self.identity, *self.partition_columns)

    def __str__(self) -> str:
        return join_table(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class TableState:
    """How provisioning left a table: whether it was made, the schema it stands in, and what a person should know."""

    created: bool
    schema: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Server:
    url: str
    user: str
    version: int


@dataclass(frozen=True, slots=True)
class _Table:
    oid: int
    schema: str
    kind: str
    persistence: str


def which_table(url: str, schema: str, name: str) -> tuple[str, ...]:
    """Return what identifies a table, whatever address, role and spelling led to it; raises ServiceError."""
    with connect(url) as connection:
        row = connection.execute(queries.WHICH_TABLE, {"schema": schema, "name": name}).fetchone()
    return tuple(map(str, row or ()))


def ensure_table(url: str, spec: TableSpec) -> TableState:
    """Create the table if it is not there, and check it if it is.

    Raises:
        SchemaMismatchError: It exists and does not fit; gives the difference and the statements that would correct it.
        MismatchError: The schema is missing, a type is unknown, or the name belongs to something else than a table.
        ServiceError: The database cannot be reached, is read-only, or ddpm lacks a right; names the GRANT.
        NewerStateError: A newer ddpm keeps its tables beside it.

    """
    with connect(url) as connection:
        server = _writable_server(connection, url)
        connection.execute(queries.LOCK)
        check(connection, spec.schema)
        columns = _columns(connection, spec)
        table = _find(connection, spec)
        if table is None:
            doubts = tuple(_doubts_about_database(connection))
            return TableState(created=True, schema=_create(connection, spec, server, columns), warnings=doubts)
        warnings = (
            *_doubts_about_database(connection),
            *_check(connection, spec, table, server, columns),
        )
        _check_rights(connection, spec, table, server)
        return TableState(created=False, schema=table.schema, warnings=warnings)


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """What would be done for a table: the statement that creates it, or its evolution; neither where it fits."""

    create: str | None = None
    evolution: Evolution | None = None


def planned_table(url: str, spec: TableSpec) -> PlannedTable:
    """What `evolve_table` and `ensure_table` would do. Changes nothing, and raises what they would raise."""
    with connect(url) as connection:
        server = _writable_server(connection, url)
        columns = _columns(connection, spec)
        table = _find(connection, spec)
        if table is None:
            schema = schema_for_new_table(connection, spec.schema, server.user, str(spec), server.url)
            return PlannedTable(create=_create_statement(schema, spec, columns).as_string(connection))
        planned = _evolution(connection, spec, table, server, columns)
        if planned is not None:
            return PlannedTable(evolution=planned)
        _check(connection, spec, table, server, columns)
        _check_rights(connection, spec, table, server)
        return PlannedTable()


def evolve_table(url: str, spec: TableSpec, report: Callable[[str], object]) -> None:
    """Have a table that exists follow the columns that are wanted, as far as `spec.evolve` allows.

    It is one statement, or nothing where that would not make the table fit. While others work with the table they come
    first, and it is tried again.

    Args:
        url: The database.
        spec: The table.
        report: Called with each thing that is done, in words.

    Raises:
        MismatchError: Postgres refuses it, or a view is in its way.
        ServiceError: The database cannot be reached, ddpm does not own the table, or it is held for too long.

    """
    if spec.evolve is Evolve.OFF:
        return
    deadline = time.monotonic() + EVOLVE_SECONDS
    while True:
        try:
            _evolve(url, spec, report)
        except TableHeldError as error:
            if time.monotonic() > deadline:
                raise _held(url, spec, error) from error
            time.sleep(_EVOLVE_PAUSE)
        else:
            return


def _evolve(url: str, spec: TableSpec, report: Callable[[str], object]) -> None:
    with connect(url) as connection:
        server = _writable_server(connection, url)
        table = _find(connection, spec)
        if table is None:
            return
        # Whoever waited here finds what the other one has done.
        connection.execute(queries.LOCK_EVOLVING, {"table": table.oid})
        planned = _evolution(connection, spec, table, server, _columns(connection, spec))
        if planned is None:
            return
        hold(connection, planned)
        began = time.monotonic()
        if planned.rewrites:
            report(
                f"the table {planned.name} is written anew by Postgres ({max(planned.size / 1e6, 1):,.0f} MB), and "
                "nobody reads or writes it until that is done"
            )
        carry_out(connection, planned)
    took = f", which wrote all of it anew in {time.monotonic() - began:.1f} s" if planned.rewrites else ""
    for each in planned.changes:
        report(f"the table {planned.name} was changed: {each.words}{took if each.rewrites else ''}")


def _held(url: str, spec: TableSpec, error: TableHeldError) -> ServiceError:
    found = holders(url, spec.schema, spec.name, ALL_MODES)
    who = f": {found[0].described}" if found else ""
    hint = f"end that transaction, or SELECT pg_terminate_backend({found[0].pid});" if found else "try again"
    return ServiceError(f"{error.message}, which is to be changed, for {EVOLVE_SECONDS:.0f} s{who}", hint=hint)


def _evolution(
    connection: Connection, spec: TableSpec, table: _Table, server: _Server, columns: Sequence[Column]
) -> Evolution | None:
    if table.kind not in (_ORDINARY, _PARTITIONED):
        return None
    found = _found_table(connection, spec, table, server)
    made = changes(found, columns, spec.identity, spec.partition_columns, spec.evolve)
    wanted = Evolution(table.oid, table.schema, spec.name, made)
    return examined(connection, server.url, wanted) if made else None


def rights(url: str, spec: TableSpec) -> None:
    """Return if records can be written into the table, as far as rights go.

    Raises:
        ServiceError: The database cannot be reached, is read-only, has no such table, or ddpm lacks a right.

    """
    with connect(url) as connection:
        server = _writable_server(connection, url)
        table = _find(connection, spec)
        if table is None:
            raise ServiceError(f"there is no table {spec} in {where(url)}", hint="`ddpm run` makes it")
        _check_rights(connection, spec, table, server)


def schema_of(url: str, spec: TableSpec) -> str | None:
    """The schema in which the table stands, None where there is no such table; raises ServiceError."""
    with connect(url) as connection:
        table = _find(connection, spec)
        return table.schema if table else None


def count(url: str, spec: TableSpec) -> int:
    """Return how many rows the table has; exact, so it reads all of them.

    Raises:
        ServiceError: The database cannot be reached, or has no such table.

    """
    with connect(url) as connection:
        table = _find(connection, spec)
        if table is None:
            raise ServiceError(f"there is no table {spec} in {where(url)}", hint="`ddpm run` makes it")
        statement = queries.COUNT.format(table=sql.Identifier(table.schema, spec.name))
        return int(_one(connection.execute(statement).fetchone())[0])


def _writable_server(connection: Connection, url: str) -> _Server:
    user, read_only, version = _one(connection.execute(queries.SERVER).fetchone())
    if read_only:
        msg = f"Postgres at {where(url)} is read-only: a standby, or default_transaction_read_only is on"
        raise ServiceError(msg, hint="name the primary server in app.postgres.url, or switch the setting off")
    return _Server(url, user, version)


def _find(connection: Connection, spec: TableSpec) -> _Table | None:
    row = connection.execute(queries.TABLE, {"schema": spec.schema, "name": spec.name}).fetchone()
    return _Table(*row) if row else None


def _create(connection: Connection, spec: TableSpec, server: _Server, columns: Sequence[Column]) -> str:
    schema = schema_for_new_table(connection, spec.schema, server.user, str(spec), server.url)
    connection.execute(_create_statement(schema, spec, columns))
    return schema


def _create_statement(schema: str, spec: TableSpec, columns: Sequence[Column]) -> sql.Composed:
    definitions = [
        # The type was spelled by Postgres itself.
        sql.Composed([sql.Identifier(column.name), sql.SQL(" "), sql.SQL(str(column))])
        for column in with_identity(columns, spec.identity)
    ]
    statement = queries.CREATE_TABLE.format(
        table=sql.Identifier(schema, spec.name),
        columns=sql.SQL(",\n  ").join(definitions),
        key=sql.SQL(", ").join(sql.Identifier(name) for name in spec.key),
    )
    if spec.partitioned_by is None:
        return statement
    return sql.Composed([statement, queries.BY_RANGE.format(column=sql.Identifier(spec.partitioned_by))])


def schema_for_new_table(connection: Connection, schema: str | None, user: str, table: str, url: str) -> str:
    """Return the schema in which `table` can be made: the one that is named, or the first one of the search path.

    Raises:
        MismatchError: There is no such schema.
        ServiceError: ddpm has no right to make a table there.

    """
    row = connection.execute(queries.SCHEMA, {"schema": schema}).fetchone()
    if row is None and schema is None:
        msg = f"the table {table} has no schema to stand in: the search path of {user} in {where(url)} names none"
        raise MismatchError(msg, hint="write schema.table in app.postgres.table")
    if row is None:
        msg = f"the schema {schema} of the table {table} does not exist in {where(url)}"
        raise MismatchError(msg, hint=f"CREATE SCHEMA {_quoted(str(schema))}; or correct app.postgres.table")
    name, may_use, may_create = row
    if not (may_use and may_create):
        msg = f"{user} may not make the table {table} in the schema {name} of {where(url)}"
        raise ServiceError(msg, hint=f"GRANT USAGE, CREATE ON SCHEMA {_quoted(name)} TO {_quoted(user)};")
    return str(name)


def _check(
    connection: Connection, spec: TableSpec, table: _Table, server: _Server, columns: Sequence[Column]
) -> tuple[str, ...]:
    full_name = f"{table.schema}.{spec.name}"
    if table.kind not in (_ORDINARY, _PARTITIONED):
        msg = f"{full_name} in {where(server.url)} is {_KINDS.get(table.kind, 'something else')}, not a table"
        raise MismatchError(msg, hint="name a table in app.postgres.table")
    found = _found_table(connection, spec, table, server)
    _check_partitioning(connection, spec, table, server)
    if spec.takes_wider or spec.evolve is Evolve.WIDEN:
        columns = kept_wide(found, columns)
    mismatch = compare(found, columns, spec.identity, spec.partition_columns)
    if mismatch and table.kind == _PARTITIONED and not _could_have_key(connection, spec, table):
        msg = (
            f"{full_name} is partitioned by other columns than {', '.join(spec.identity)}; "
            "Postgres cannot keep a key on these alone there, so redelivered records would stand in it twice"
        )
        raise MismatchError(msg, hint="name a plain table in app.postgres.table, or see app.postgres.partition")
    if mismatch:
        modes = (Evolve.ADD, Evolve.WIDEN) if spec.evolve is not Evolve.WIDEN else ()
        ways = (each for each in modes if changes(found, columns, spec.identity, spec.partition_columns, each))
        raise mismatch.error(next(ways, None))
    return tuple(_doubts(connection, table, full_name))


def _doubts_about_database(connection: Connection) -> Iterator[str]:
    (encoding,) = _one(connection.execute(queries.ENCODING).fetchone())
    if encoding != "UTF8":
        yield (
            f"the database holds text in {encoding}, not in UTF8: a record with a character that has no place there, "
            "or with one that is escaped (\\u20ac) in a jsonb column, becomes a dead letter"
        )


def _doubts(connection: Connection, table: _Table, full_name: str) -> Iterator[str]:
    if table.persistence == "u":
        yield f"the table {full_name} is UNLOGGED: Postgres empties it when it crashes (ALTER TABLE … SET LOGGED)"
    triggers = [name for (name,) in connection.execute(queries.TRIGGERS, {"table": table.oid})]
    if triggers:
        yield (
            f"the table {full_name} has triggers on new rows ({', '.join(triggers)}): where one skips or moves a row, "
            "or changes its identity, the pipeline will wait until it is dropped"
        )


def _check_partitioning(connection: Connection, spec: TableSpec, table: _Table, server: _Server) -> None:
    if spec.partitioned_by is None:
        return
    full_name = f"{table.schema}.{spec.name}"
    if table.kind == _ORDINARY:
        msg = (
            f"{full_name} in {where(server.url)} is a plain table, and app.postgres.partition asks for one with a "
            "partition for each month; nothing was changed"
        )
        kept = _quoted(f"{spec.name}_plain")
        quoted = f"{_quoted(table.schema)}.{_quoted(spec.name)}"
        hint = f"ALTER TABLE {quoted} RENAME TO {kept}; ddpm then makes a new one, and its rows can be copied there"
        raise MismatchError(msg, hint=hint)
    strategy, names = _one(connection.execute(queries.PARTITIONING, {"table": table.oid}).fetchone())
    if strategy != _BY_RANGE or names != [spec.partitioned_by]:
        found = {"r": "ranges of", "l": "lists of", "h": "a hash of"}.get(strategy, strategy)
        msg = (
            f"{full_name} in {where(server.url)} is partitioned by {found} ({', '.join(names)}), "
            f"not by ranges of ({spec.partitioned_by})"
        )
        raise MismatchError(msg, hint="correct app.postgres.partition.column, or name another table")


def _found_table(connection: Connection, spec: TableSpec, table: _Table, server: _Server) -> FoundTable:
    columns, keys = _found_columns(connection, table), _found_keys(connection, table)
    return FoundTable(table.schema, spec.name, columns, keys, server.version)


def _found_columns(connection: Connection, table: _Table) -> tuple[FoundColumn, ...]:
    return tuple(FoundColumn(*row) for row in connection.execute(queries.COLUMNS, {"table": table.oid}))


def _found_keys(connection: Connection, table: _Table) -> tuple[Key, ...]:
    rows = connection.execute(queries.KEYS, {"table": table.oid})
    return tuple(
        Key(name, tuple(columns or ()), primary, complete, deferrable)
        for name, primary, complete, deferrable, columns in rows
    )


def _could_have_key(connection: Connection, spec: TableSpec, table: _Table) -> bool:
    _, names = _one(connection.execute(queries.PARTITIONING, {"table": table.oid}).fetchone())
    return set(names) <= set(spec.key)


def _check_rights(connection: Connection, spec: TableSpec, table: _Table, server: _Server) -> None:
    parameters = {
        "table": table.oid,
        "columns": [*spec.identity, *(name for name, _ in spec.columns)],
    }
    row = _one(connection.execute(queries.RIGHTS, parameters).fetchone())
    may_use, may_insert, may_select, may_make_temporary, hides_rows, database = row
    full_name = f"{_quoted(table.schema)}.{_quoted(spec.name)}"
    missing = [
        f"GRANT {right} TO {_quoted(server.user)};"
        for right, granted in (
            (f"USAGE ON SCHEMA {_quoted(table.schema)}", may_use),
            (f"INSERT ON {full_name}", may_insert),
            (f"SELECT ON {full_name}", may_select),
            (f"TEMPORARY ON DATABASE {_quoted(database)}", may_make_temporary),
        )
        if not granted
    ]
    if missing:
        msg = f"{server.user} lacks rights to write into {table.schema}.{spec.name} in {where(server.url)}"
        raise ServiceError(msg, hint=" ".join(missing))
    if hides_rows:
        msg = (
            f"row-level security applies to {server.user} on {table.schema}.{spec.name}, and COPY does not work with it"
        )
        raise ServiceError(msg, hint=f"ALTER ROLE {_quoted(server.user)} BYPASSRLS; or name another table")


def _columns(connection: Connection, spec: TableSpec) -> tuple[Column, ...]:
    columns = (_column(connection, name, type_) for name, type_ in spec.columns)
    return tuple(replace(column, not_null=column.name == spec.partitioned_by) for column in columns)


def _column(connection: Connection, name: str, type_: str) -> Column:
    """The column with its type in Postgres' own spelling, so that int and integer are one."""
    try:
        with connection.transaction():
            # Whatever to_regtype takes is the name of one type and nothing more.
            row = connection.execute(queries.TYPE, {"type": type_}).fetchone()
            if row and row[1] == "d":
                return Column(name, _format_type(connection, row[0], -1))
            if row and row[1] != "p":
                result = connection.execute(f"SELECT NULL::{type_}".encode()).pgresult
                if result is not None:
                    return Column(name, _format_type(connection, result.ftype(0), result.fmod(0)))
    except (psycopg.DataError, psycopg.ProgrammingError, psycopg.NotSupportedError) as error:
        msg = f'the column "{name}" cannot have the type "{type_}": {error.diag.message_primary}'
        raise MismatchError(msg, hint=f"correct app.postgres.columns.{name}") from error
    msg = f'the column "{name}" has the type "{type_}", which this Postgres does not know'
    way_out = near(type_) or "a type of an extension needs CREATE EXTENSION"
    raise MismatchError(msg, hint=f"correct app.postgres.columns.{name}; {way_out}")


def _format_type(connection: Connection, type_: int, modifier: int) -> str:
    parameters = {"type": type_, "modifier": modifier}
    return str(_one(connection.execute(queries.FORMAT_TYPE, parameters).fetchone())[0])


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)


def _one(row: tuple[Any, ...] | None) -> tuple[Any, ...]:
    if row is None:
        msg = "Postgres returned no row where there is always one"
        raise ServiceError(msg)
    return row
