"""Compares the columns of a table with those that a pipeline writes, and writes the statements that correct it. Pure.

A column of the user's own is welcome as long as a row can be written without it. What ddpm needs besides its columns is
a key on the identity columns and nothing else, or a redelivered record could not be distinguished from a new one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from psycopg import sql

from ddpm.config.model import IDENTITY_COLUMNS, INDEX_COLUMN, Evolve
from ddpm.errors import SchemaMismatchError

_IDENTITY_TYPES = {"source": "integer", "partition": "integer", "offset": "bigint", INDEX_COLUMN: "integer"}
# Rows from before ddpm are numbered through in this column.
_COUNTED = "offset"
_INTEGERS = ("smallint", "integer", "bigint")
_POSTGRES_16 = 160_000
# No source has this number: rows from before ddpm stand under it, numbered through in `offset`.
_NO_SOURCE = 0

_PLAIN_TIME = "timestamp without time zone"
_ZONED_TIME = "timestamp with time zone"


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is wanted; `type` is spelled as Postgres' format_type does."""

    name: str
    type: str
    not_null: bool = False

    def __str__(self) -> str:
        return f"{self.type} NOT NULL" if self.not_null else self.type


@dataclass(frozen=True, slots=True)
class FoundColumn(Column):
    """A column as it is; `generated` says by what Postgres fills it and refuses to be given a value."""

    has_default: bool = False
    generated: Literal["", "expression", "identity"] = ""

    def __str__(self) -> str:
        kind = {"": "", "expression": " GENERATED", "identity": " GENERATED ALWAYS AS IDENTITY"}[self.generated]
        return f"{Column.__str__(self)}{kind}"


AnyColumn = TypeVar("AnyColumn", bound=Column)


