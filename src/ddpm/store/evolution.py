"""Which columns a table is given, and which types become wider, so that it fits what a pipeline writes. Pure.

Nothing is dropped and nothing narrowed, and a table that would not fit afterwards is left as it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from psycopg import sql

from ddpm.config.model import Evolve
from ddpm.store.schema import Column, FoundColumn, FoundTable, compare
from ddpm.store.widening import rewrites, widens


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """A column that is added, or gets another type.

    Attributes:
        name: The column.
        type: Its type afterwards, as Postgres spells it.
        was: Its type before; None for a column that is added.
        collation: What its texts are sorted by, where that is not the type's own: a new type would forget it.

    """

    name: str
    type: str
    was: str | None = None
    collation: tuple[str, ...] = ()

    @property
    def rewrites(self) -> bool:
        """Whether Postgres writes the whole table anew for it."""
        return self.was is not None and rewrites(self.was, self.type)

    @property
    def words(self) -> str:
        """What is done, as a request."""
        if self.was is None:
            return f"add the column {self.name} {self.type}"
        return f"widen the column {self.name} from {self.was} to {self.type}"

    @property
    def action(self) -> sql.Composed:
        """The part of ALTER TABLE; types were spelled by Postgres itself."""
        name, type_ = sql.Identifier(self.name), sql.SQL(self.type)
        if self.was is None:
            return sql.SQL("ADD COLUMN {} {}").format(name, type_)
        changed = sql.SQL("ALTER COLUMN {} TYPE {}").format(name, type_)
        return changed + sql.SQL(" COLLATE {}").format(sql.Identifier(*self.collation)) if self.collation else changed


def statement(schema: str, table: str, changes: Sequence[ColumnChange]) -> sql.Composed:
    """The one ALTER TABLE that makes all changes: a table that is written anew is so once."""
    actions = sql.SQL(", ").join(each.action for each in changes)
    return sql.SQL("ALTER TABLE {} {}").format(sql.Identifier(schema, table), actions)


def kept_wide(found: FoundTable, columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns that a pipeline writes, of wider types where the table has these already."""
    types = {column.name: column.type for column in found.columns}
    return tuple(
        replace(column, type=types[column.name]) if widens(column.type, types.get(column.name, "")) else column
        for column in columns
    )


def changes(
    found: FoundTable,
    columns: Sequence[Column],
    identity: Sequence[str],
    partitioned_by: Sequence[str],
    evolve: Evolve,
) -> tuple[ColumnChange, ...]:
    """What has to be done to a table; nothing where that would not make it fit.

    Args:
        found: The table.
        columns: What the pipeline writes besides the identity columns.
        identity: The identity columns.
        partitioned_by: Those of `columns` that the table is partitioned by.
        evolve: How far it may be changed.

    """
    if evolve is Evolve.WIDEN:
        columns = kept_wide(found, columns)
    made = tuple(_changes(found, columns, evolve))
    fits = compare(_changed(found, made), columns, identity, partitioned_by) is None
    return made if fits else ()


def _changes(found: FoundTable, columns: Sequence[Column], evolve: Evolve) -> Iterator[ColumnChange]:
    if evolve is Evolve.OFF:
        return
    have = {column.name: column for column in found.columns}
    for want in columns:
        column = have.get(want.name)
        # One that may not be NULL has no value for the rows that are there.
        if column is None and not want.not_null:
            yield ColumnChange(want.name, want.type)
        elif column is not None and evolve is Evolve.WIDEN and widens(column.type, want.type):
            yield ColumnChange(want.name, want.type, column.type)


def _changed(found: FoundTable, made: Sequence[ColumnChange]) -> FoundTable:
    """The table as it would be."""
    types = {each.name: each.type for each in made if each.was is not None}
    kept = (replace(column, type=types.get(column.name, column.type)) for column in found.columns)
    added = (FoundColumn(each.name, each.type) for each in made if each.was is None)
    return replace(found, columns=(*kept, *added))
