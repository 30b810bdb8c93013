"""Windows of a table that are read again: staged beside it, then put in the place of its rows.

What was staged, from which offsets and how far it has come stands in a small table beside the data, so that both steps
can be done apart and a replay that was killed is distinguished from one that waits.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from ddpm.config.names import join_table
from ddpm.errors import MismatchError, ServiceError
from ddpm.store import queries
from ddpm.store.connection import Connection, connect, where
from ddpm.store.tables import TableSpec, schema_for_new_table
from ddpm.store.version import bring_up, own_table

TABLE = "ddpm_replays"

_NAME_BYTES = 63
# The columns of `queries.REPLAYS` that all partitions of a replay share.
_HEAD = ("tag", "pipeline", "transform", "table", "staging", "kept", "since_ms", "until_ms")


class State(StrEnum):
    """How far a partition of a window has come."""

    READING = "reading"
    STAGED = "staged"
    LOADED = "loaded"


@dataclass(frozen=True, slots=True)
class Part:
    """One partition of a window: the offsets from `first` to before `end` of a source, and the rows staged of it."""

    topic: str
    source: int
    partition: int
    first: int
    end: int
    state: State = State.READING
    staged: int = 0


@dataclass(frozen=True, slots=True)
class Replay:
    """A window that is read again.

    Attributes:
        tag: Its name.
        pipeline: Whose it is.
        transform: A hash of what made rows of its records.
        table: The table, `schema.name`.
        staging: The table beside it, without the schema; empty when it was dropped.
        kept: Whether the staging table is there on purpose.
        since_ms: The beginning of the window, in milliseconds since 1970.
        until_ms: Its end, likewise.
        parts: By topic and partition.

    """

    tag: str
    pipeline: str
    transform: str
    table: str
    staging: str
    kept: bool
    since_ms: int
    until_ms: int
    parts: tuple[Part, ...]


class Loaded(NamedTuple):
    """What became of a partition's rows.

    Attributes:
        deleted: Rows that are gone.
        inserted: Rows that came.
        vanished: Deleted ones that no row came for.
        kept: Rows that stayed, since Kafka does not have their records any more.

    """

    deleted: int
    inserted: int
    vanished: int
    kept: int


@dataclass(frozen=True, slots=True)
class Run:
    """Records that were read without a gap between them: the offsets from `first` to `last` of a source's partition."""

    source: int
    partition: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row came from."""

    source: int
    partition: int
    offset: int
    index: int | None


def staging_name(table: str, tag: str) -> str:
    """The name of the staging table of a run, as long as Postgres takes names."""
    return _beside(table, f"__replay_{tag}")


def _beside(table: str, suffix: str) -> str:
    short = table.encode()[: _NAME_BYTES - len(suffix)].decode("utf-8", "ignore")
    return short + suffix


@contextmanager
def alone(url: str, table: str) -> Iterator[None]:
    """Let nobody else replay into `table`, `schema.name`, while the block runs; however this process ends.

    Raises:
        ServiceError: Somebody does, or the database cannot be reached.

    """
    with connect(url) as connection:
        row = connection.execute(queries.TRY_REPLAY_LOCK, {"table": table}).fetchone()
        if not row or not row[0]:
            msg = f"another replay of the table {table} runs in {where(url)}"
            raise ServiceError(msg, hint="wait until it has ended")
        # After a statement without parameters such a transaction holds no snapshot, so Postgres can clean up meanwhile.
        connection.execute(queries.HOLD_TRANSACTION)
        try:
            yield
        finally:
            # What was done meanwhile is done, even if the lock was lost with its connection.
            with suppress(psycopg.Error):
                connection.rollback()
            connection.close()


class Replays:
    """The replays of one table. Each call is a transaction of its own.

    Args:
        url: The database.
        schema: Where the table stands.
        spec: The table.

    """

    def __init__(self, url: str, schema: str, spec: TableSpec) -> None:
        self._url = url
        self._schema = schema
        self._spec = spec
        self._table = sql.Identifier(schema, spec.name)
        self._books = sql.Identifier(schema, TABLE)

    @property
    def table(self) -> str:
        """The table, `schema.name`."""
        return join_table(self._schema, self._spec.name)

    def begin(self, replay: Replay) -> None:
        """Make the staging table of a replay, and enter it.

        Raises:
            ServiceError: The database cannot be reached, or ddpm lacks a right.

        """
        with connect(self._url) as connection:
            connection.execute(queries.LOCK)
            self._ensure_books(connection)
            staging = self._staging(replay.staging)
            connection.execute(queries.CREATE_STAGING.format(staging=staging, table=self._table))
            read = self._read(replay.tag)
            connection.execute(queries.CREATE_READ.format(kind=sql.SQL("TABLE"), read=read))
            for part in replay.parts:
                values = {
                    "tag": replay.tag,
                    "pipeline": replay.pipeline,
                    "transform": replay.transform,
                    "table": replay.table,
                    "staging": replay.staging,
                    "kept": replay.kept,
                    "since": replay.since_ms,
                    "until": replay.until_ms,
                    **_span(part),
                    "topic": part.topic,
                }
                connection.execute(queries.ADD_REPLAY.format(table=self._books), values)

    def all(self, tag: str | None = None) -> list[Replay]:
        """The replays of the table, or the one with this tag; raises ServiceError."""
        with connect(self._url) as connection:
            if not self._has_books(connection):
                return []
            rows = connection.execute(queries.REPLAYS.format(table=self._books), {"table": self.table, "tag": tag})
            return _grouped(rows)

    def staged(self, tag: str, read: Sequence[Run]) -> None:
        """Note that everything of a replay is in its staging table, and which records were read for it."""
        with connect(self._url) as connection:
            replay = self._one(connection, tag)
            connection.execute(queries.ADD_READ.format(read=self._read(tag)), _runs(read))
            statement = queries.STAGED.format(table=self._books, staging=self._staging(replay.staging))
            connection.execute(statement, {"tag": tag})

    def keep(self, tag: str) -> None:
        """Note that the staging table of a replay is to stay."""
        with connect(self._url) as connection:
            connection.execute(queries.KEEP_REPLAY.format(table=self._books), {"tag": tag})

    def load(self, replay: Replay, part: Part, *, delete_missing: bool) -> Loaded:
        """Put the staged rows of a partition in the place of those that the table has, in one transaction.

        Rows whose records Kafka does not have any more stay, unless `delete_missing`.

        Raises:
            MismatchError: The table does not take a row; nothing of the partition was changed.
            ServiceError: The database cannot be reached, ddpm lacks a right, or what was staged is not there any more.

        """
        with connect(self._url) as connection:
            for name in (replay.staging, self._read_name(replay.tag)):
                if connection.execute(queries.TABLE, {"schema": self._schema, "name": name}).fetchone() is None:
                    raise _staging_gone(replay, name)
            return self._load(connection, replay, part, delete_missing=delete_missing)

    def _load(self, connection: Connection, replay: Replay, part: Part, *, delete_missing: bool) -> Loaded:
        table, staging = self._table, self._staging(replay.staging)
        identity = _listed(self._spec.identity)
        columns = _listed((*self._spec.identity, *(name for name, _ in self._spec.columns)))
        span = _span(part) | {"missing": delete_missing}
        was_read = queries.WAS_READ.format(read=self._read(replay.tag))
        names = {"table": table, "staging": staging, "span": queries.SPAN, "was_read": was_read}
        connection.execute(queries.LOCK_WRITERS.format(table=table))
        vanished = _number(connection, queries.COUNT_VANISHING.format(identity=identity, **names), span)
        deleted = connection.execute(queries.DELETE_SPAN.format(**names), span).rowcount
        try:
            copied = connection.execute(queries.COPY_SPAN.format(columns=columns, **names), span)
        except psycopg.IntegrityError as error:
            msg = (
                f"the table {self.table} does not take what was staged of {part.topic}, partition {part.partition}: "
                f"{error.diag.message_primary}; nothing of this partition was changed"
            )
            raise MismatchError(
                msg, hint=f"correct it, then load it with --skip-transform --runtag {replay.tag}"
            ) from None
        if copied.rowcount != part.staged:
            msg = (
                f"{part.staged} rows of {part.topic}, partition {part.partition} were staged in {replay.staging}, and "
                f"{copied.rowcount} are there; nothing of this partition was changed"
            )
            raise ServiceError(msg, hint="stage the window again")
        kept = 0 if delete_missing else _number(connection, queries.COUNT_MISSING.format(**names), span)
        values = {"tag": replay.tag, "topic": part.topic, "partition": part.partition}
        numbers = {"deleted": deleted, "inserted": copied.rowcount}
        connection.execute(queries.LOADED.format(table=self._books), values | numbers)
        return Loaded(deleted, copied.rowcount, vanished, kept)

    def rows(self, parts: Iterable[Part]) -> int:
        """How many rows the table has of these offsets; raises ServiceError."""
        with connect(self._url) as connection:
            return sum(
                _number(connection, queries.COUNT_SPAN.format(table=self._table, span=queries.SPAN), _span(part))
                for part in parts
            )

    def missing(self, parts: Iterable[Part], read: Sequence[Run]) -> int:
        """How many of these rows come from records that are not among those that were read; raises ServiceError."""
        name = sql.Identifier("ddpm_read")
        names = {"table": self._table, "span": queries.SPAN, "was_read": queries.WAS_READ.format(read=name)}
        with connect(self._url) as connection:
            connection.execute(queries.CREATE_READ.format(kind=sql.SQL("TEMPORARY TABLE"), read=name))
            connection.execute(queries.ADD_READ.format(read=name), _runs(read))
            found = sum(_number(connection, queries.COUNT_MISSING.format(**names), _span(part)) for part in parts)
            connection.rollback()
        return found

    def places(self, staging: str, wanted: Sequence[Place]) -> set[Place]:
        """Those of the wanted places that a staging table has a row of; raises ServiceError."""
        if not wanted:
            return set()
        same = 't."index" = wanted."index"' if self._spec.indexed else "true"
        statement = queries.PLACES_IN.format(table=self._staging(staging), same_index=sql.SQL(same))
        values = {
            "sources": [place.source for place in wanted],
            "partitions": [place.partition for place in wanted],
            "offsets": [place.offset for place in wanted],
            "indexes": [place.index for place in wanted],
        }
        with connect(self._url) as connection:
            return {Place(*row) for row in connection.execute(statement, values)}

    def drop(self, replay: Replay) -> None:
        """Remove the staging table of a replay, and what was entered of partitions that were not loaded."""
        with connect(self._url) as connection:
            tables = {"staging": self._staging(replay.staging), "read": self._read(replay.tag)}
            connection.execute(queries.DROP_STAGING.format(**tables))
            for statement in (queries.FORGET_REPLAY, queries.FORGET_STAGING):
                connection.execute(statement.format(table=self._books), {"tag": replay.tag})

    def _one(self, connection: Connection, tag: str) -> Replay:
        rows = connection.execute(queries.REPLAYS.format(table=self._books), {"table": self.table, "tag": tag})
        return _grouped(rows)[0]

    def _staging(self, name: str) -> sql.Identifier:
        return sql.Identifier(self._schema, name)

    def _read_name(self, tag: str) -> str:
        return _beside(self._spec.name, f"__read_{tag}")

    def _read(self, tag: str) -> sql.Identifier:
        return sql.Identifier(self._schema, self._read_name(tag))

    def _has_books(self, connection: Connection) -> bool:
        return own_table(connection, self._schema, TABLE) is not None

    def _ensure_books(self, connection: Connection) -> None:
        if self._has_books(connection):
            return
        schema_for_new_table(connection, self._schema, connection.info.user, TABLE, self._url)
        bring_up(connection, self._schema)
        for statement in (queries.CREATE_REPLAYS, queries.COMMENT_REPLAYS):
            connection.execute(statement.format(table=self._books))


def _staging_gone(replay: Replay, name: str) -> MismatchError:
    msg = f"the staging table {name} of the replay {replay.tag} is not there any more"
    return MismatchError(msg, hint="stage the window again")


def _span(part: Part) -> dict[str, Any]:
    return {"source": part.source, "partition": part.partition, "first": part.first, "end": part.end}


def _runs(read: Sequence[Run]) -> dict[str, list[int]]:
    return {
        "sources": [run.source for run in read],
        "partitions": [run.partition for run in read],
        "firsts": [run.first for run in read],
        "lasts": [run.last for run in read],
    }


def _listed(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _number(connection: Connection, statement: sql.Composed, values: dict[str, Any]) -> int:
    row = connection.execute(statement, values).fetchone()
    return int(row[0]) if row else 0


def _grouped(rows: Iterable[tuple[Any, ...]]) -> list[Replay]:
    heads: dict[str, dict[str, Any]] = {}
    parts: dict[str, list[Part]] = {}
    for row in rows:
        heads[row[0]] = dict(zip(_HEAD, row, strict=False))
        topic, source, partition, first, end, state, staged = row[8:]
        parts.setdefault(row[0], []).append(Part(topic, source, partition, first, end, State(state), staged))
    return [Replay(**head, parts=tuple(parts[tag])) for tag, head in heads.items()]
