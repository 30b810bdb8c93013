"""Large records and a Postgres that does not answer: the engine takes in no more than fits."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from ddpm.broker.produce import Record
from ddpm.devstack import EmbeddedPostgres
from harness.audit import audit
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World

COLUMNS = {"n": "integer", "padding": "text"}


def peak_memory(pid: int) -> int:
    """The largest resident size of a process so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


def test_outage_with_large_records_stays_within_memory(
    world: World, tmp_path: Path, postgres: EmbeddedPostgres
) -> None:
    large = 900_000
    records = [Record(value=json.dumps({"n": n, "padding": "x" * large}).encode(), partition=n % 3) for n in range(600)]
    world.create_topic()
    with Ddpm(world.config(postgres={"columns": COLUMNS, "write_timeout": "2s"}), tmp_path) as ddpm:
        ddpm.wait_healthy()
        engine = ddpm.engine_pid
        postgres.suspend()
        try:
            assert world.produce(records) == len(records)
            eventually(lambda: "waiting" in ddpm.log, "ddpm says that it waits")
            steady = Steady(lambda: peak_memory(engine))
            eventually(steady.reached, "the engine has taken in what it will", 60)
        finally:
            postgres.resume()
        world.wait_consumed()
        assert peak_memory(engine) < 1_000_000_000
        assert ddpm.engine_pid == engine
        assert ddpm.stop() == 0
    books = audit(world, lambda record: json.loads(record.value or b""))
    assert (books.rows, books.dead) == (600, 0)


class Steady:
    """Whether a figure has not grown for three seconds."""

    def __init__(self, figure: Callable[[], int]) -> None:
        self._figure = figure
        self._last, self._since = figure(), time.monotonic()

    def reached(self) -> bool:
        if (now := self._figure()) != self._last:
            self._last, self._since = now, time.monotonic()
        return time.monotonic() - self._since > 3
