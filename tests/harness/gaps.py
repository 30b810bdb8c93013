"""How long no row comes in while a fault lasts."""

import threading
import time

import psycopg
from psycopg import sql

from harness.world import World

_EVERY_SECONDS = 0.05


class Gaps:
    """Looks at a table again and again while the block runs; `longest` is in seconds."""

    def __init__(self, world: World) -> None:
        self.longest = 0.0
        self._world = world
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gaps")

    def __enter__(self) -> "Gaps":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        query = sql.SQL("select count(*) from {}").format(sql.Identifier(self._world.table))
        with psycopg.connect(self._world.dsn, autocommit=True) as connection:
            before, at = None, time.monotonic()
            while not self._stop.wait(_EVERY_SECONDS):
                seen = connection.execute(query).fetchone()
                now = time.monotonic()
                if seen != before:
                    before, at = seen, now
                self.longest = max(self.longest, now - at)
