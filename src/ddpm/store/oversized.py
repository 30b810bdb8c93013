"""Dead letters that were too large for their topic, in the table `ddpm_dead_letters`. Reads only: engines write it."""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from ddpm.config.names import split_table
from ddpm.store import queries
from ddpm.store.connection import Connection, connect
from ddpm.store.version import own_table

TABLE = "ddpm_dead_letters"

# Ids are given out before they can be seen, so a smaller one may come into view after a larger one.
_OVERLAP = 1_000


@dataclass(frozen=True, slots=True)
class OversizedLetter:
    """A row: `kept_at_ms` in milliseconds since 1970; headers, key and value as the engine meant them for Kafka."""

    id: int
    kept_at_ms: int
    headers: tuple[tuple[str, bytes | None], ...]
    key: bytes | None
    value: bytes | None


class OversizedLetters:
    """What is kept of one pipeline's letters; every question opens a connection of its own."""

    def __init__(self, url: str, table: str, pipeline: str, topics: Iterable[str]) -> None:
        """Ask nothing yet.

        Args:
            url: The database.
            table: The pipeline's table, `name` or `schema.name`; the letters stand in its schema.
            pipeline: The pipeline's name.
            topics: Its topics: letters of others are those of another pipeline of that name.

        """
        self._url = url
        self._schema = split_table(table)[0]
        self._whose = {"pipeline": pipeline, "topics": list(topics)}
        self._seen: set[int] = set()

    def unseen(self) -> list[OversizedLetter]:
        """The letters that no earlier call has returned, without keys and values.

        Raises:
            ServiceError: The database cannot be reached.
            NewerStateError: A newer ddpm has changed the table.

        """
        after = max(self._seen, default=0) - _OVERLAP
        with connect(self._url) as connection:
            table = self._table(connection)
            if table is None:
                return []
            rows = connection.execute(queries.KEPT.format(table=table), {**self._whose, "after": after}).fetchall()
        found = [_letter(*row) for row in rows if row[0] not in self._seen]
        self._seen.update(letter.id for letter in found)
        return found

    def forget(self) -> None:
        """Return all letters again at the next call of `unseen`."""
        self._seen.clear()

    def pick(self, ids: Iterable[int]) -> list[OversizedLetter]:
        """Letters with everything in them; those that are gone are left out. Raises as `unseen` does."""
        with connect(self._url) as connection:
            table = self._table(connection)
            if table is None:
                return []
            wanted = {**self._whose, "ids": list(ids)}
            return [_letter(*row) for row in connection.execute(queries.KEPT_WHOLE.format(table=table), wanted)]

    def _table(self, connection: Connection) -> sql.Identifier | None:
        return own_table(connection, self._schema, TABLE)


def _letter(
    number: int, kept_at_ms: int, headers: str, key: bytes | None = None, value: bytes | None = None
) -> OversizedLetter:
    pairs = tuple((str(name), base64.b64decode(text)) for name, text in json.loads(headers))
    return OversizedLetter(number, kept_at_ms, pairs, key, value)
