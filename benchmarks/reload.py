"""How long rows stay away while a configuration changes: one of three pipelines is run otherwise, under traffic.

All three read the same topic, into which a record of every few milliseconds is written. What is measured is the longest
time in which a table got no row, of the pipeline that changes and of those that do not, and how long a reload takes.
"""

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2 as httpx
import yaml

from benchmarks.peers.ddpm_run import configuration
from benchmarks.recovery import WORKLOAD, Trickle, wait_for, wait_for_row
from benchmarks.report import Effort, finish
from benchmarks.rig import Checkout, Names, Servers, console, drop, fresh_names, scratch
from ddpm.broker.topics import TopicSpec, ensure_topics
from harness.process import Ddpm

LOOK_SECONDS = 0.01
SETTLED_ROWS = 500


@dataclass(frozen=True)
class Changed:
    """Seconds: the reload, until everything is healthy again, and the longest times without a row."""

    reload: float
    healthy: float
    changed: float
    others: float


def measure(of: Servers, effort: Effort, _: Path) -> None:
    """Reload as many times as there are rounds, and write the section `reload`."""
    Checkout().build()
    seen = []
    for number in range(1, effort.rounds + 1):
        seen.append(change(of))
        console.print(f"round {number}: {seen[-1]}", highlight=False)
    finish("reload", effort, table(seen))


def table(seen: Sequence[Changed]) -> list[str]:
    """The table of the section."""
    lines = ["| what | s |", "|---|---|"]
    each: dict[str, Callable[[Changed], float]] = {
        "`POST /v1/reload` → done: the new engine runs": lambda one: one.reload,
        "`POST /v1/reload` → /health says ok": lambda one: one.healthy,
        "longest time without a row, of the pipeline that changes": lambda one: one.changed,
        "longest time without a row, of the two others": lambda one: one.others,
    }
    for name, of in each.items():
        values = [of(one) for one in seen]
        lines.append(f"| {name} | {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f}) |")
    return lines


def change(of: Servers) -> Changed:
    """One reload that changes one of three pipelines."""
    topic = f"bench-reload-{fresh_names().tag}"
    ensure_topics([of.kafka.bootstrap], [TopicSpec(topic, WORKLOAD.partitions)])
    tables = {name: fresh_names() for name in ("one", "two", "three")}
    with (
        scratch() as folder,
        Trickle(of, topic) as trickle,
        ExitStack() as watched,
        Ddpm(_settings(of, topic, tables, 4_000), folder) as ddpm,
    ):
        for names in tables.values():
            wait_for_row(of, names, 0)
        wait_for(lambda: ddpm.health()[0] == httpx.codes.OK, "all are healthy")
        settled = trickle.written + SETTLED_ROWS
        wait_for(lambda: trickle.written > settled, "records go on")
        for names in tables.values():
            wait_for_row(of, names, settled)
        gaps = {name: watched.enter_context(Gap(of, names)) for name, names in tables.items()}
        ddpm.config_path.write_text(yaml.safe_dump(_settings(of, topic, tables, 3_000)))
        begin = time.monotonic()
        _reloaded(ddpm)
        done = time.monotonic() - begin
        wait_for(lambda: ddpm.health()[0] == httpx.codes.OK, "all are healthy again")
        healthy = time.monotonic() - begin
        for names in tables.values():
            wait_for_row(of, names, trickle.written + SETTLED_ROWS)
        watched.close()
        assert ddpm.stop() == 0, ddpm.log[-2000:]
    for names in tables.values():
        drop(of, names.table)
    return Changed(done, healthy, gaps["one"].longest, max(gaps["two"].longest, gaps["three"].longest))


def _settings(of: Servers, topic: str, tables: dict[str, Names], count: int) -> dict[str, Any]:
    """Three pipelines; the first has batches of so many records."""
    made = {name: configuration(of, WORKLOAD, topic, names)["app"] for name, names in tables.items()}
    shared = {key: made["one"].pop(key) for key in ("server", "logger")}
    pipelines = {name: {key: each[key] for key in ("kafka", "postgres", "dead_letter")} for name, each in made.items()}
    pipelines["one"]["batching"] = {"count": count}
    return {"app": shared, "pipelines": pipelines}


def _reloaded(ddpm: Ddpm) -> None:
    with httpx.Client(base_url=ddpm.url, timeout=10, trust_env=False) as client:
        number = client.post("/v1/reload", json={}).raise_for_status().json()["number"]
        ended: dict[str, Any] = {}

        def over() -> bool:
            answer = client.get("/v1/reload", params={"number": number})
            ended.update(answer.json())
            return answer.status_code == httpx.codes.OK and ended["state"] != "running"

        wait_for(over, "the reload has ended")
    assert (ended["state"], ended["changed"]) == ("done", ["one"]), ended


class Gap(threading.Thread):
    """Looks again and again for new rows in a table while the block runs; `longest` is how long there was none."""

    def __init__(self, of: Servers, names: Names) -> None:
        super().__init__(name=f"gap of {names.table}", daemon=True)
        self._of, self._query = of, f"select max(id) from {names.table}"
        self._done = threading.Event()
        self.longest = 0.0

    def run(self) -> None:
        """Look until the block ends."""
        with self._of.connect() as connection:
            newest, at = connection.execute(self._query).fetchone(), time.monotonic()
            while not self._done.wait(LOOK_SECONDS):
                found, now = connection.execute(self._query).fetchone(), time.monotonic()
                self.longest = max(self.longest, now - at)
                if found != newest:
                    newest, at = found, now

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()
