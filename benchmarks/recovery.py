"""How long people wait: from `ddpm run` to the first row, and from an engine that is killed to rows again.

The servers are up, the engine is built. A record of every few milliseconds is written all the time in the second case,
and the clock stops at the first row of a record that was written after the kill.
"""

import json
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx2 as httpx
import psutil
from confluent_kafka import Producer

from benchmarks.peers.ddpm_run import configuration
from benchmarks.records import CLICK, Workload, clicks
from benchmarks.report import Effort, finish
from benchmarks.rig import Checkout, Names, Servers, console, drop, fresh_names, scratch
from ddpm.broker.topics import TopicSpec, ensure_topics
from harness.process import Ddpm

PAUSE_SECONDS = 0.005
LOOK_SECONDS = 0.01
GIVE_UP_SECONDS = 90.0
ENGINE = "ddpm-engine"
# So many rows after the start, so that the kill hits an engine that works.
SETTLED_ROWS = 500
WORKLOAD = Workload("recovery", "small events", clicks, reader="click", columns=CLICK)


@dataclass(frozen=True)
class Waited:
    """Seconds from the start of `ddpm run` to the first row and to a healthy pipeline, and from a kill to rows."""

    first_row: float
    healthy: float
    kill: float


def measure(of: Servers, effort: Effort, _: Path) -> None:
    """Start and kill as many times as there are rounds, and write the section `recovery`."""
    Checkout().build()
    waited = []
    for number in range(1, effort.rounds + 1):
        waited.append(wait(of, Checkout()))
        console.print(f"round {number}: {waited[-1]}", highlight=False)
    finish("recovery", effort, table(waited))


def table(waited: Sequence[Waited]) -> list[str]:
    """The table of the section."""
    lines = ["| what | s |", "|---|---|"]
    each: dict[str, Callable[[Waited], float]] = {
        "`ddpm run` → first row": lambda one: one.first_row,
        "`ddpm run` → /health says ok": lambda one: one.healthy,
        "`kill -9` of the engine → a row of a record written after it": lambda one: one.kill,
    }
    for name, of in each.items():
        values = [of(one) for one in waited]
        lines.append(f"| {name} | {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f}) |")
    return lines


def wait(of: Servers, checkout: Checkout) -> Waited:
    """One start and one kill of a checkout's ddpm."""
    names = fresh_names()
    topic = f"bench-recovery-{names.tag}"
    ensure_topics([of.kafka.bootstrap], [TopicSpec(topic, WORKLOAD.partitions)])
    config = configuration(of, WORKLOAD, topic, names)
    with scratch() as folder, Trickle(of, topic) as trickle:
        begin = time.monotonic()
        with Ddpm(config, folder, checkout.env, program=checkout.program) as ddpm:
            wait_for_row(of, names, 0)
            first_row = time.monotonic() - begin
            wait_for(lambda: ddpm.health()[0] == httpx.codes.OK, "the pipeline is healthy")
            healthy = time.monotonic() - begin
            settled = trickle.written + SETTLED_ROWS
            wait_for(lambda: trickle.written > settled, "records go on")
            wait_for_row(of, names, settled)
            (engine,) = (
                child for child in psutil.Process(ddpm.popen.pid).children(recursive=True) if child.name() == ENGINE
            )
            killed = time.monotonic()
            os.kill(engine.pid, signal.SIGKILL)
            wait_for_row(of, names, trickle.written + 1)
            kill = time.monotonic() - killed
            assert ddpm.stop() == 0, ddpm.log[-2000:]
    drop(of, names.table)
    return Waited(first_row, healthy, kill)


class Trickle(threading.Thread):
    """Writes a numbered record every few milliseconds for the length of the block, into all partitions in turn."""

    def __init__(self, of: Servers, topic: str) -> None:
        super().__init__(name="trickle", daemon=True)
        self._producer = Producer({"bootstrap.servers": of.kafka.bootstrap, "linger.ms": 0})
        self._topic = topic
        self._done = threading.Event()
        self.written = 0

    def run(self) -> None:
        """Write until the block ends."""
        while not self._done.wait(PAUSE_SECONDS):
            value = {"id": self.written, "kind": "click", "v": 1.5, "n": 1}
            partition = self.written % WORKLOAD.partitions
            self._producer.produce(self._topic, json.dumps(value).encode(), partition=partition)
            self._producer.poll(0)
            self.written += 1

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()
        self._producer.flush(30)


def wait_for_row(of: Servers, names: Names, at_least: int) -> None:
    """Return when the table has a row with such a number or a later one."""
    with of.connect() as connection:
        wait_for(
            lambda: connection.execute("select to_regclass(%s) is not null", [names.table]).fetchone() == (True,),
            "the table is made",
        )
        newest = f"select max(id) from {names.table}"

        def there() -> bool:
            row = connection.execute(newest).fetchone()
            return row is not None and row[0] is not None and row[0] >= at_least

        wait_for(there, f"row {at_least}")


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Return when a condition holds; `what` names it when it does not come true."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {GIVE_UP_SECONDS:.0f} s"
        time.sleep(LOOK_SECONDS)
