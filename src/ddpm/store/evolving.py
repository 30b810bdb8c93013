"""Carries out what `evolution` decided: one ALTER TABLE, within a transaction of its caller."""

from dataclasses import dataclass, replace

import psycopg
from psycopg import errors, sql

from ddpm.errors import MismatchError, ServiceError
from ddpm.store import queries
from ddpm.store.connection import Connection, where
from ddpm.store.evolution import ColumnChange, statement

# Whoever comes behind a statement that waits for a table waits as well, readers too.
LOCK_SECONDS = 2
_MATERIALIZED = "m"
_MEGABYTE = 1_000_000
_MAGNITUDES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)


class TableHeldError(ServiceError):
    """Somebody works with the table, and the lock was not waited for any longer."""


@dataclass(frozen=True, slots=True)
class Evolution:
    """What is to be done to a table; `size` is what it takes on the disk with its indexes, in bytes."""

    oid: int
    schema: str
    table: str
    changes: tuple[ColumnChange, ...]
    size: int = 0

    @property
    def name(self) -> str:
        """The table, for people."""
        return f"{self.schema}.{self.table}"

    @property
    def rewrites(self) -> bool:
        """Whether Postgres writes the whole table anew."""
        return any(each.rewrites for each in self.changes)

    @property
    def statement(self) -> sql.Composed:
        """The statement that does all of it."""
        return statement(self.schema, self.table, self.changes)

    def statement_of(self, change: ColumnChange) -> str:
        """One of the changes as a statement, to be read by people."""
        return f"{statement(self.schema, self.table, [change]).as_string(None)};"

    @property
    def magnitude(self) -> str:
        """How large the table is, so roughly that a plan stays the same while rows come in."""
        limit = next((each for each in _MAGNITUDES if self.size < each * _MEGABYTE), None)
        return f"less than {limit:,} MB" if limit else f"more than {_MAGNITUDES[-1]:,} MB"


def examined(connection: Connection, url: str, wanted: Evolution) -> Evolution:
    """The same with its size and collations, once nothing was found that stands in its way.

    Raises:
        ServiceError: ddpm does not own the table.
        MismatchError: A view reads a column that would get another type.

    """
    row = connection.execute(queries.OWNED, {"table": wanted.oid}).fetchone()
    assert row is not None  # noqa: S101 -- the table was found in this transaction
    owns, owner, user, size = row
    collations = {
        name: (space, collation)
        for name, space, collation in connection.execute(queries.COLLATIONS, {"table": wanted.oid}).fetchall()
    }
    kept = (replace(each, collation=collations.get(each.name, ())) for each in wanted.changes)
    found = replace(wanted, changes=tuple(kept), size=int(size))
    if not owns:
        _refuse_right(found, url, owner, user)
    _refuse_views(connection, found)
    return found


def hold(connection: Connection, evolution: Evolution) -> None:
    """Keep everybody else off the table; raises TableHeldError if somebody works with it for `LOCK_SECONDS`."""
    connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_SECONDS}s"])
    try:
        table = sql.Identifier(evolution.schema, evolution.table)
        connection.execute(queries.LOCK_ALONE.format(table=table))
    except errors.LockNotAvailable as error:
        raise TableHeldError(f"somebody holds the table {evolution.name}") from error


def carry_out(connection: Connection, evolution: Evolution) -> None:
    """Do it; raises MismatchError if Postgres refuses it."""
    try:
        connection.execute(evolution.statement)
    except errors.InsufficientPrivilege:
        # The connection names the right that is missing.
        raise
    except (
        psycopg.DataError,
        psycopg.IntegrityError,
        psycopg.NotSupportedError,
        psycopg.ProgrammingError,
        errors.QueryCanceled,
    ) as error:
        raise _refused(connection, evolution, error) from error


def _refuse_right(found: Evolution, url: str, owner: str, user: str) -> None:
    role, table = sql.Identifier(user).as_string(None), sql.Identifier(found.schema, found.table).as_string(None)
    statements = " ".join(found.statement_of(each) for each in found.changes)
    msg = f"{user} may not change the table {found.name} in {where(url)}, which belongs to {owner}; nothing was changed"
    hint = f"ALTER TABLE {table} OWNER TO {role}; or let {owner} run it: {statements}"
    raise ServiceError(msg, hint=hint)


def _refuse_views(connection: Connection, found: Evolution) -> None:
    names = [each.name for each in found.changes if each.was is not None]
    views = connection.execute(queries.VIEWS_ON, {"table": found.oid, "columns": names}).fetchall()
    if not views:
        return
    shown = [f"{schema}.{name}" for schema, name, _, _ in views]
    kinds = [
        ("MATERIALIZED VIEW" if kind == _MATERIALIZED else "VIEW", sql.Identifier(schema, name).as_string(None), text)
        for schema, name, kind, text in views
    ]
    statements = [
        "BEGIN;",
        *(f"DROP {kind} {view};" for kind, view, _ in kinds),
        f"{found.statement.as_string(connection)};",
        *(f"CREATE {kind} {view} AS\n{text}" for kind, view, text in kinds),
        "COMMIT;",
    ]
    listed = "\n".join(f"  {line}" for each in statements for line in each.splitlines())
    msg = (
        f"columns of the table {found.name} cannot get other types while views read them ({', '.join(shown)}); nothing "
        f"was changed\nThese statements do it:\n{listed}"
    )
    raise MismatchError(msg, hint="run them, and grant anew what was granted on the views")


def _refused(connection: Connection, evolution: Evolution, error: psycopg.Error) -> MismatchError:
    text = evolution.statement.as_string(connection)
    detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    msg = f"the table {evolution.name} could not be changed: {error.diag.message_primary}{detail}; nothing was changed"
    hint = f"correct that, or do it otherwise than by {text};"
    if isinstance(error, psycopg.IntegrityError):
        hint = f"rows that are there have no value that the type takes: add a DEFAULT to {text};"
    return MismatchError(msg, hint=hint)
