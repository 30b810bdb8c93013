"""Replicas follow the lag: from one to three while one cannot keep up, and back when the traffic has gone."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx

from ddpm.broker.produce import Record
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World

SHIPPED = Path(__file__).parents[2] / "pipelines" / "benthos" / "pipeline.yaml"
# One replica sleeps so long over each record that it cannot keep up with the load, and three can.
SECONDS_A_RECORD = 0.02
PER_SECOND = 160


def slow_template(folder: Path) -> Path:
    """The shipped pipeline, with a step that takes its time and one thread."""
    path = folder / "slow.yaml"
    sleep = f'{{"sleep": {{"duration": "{SECONDS_A_RECORD}s"}}}}'
    steps = f'{{{{ {{"threads": 2, "processors": origin + [{sleep}] + parser}} | yaml(2) }}}}'
    path.write_text(SHIPPED.read_text().replace("{{ pipeline | yaml(2) }}", steps))
    return path


class Traffic:
    """Numbered records at a steady pace until told to stop."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.delivered = 0

    def _records(self) -> Iterator[Record]:
        number, begin = 0, time.monotonic()
        while not self._stop.is_set():
            ahead = number / PER_SECOND - (time.monotonic() - begin)
            if ahead > 0.01:
                self._stop.wait(ahead)
            yield Record(value=json.dumps({"n": number}).encode(), partition=number % 3)
            number += 1

    def _run(self) -> None:
        self.delivered = self._world.produce(self._records())

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def pipeline(ddpm: Ddpm) -> dict[str, Any]:
    body: dict[str, Any] = httpx.get(f"{ddpm.url}/v1/pipelines/pipeline", timeout=10, trust_env=False).json()
    return body


def ready(ddpm: Ddpm) -> int:
    return sum(replica["ready"] for replica in pipeline(ddpm)["replicas"])


def test_the_lag_brings_replicas_up_and_its_absence_takes_them_away(world: World, tmp_path: Path) -> None:
    world.create_topic()
    config = world.config(
        pipeline_template=str(slow_template(tmp_path)),
        postgres={"columns": {"n": "integer"}},
        batching={"count": 20},
        scale={"min": 1, "max": 5, "target_lag": "2s", "up_after": "6s", "down_after": "10s"},
    )
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        assert ready(running) == 1
        with Traffic(world) as traffic:
            eventually(lambda: ready(running) == 3, "three replicas run", timeout=150)
            scaling = pipeline(running)["scaling"]
            assert (scaling["mode"], scaling["maximum"]) == ("lag", 5)
            assert "target 2 s" in " ".join(event["message"] for event in pipeline(running)["events"])
            traffic.stop()
        eventually(lambda: len(pipeline(running)["replicas"]) == 1, "one replica is left", timeout=200)
        told = [event["message"] for event in pipeline(running)["events"] if event["kind"] == "scale"]
        assert len(told) >= 2, told
        metrics = running.metrics()
        assert 'ddpm_scale_decisions_total{direction="up",pipeline="pipeline"}' in metrics or (
            'ddpm_scale_decisions_total{pipeline="pipeline",direction="up"}' in metrics
        )
        world.wait_consumed()
        assert running.stop() == 0
    rows = world.rows("n")
    assert sorted(row["n"] for row in rows) == list(range(traffic.delivered)), "nothing is lost or doubled on the way"
