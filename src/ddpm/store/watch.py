"""Watches one database as long as ddpm runs: does it answer, and does it take rows. Belongs to one thread.

Nothing here waits on the server without a limit: a frozen Postgres keeps its connections open, so that neither
keepalives nor libpq's own timeouts notice it.
"""

import selectors
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import psycopg
from psycopg.pq import ExecStatus

from ddpm.errors import DdpmError, ServiceError
from ddpm.store.connection import keywords, translate_errors, where
from ddpm.store.queries import HISTORY, KEYED, SHAPE
from ddpm.store.shape import ColumnNow, Shape, WatchedTable, changes, trouble

_APPLICATION = "ddpm-probe"
_SHORTEST_CONNECT = 2  # libpq rounds anything less up to it
_QUERY = b"SELECT pg_is_in_recovery(), current_setting('transaction_read_only')"

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]


class DatabaseWatch:
    """Looks at the database behind a URL; every look comes back within `timeout` seconds or little more."""

    def __init__(self, url: str, timeout: float = 3.0, tables: Iterable[WatchedTable] = ()) -> None:
        """Describe what to watch; nothing is connected before the first look.

        Args:
            url: A Postgres URL.
            timeout: Seconds that a look may take.
            tables: What is written there.

        """
        self._url = url
        self._tables = tuple(dict.fromkeys(tables))
        self._at_first: dict[WatchedTable, Shape] = {}
        self._now: Mapping[WatchedTable, Shape] = {}
        self._keyless: frozenset[WatchedTable] = frozenset()
        self._history: tuple[bytes, bytes] | None = None
        self._has_history = True
        self._rewritten: str | None = None
        self._timeout = timeout
        self._connection: Connection | None = None
        self._attempt: _Attempt | None = None

    def trouble(self, table: WatchedTable) -> str | None:
        """Why a table took no rows at the last look; None when it did, or was not seen."""
        return trouble(table, self._now[table], keyed=table not in self._keyless) if table in self._now else None

    def rewritten(self) -> str | None:
        """What happened to the database if it is another than at the look before, said once; None when it is not.

        A standby that was promoted, or a backup that was restored, may lack rows that had been acknowledged.
        """
        said, self._rewritten = self._rewritten, None
        return said

    def changes(self, table: WatchedTable) -> str | None:
        """Which types changed in a table since the first look, which may be harmless; None when none did."""
        return changes(table, self._at_first.get(table, {}), self._now.get(table, {}))

    def look(self) -> None:
        """Return when the database answered just now and takes rows.

        Raises:
            ServiceError: It does not; says what is wrong. The next look tries again.

        """
        deadline = time.monotonic() + self._timeout
        was_open = self._connection is not None
        try:
            self._look(deadline)
        except ServiceError:
            # A connection that was kept may have ended though the database is well; a frozen one has used up the time.
            if not was_open or time.monotonic() > deadline - self._timeout / 2:
                raise
            self._look(deadline)

    def close(self) -> None:
        """Close the connection; a later look opens a new one."""
        if self._attempt is not None:
            self._attempt.abandon()
            self._attempt = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _look(self, deadline: float) -> None:
        try:
            with translate_errors(self._url):
                if self._connection is None:
                    self._connection = self._connect(deadline)
                ((in_recovery, read_only),) = self._query(self._connection, deadline, _QUERY)
                self._look_at_history(self._connection, deadline)
                self._look_at_tables(self._connection, deadline)
        except DdpmError as error:
            self._drop()
            # A password that is refused now may have worked a minute ago: not the configuration, but its time is over.
            raise ServiceError(error.message, hint=error.hint) from error.__cause__
        except (OSError, RuntimeError) as error:  # out of descriptors or threads
            self._drop()
            raise ServiceError(f"Postgres at {where(self._url)} cannot be watched: {error}") from error
        if b"t" in in_recovery or b"on" in read_only:
            self._drop()
            why = "in recovery" if b"t" in in_recovery else "read-only"
            msg = f"Postgres at {where(self._url)} answers, but takes no rows: it is {why}"
            raise ServiceError(msg, hint="connect to the primary server, or wait until it is one")

    def _look_at_history(self, connection: Connection, deadline: float) -> None:
        if not self._has_history:
            return
        try:
            (found,) = self._query(connection, deadline, HISTORY)
        except psycopg.OperationalError:
            raise
        except psycopg.Error:
            # Not every server that speaks like Postgres has a log of its own, or lets everybody ask about it.
            self._has_history = False
            return
        timeline, system = found
        if not timeline:
            return
        before, self._history = self._history, (timeline, system)
        if before is not None and before[1] != system:
            self._rewritten = "it is another server than before"
        elif before is not None and before[0] != timeline:
            steps = f"timeline {int(before[0], 16)} became {int(timeline, 16)}"
            self._rewritten = f"a standby was promoted, or a backup restored ({steps})"

    def _look_at_tables(self, connection: Connection, deadline: float) -> None:
        seen: dict[WatchedTable, Shape] = {}
        keyless: set[WatchedTable] = set()
        for table in self._tables:
            names = [table.name.encode(), None if table.schema is None else table.schema.encode()]
            if table.key and self._query(connection, deadline, KEYED, [*names, _array(table.key)]) == [[b"f"]]:
                keyless.add(table)
            seen[table] = {
                name.decode(): ColumnNow(type_.decode(), required == b"t", writable == b"t")
                for name, type_, required, writable in self._query(connection, deadline, SHAPE, names)
            }
            self._at_first.setdefault(table, seen[table])
        self._now, self._keyless = seen, frozenset(keyless)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self, deadline: float) -> Connection:
        # An attempt that is still under way is waited for again, or a second host would never get its turn.
        if self._attempt is None or self._attempt.has_failed:
            self._attempt = _Attempt(self._url, self._timeout)
        came = self._attempt.wait(deadline)
        if came is None:
            raise self._silent()
        self._attempt = None
        if isinstance(came, psycopg.errors.ConnectionTimeout):
            raise self._silent() from came
        if isinstance(came, BaseException):
            raise came
        return came

    def _query(
        self, connection: Connection, deadline: float, query: bytes, parameters: Sequence[bytes | None] = ()
    ) -> Sequence[Sequence[bytes]]:
        server = connection.pgconn
        server.send_query_params(query, parameters)
        rows: list[Sequence[bytes]] = []
        failed: psycopg.Error | None = None
        with selectors.DefaultSelector() as selector:
            while server.flush():
                self._await(selector, server.socket, selectors.EVENT_WRITE, deadline)
            while True:
                while server.is_busy():
                    self._await(selector, server.socket, selectors.EVENT_READ, deadline)
                    server.consume_input()
                result = server.get_result()
                if result is None and failed is not None:
                    raise failed
                if result is None:
                    return rows
                if result.status != ExecStatus.TUPLES_OK:
                    failed = psycopg.errors.error_from_result(result)
                    continue
                rows += [
                    [result.get_value(row, column) or b"" for column in range(result.nfields)]
                    for row in range(result.ntuples)
                ]

    def _await(self, selector: selectors.BaseSelector, socket: int, event: Literal[1, 2], deadline: float) -> None:
        if not selector.get_map():
            selector.register(socket, event)
        else:
            selector.modify(socket, event)
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise self._silent()

    def _silent(self) -> ServiceError:
        msg = f"Postgres at {where(self._url)} has not answered for {self._timeout:g} s"
        return ServiceError(msg, hint="see whether it is frozen, overloaded or cut off")


