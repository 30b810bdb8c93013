"""What is asked of a database that is to be examined: its version, room, clock, and who holds a table."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ddpm.store import queries
from ddpm.store.connection import connect

# Locks that do not go with that of a writer, ROW EXCLUSIVE.
KEEP_OFF_WRITERS = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
ALL_MODES = (
    *("AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock"),
    *KEEP_OFF_WRITERS,
)


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """How a database is.

    Attributes:
        version: As its administrators write it: `15.18`, `18beta1`.
        number: The same for comparisons: 150018.
        connections_left: How many more it takes from ordinary users.
        connections: How many it takes in all.
        ahead: How many seconds its clock is ahead of this machine's; behind, when negative.
        uncertain: By how much that may be wrong, in seconds.
        megabytes: How large the database is.

    """

    version: str
    number: int
    connections_left: int
    connections: int
    ahead: float
    uncertain: float
    megabytes: int


@dataclass(frozen=True, slots=True)
class Holder:
    """A session that holds a lock on a table; `seconds` is for how long, None where this user may not see that."""

    pid: int
    user: str
    application: str
    mode: str
    seconds: float | None
    state: str

    @property
    def described(self) -> str:
        """Who it is, and what it holds."""
        who = f"process {self.pid} of {self.user}" + (f" ({self.application})" if self.application else "")
        if self.seconds is None:
            return f"{who} holds {self.mode}; for how long, only members of pg_read_all_stats may see"
        return f"{who} has held {self.mode} for {self.seconds:.0f} s ({self.state or 'in the background'})"


def database_facts(url: str) -> DatabaseFacts:
    """How the database behind a URL is; raises as `connect` does."""
    with connect(url) as connection:
        before = time.time()
        row = connection.execute(queries.CHECKUP).fetchone()
        after = time.time()
    assert row is not None  # noqa: S101 -- it has no FROM
    version, number, used, limit, reserved, at, size = row
    middle = (before + after) / 2
    left = max(0, limit - reserved - used)
    return DatabaseFacts(
        str(version).split(" ", 1)[0], number, left, limit, at - middle, (after - before) / 2, size // 1_000_000
    )


def holders(url: str, schema: str | None, table: str, modes: Sequence[str] = KEEP_OFF_WRITERS) -> tuple[Holder, ...]:
    """Who holds the table in one of these modes, the longest first; raises as `connect` does."""
    with connect(url) as connection:
        rows = connection.execute(queries.HOLDERS, {"schema": schema, "name": table, "modes": list(modes)}).fetchall()
    return tuple(Holder(*row) for row in rows)
