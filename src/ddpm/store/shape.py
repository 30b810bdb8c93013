"""Whether a table still takes what a pipeline writes into it. Pure: what the database says comes in, words come out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql


@dataclass(frozen=True, slots=True)
class WatchedTable:
    """A table, what is written, and its key's columns; without a schema it is the first one of the search path."""

    schema: str | None
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Its name for people."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class ColumnNow:
    """A column as the database has it; `required` when a row must give it, `writable` when ddpm may."""

    type: str
    required: bool
    writable: bool


Shape = Mapping[str, ColumnNow]


def trouble(table: WatchedTable, now: Shape, *, keyed: bool = True) -> str | None:
    """Why the table takes no rows; None when it does.

    Args:
        table: What is written.
        now: Its columns by name; none for a table that is not there, or may not be seen.
        keyed: Whether it has its key.

    """
    if not now:
        return f"the table {table.shown} is not there any more"
    gone = [name for name in table.columns if name not in now]
    if gone:
        return f"the table {table.shown} has no {_listed(gone)} any more"
    if not all(now[name].writable for name in table.columns):
        return f"ddpm has no right to write the table {table.shown} any more"
    needed = [name for name, column in now.items() if column.required and name not in table.columns]
    if needed:
        return f"the table {table.shown} has a {_listed(needed)} that every row must give, and ddpm does not write"
    if not keyed:
        columns = ", ".join(sql.Identifier(name).as_string(None) for name in table.key)
        return (
            f"the table {table.shown} has no unique key on exactly ({', '.join(table.key)}) any more, and nothing is "
            f"written without it: ALTER TABLE {table.shown} ADD PRIMARY KEY ({columns})"
        )
    return None


def changes(table: WatchedTable, before: Shape, now: Shape) -> str | None:
    """Which types changed of what is written, which may be harmless; None when none did."""
    found = [
        f"{name} was {before[name].type} and is {now[name].type}"
        for name in table.columns
        if name in before and name in now and before[name].type != now[name].type
    ]
    return "; ".join(found) or None


def _listed(names: Sequence[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {', '.join(names)}"