def _array(names: Iterable[str]) -> bytes:
    escaped = (name.replace("\\", "\\\\").replace('"', '\\"') for name in sorted(names))
    return ("{" + ",".join(f'"{name}"' for name in escaped) + "}").encode()


class _Attempt:
    """One attempt to connect, in a thread of its own, because nothing can cut the look-up of a name short."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._seconds = max(_SHORTEST_CONNECT, round(timeout))
        self._lock = threading.Lock()
        self._abandoned = False
        self._came: Connection | BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ddpm-probe-connect", daemon=True)
        self._thread.start()

    def wait(self, deadline: float) -> Connection | BaseException | None:
        """The connection, what went wrong, or None when neither is there in time."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return None if self._thread.is_alive() else self._came

    @property
    def has_failed(self) -> bool:
        """Whether it has come to an end without a connection."""
        return isinstance(self._came, BaseException)

    def abandon(self) -> None:
        """It is not waited for any more."""
        with self._lock:
            self._abandoned = True
            if isinstance(self._came, psycopg.Connection):
                self._came.close()

    def _run(self) -> None:
        try:
            came: Connection | BaseException = self._connect()
        except Exception as error:  # noqa: BLE001 -- handed over to the thread that waits
            came = error
        with self._lock:
            self._came = came
            if self._abandoned and isinstance(came, psycopg.Connection):
                came.close()

    def _connect(self) -> Connection:
        given = keywords(self._url, self._seconds, _APPLICATION) | {"application_name": _APPLICATION}
        return psycopg.connect(**given, autocommit=True)