@dataclass(frozen=True, slots=True)
class Key:
    """A primary or unique key; `complete` reports whether it holds for every row, `deferrable` whether it may wait."""

    name: str
    columns: tuple[str, ...]
    primary: bool
    complete: bool = True
    deferrable: bool = False

    def is_on(self, wanted: Sequence[str]) -> bool:
        """Whether its columns are these and no others."""
        return set(self.columns) == set(wanted)

    def is_narrower_than(self, wanted: Sequence[str]) -> bool:
        """Whether it lets a record have one row only, where the wanted key lets it have many."""
        return set(IDENTITY_COLUMNS) <= set(self.columns) < set(wanted)


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table as it is, on a server of this version (180000 is 18.0)."""

    schema: str
    name: str
    columns: tuple[FoundColumn, ...]
    keys: tuple[Key, ...]
    server_version: int = _POSTGRES_16

    @property
    def primary_key(self) -> Key | None:
        """Its primary key, if it has one."""
        return next((key for key in self.keys if key.primary), None)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """How a table differs: one line for each column, and the statements that would make it fit."""

    table: str
    lines: tuple[str, ...]
    statements: tuple[str, ...]

    def error(self, evolve: Evolve | None = None) -> SchemaMismatchError:
        """The error that shows all of it; `evolve` is what would have ddpm run the statements itself."""
        shown = "\n".join(f"  {line}" for line in self.lines)
        statements = "\n".join(f"  {statement}" for statement in ("BEGIN;", *self.statements, "COMMIT;"))
        msg = (
            f"the table {self.table} exists and does not fit what this pipeline writes; nothing was changed\n"
            f"{shown}\nThese statements would make it fit and keep its rows:\n{statements}"
        )
        way = f"run them, set app.postgres.evolve to {evolve.value}," if evolve else "run them,"
        return SchemaMismatchError(msg, hint=f"{way} or name another table in app.postgres.table")


def identity_columns(*, indexed: bool) -> tuple[str, ...]:
    """The columns that say where a row came from; indexed, when a record can become many rows."""
    return (*IDENTITY_COLUMNS, INDEX_COLUMN) if indexed else IDENTITY_COLUMNS


def with_identity(columns: Sequence[Column], identity: Sequence[str] = IDENTITY_COLUMNS) -> tuple[Column, ...]:
    """All columns that ddpm writes: the identity columns first, then `columns`."""
    return (*(Column(name, _IDENTITY_TYPES[name], not_null=True) for name in identity), *columns)


def compare(
    found: FoundTable,
    columns: Sequence[Column],
    identity: Sequence[str] = IDENTITY_COLUMNS,
    partitioned_by: Sequence[str] = (),
) -> Mismatch | None:
    """Return None if records can be written into the table as it is, otherwise what differs and how to correct it.

    Args:
        found: The table.
        columns: What the pipeline writes besides the identity columns.
        identity: The identity columns.
        partitioned_by: Those of `columns` that the table is partitioned by, which its key must have as well.

    """
    wanted, key = with_identity(columns, identity), (*identity, *partitioned_by)
    if not any(_differs(found, wanted, name) for name in _names(found, wanted)) and _has_key(found, key):
        return None
    statements = _Mending(found, wanted, identity, key).all()
    return Mismatch(f"{found.schema}.{found.name}", tuple(_table(found, wanted, key)), tuple(statements))


def _names(found: FoundTable, wanted: Sequence[Column]) -> list[str]:
    return list(dict.fromkeys([*(column.name for column in wanted), *(column.name for column in found.columns)]))


def _differs(found: FoundTable, wanted: Sequence[Column], name: str) -> bool:
    have, want = _by_name(found.columns, name), _by_name(wanted, name)
    if want is None:
        return have is not None and _blocks(have)
    return have is None or have.type != want.type or (want.not_null and not have.not_null) or have.generated != ""


def _blocks(column: FoundColumn) -> bool:
    return column.not_null and not column.has_default


def _has_key(found: FoundTable, wanted: Sequence[str]) -> bool:
    return _has_usable_key(found, wanted) and not any(_is_in_the_way(key, wanted) for key in found.keys)


def _is_in_the_way(key: Key, wanted: Sequence[str]) -> bool:
    # ON CONFLICT refuses to work as soon as one of the keys that it could use is deferrable.
    return (key.is_on(wanted) and key.deferrable) or key.is_narrower_than(wanted)


def _has_usable_key(found: FoundTable, wanted: Sequence[str]) -> bool:
    return any(key.is_on(wanted) and key.complete and not key.deferrable for key in found.keys)


def _table(found: FoundTable, wanted: Sequence[Column], key: Sequence[str]) -> Iterator[str]:
    rows = [("", "column", "wanted", "found")]
    for name in _names(found, wanted):
        have, want = _by_name(found.columns, name), _by_name(wanted, name)
        mark = "!" if _differs(found, wanted, name) else ""
        rows.append((mark, name, str(want) if want else "-", str(have) if have else "-"))
    keys = "; ".join(_key_text(each) for each in found.keys) or "-"
    rows.append(("" if _has_key(found, key) else "!", "key", f"({', '.join(key)})", keys))
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)]
        yield "  ".join([*cells, row[3]]).rstrip()


def _key_text(key: Key) -> str:
    kind = " DEFERRABLE" if key.deferrable else "" if key.complete else " partial"
    return f"({', '.join(key.columns)}){kind}"


def _by_name(columns: Sequence[AnyColumn], name: str) -> AnyColumn | None:
    return next((column for column in columns if column.name == name), None)


@dataclass(slots=True)
class _Mending:
    """Collects the statements, in an order in which they work on a table with rows in it."""

    found: FoundTable
    wanted: Sequence[Column]
    identity: Sequence[str]
    key: Sequence[str]
    drops_primary_key: bool = False

    def all(self) -> Iterator[str]:
        yield from self._let_rows_do_without_foreign_columns()
        yield from self._drop_keys_in_the_way()
        yield from self._alter(self._type_changes())
        yield from self._alter(self._additions())
        yield from self._alter(self._after_additions())
        if not _has_usable_key(self.found, self.key):
            kind = "UNIQUE" if self.found.primary_key and not self.drops_primary_key else "PRIMARY KEY"
            yield from self._alter([f"ADD {kind} ({', '.join(_quoted(name) for name in self.key)})"])

    @property
    def _table(self) -> str:
        return f"{_quoted(self.found.schema)}.{_quoted(self.found.name)}"

    def _alter(self, actions: Sequence[str]) -> Iterator[str]:
        if actions:
            yield f"ALTER TABLE {self._table} {', '.join(actions)};"

    def _let_rows_do_without_foreign_columns(self) -> Iterator[str]:
        names = {column.name for column in self.wanted}
        for column in self.found.columns:
            if column.name not in names and _blocks(column):
                yield from self._fill_by_itself(column)

    def _fill_by_itself(self, column: FoundColumn) -> Iterator[str]:
        name = _quoted(column.name)
        if column.type == "uuid":
            yield from self._alter([f"ALTER COLUMN {name} SET DEFAULT gen_random_uuid()"])
        elif column.type in _INTEGERS:
            yield from self._alter([f"ALTER COLUMN {name} ADD GENERATED BY DEFAULT AS IDENTITY"])
            sequence = f"pg_get_serial_sequence({_literal(self._table)}, {_literal(column.name)})"
            next_number = f"(SELECT coalesce(max({name}), 0) + 1 FROM {self._table})"  # noqa: S608 -- quoted, and only shown
            yield f"SELECT setval({sequence}, {next_number}, false);"
        else:
            key = self.found.primary_key
            if key and column.name in key.columns and not self.drops_primary_key:
                yield from self._drop(key)
            yield from self._alter([f"ALTER COLUMN {name} DROP NOT NULL"])

    def _drop_keys_in_the_way(self) -> Iterator[str]:
        for key in self.found.keys:
            if _is_in_the_way(key, self.key):
                yield from self._drop(key)

    def _drop(self, key: Key) -> Iterator[str]:
        self.drops_primary_key = self.drops_primary_key or key.primary
        yield from self._alter([f"DROP CONSTRAINT {_quoted(key.name)}"])

    def _type_changes(self) -> list[str]:
        actions = []
        for want, have in self._pairs():
            column = f"ALTER COLUMN {_quoted(want.name)}"
            if have.generated == "expression":
                actions.append(f"{column} DROP EXPRESSION")
            elif have.generated == "identity":
                actions.append(f"{column} DROP IDENTITY")
            if have.type != want.type:
                # Postgres does not convert a default along with its column, and ddpm always gives a value.
                actions += [f"{column} DROP DEFAULT"] if have.has_default and not have.generated else []
                actions.append(f"{column} TYPE {want.type} USING {self._conversion(want, have)}")
        return actions

    def _conversion(self, want: Column, have: FoundColumn) -> str:
        name = _quoted(want.name)
        if {want.type, have.type} == {_PLAIN_TIME, _ZONED_TIME}:
            return f"{name} AT TIME ZONE 'UTC'"
        if want.type == "jsonb" and have.type == "text" and self.found.server_version >= _POSTGRES_16:
            # jsonb knows no zero character, which JSON does.
            fits = f"{name} IS JSON AND strpos({name}, '\\u0000') = 0"
            return f"CASE WHEN {fits} THEN {name}::jsonb ELSE to_jsonb({name}) END"
        return f"{name}::{want.type}"

    def _additions(self) -> list[str]:
        return [f"ADD COLUMN {_quoted(column.name)} {column.type}{self._filler(column)}" for column in self._missing()]

    def _after_additions(self) -> list[str]:
        missing = [column.name for column in self._missing()]
        actions = [
            f"ALTER COLUMN {_quoted(name)} DROP {'IDENTITY' if name == _COUNTED else 'DEFAULT'}"
            for name in self.identity
            if name in missing
        ]
        return actions + [
            f"ALTER COLUMN {_quoted(want.name)} SET NOT NULL"
            for want, have in self._pairs()
            if want.not_null and not have.not_null
        ]

    def _pairs(self) -> Iterator[tuple[Column, FoundColumn]]:
        for want in self.wanted:
            have = _by_name(self.found.columns, want.name)
            if have is not None:
                yield want, have

    def _missing(self) -> list[Column]:
        return [column for column in self.wanted if _by_name(self.found.columns, column.name) is None]

    def _filler(self, column: Column) -> str:
        """What gives the rows that are there already a value in a new identity column."""
        if column.name not in self.identity:
            return ""
        if column.name == _COUNTED:
            return " NOT NULL GENERATED BY DEFAULT AS IDENTITY"
        return f" NOT NULL DEFAULT {_NO_SOURCE}"


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)


def _literal(text: str) -> str:
    return sql.Literal(text).as_string(None)
