"""What is asked of a database that is to be examined: its version, room, clock, and who holds a table."""

import time
from dataclasses import dataclass

from ddpm.store import queries
from ddpm.store.connection import connect


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """How a database is.

    Attributes:
        version: As its administrators write it: `15.18`.
        connections_left: How many more it takes from ordinary users.
        connections: How many it takes in all.
        ahead: How many seconds its clock is ahead of this machine's; behind, when negative.
        uncertain: By how much that may be wrong, in seconds.
        megabytes: How large the database is.

    """

    version: str
    connections_left: int
    connections: int
    ahead: float
    uncertain: float
    megabytes: int


@dataclass(frozen=True, slots=True)
class Holder:
    """A session that holds a lock on a table under which nobody can write into it; `seconds` is since when."""

    pid: int
    user: str
    application: str
    mode: str
    seconds: float
    state: str


def database_facts(url: str) -> DatabaseFacts:
    """How the database behind a URL is; raises as `connect` does."""
    with connect(url) as connection:
        before = time.time()
        row = connection.execute(queries.CHECKUP).fetchone()
        after = time.time()
    assert row is not None  # noqa: S101 -- it has no FROM
    version, used, limit, reserved, at, size = row
    middle = (before + after) / 2
    left = max(0, limit - reserved - used)
    return DatabaseFacts(
        str(version).split(" ", 1)[0], left, limit, at - middle, (after - before) / 2, size // 1_000_000
    )


def holders(url: str, schema: str | None, table: str) -> tuple[Holder, ...]:
    """Who holds the table so that no row can be written, the longest first; raises as `connect` does."""
    with connect(url) as connection:
        rows = connection.execute(queries.HOLDERS, {"schema": schema, "name": table}).fetchall()
    return tuple(Holder(*row) for row in rows)
