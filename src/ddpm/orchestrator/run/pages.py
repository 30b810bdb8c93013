"""The newest page of metrics of each engine, as the watchers read it: a scrape of ddpm asks no engine.

A page of one engine costs a few milliseconds, and each is read every two seconds anyway.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ddpm.server.metrics import EnginePage
from ddpm.supervisor.runner import Supervisor

# Three looks in a row; an engine that is late so often is not shown with numbers of before.
FRESH_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class _Kept:
    at: float
    text: str


class EnginePages:
    """Pages by the pipeline and address of their engines; for any thread.

    Args:
        clock: Seconds, from any beginning.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], _Kept] = {}

    def keep(self, pipeline: str, url: str, text: str) -> None:
        """Take the page that the engine at an address gave just now; pages of engines that are gone go."""
        now = self._clock()
        with self._lock:
            for key in [key for key, each in self._kept.items() if now - each.at > FRESH_SECONDS]:
                del self._kept[key]
            self._kept[pipeline, url] = _Kept(now, text)

    def fresh(self, supervisor: Supervisor) -> Iterator[EnginePage]:
        """The page of every engine that answers, in the order of pipelines and replicas."""
        oldest = self._clock() - FRESH_SECONDS
        with self._lock:
            kept = dict(self._kept)
        for status in supervisor.statuses():
            for index, url in supervisor.vitals(status.name).answering:
                page = kept.get((status.name, url))
                if page is not None and page.at >= oldest:
                    yield EnginePage(status.name, index, page.text)
