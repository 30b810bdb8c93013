"""A topic is deleted and made again while ddpm runs: another source, nothing lost, nothing twice, no person needed."""

import json
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from ddpm.broker.connection import admin
from ddpm.broker.produce import Record
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World, json_records

ROUNDS = 3


def remake(world: World) -> None:
    with admin([world.bootstrap]) as client:
        client.delete_topics([world.topic])
    eventually(lambda: _made(world), "the topic is made again")


def _made(world: World) -> bool:
    try:
        world.create_topic()
    except Exception:  # noqa: BLE001 -- the broker is still deleting
        return False
    return True


def written(world: World) -> Counter[int]:
    """How often each number is in the table."""
    return Counter(int(row["data"]["n"]) for row in world.rows("data"))


def all_there(world: World, produced: int) -> bool:
    return len(written(world)) == produced


def sources(world: World) -> Counter[int]:
    return Counter(row["source"] for row in world.rows("source"))


def test_records_of_the_new_topic_are_rows_of_another_source(world: World, tmp_path: Path) -> None:
    """The new topic is shorter than what was committed, then longer: both times all of it arrives, once."""
    world.create_topic()
    produced = 0
    with Ddpm(world.config(), tmp_path) as running:
        running.wait_healthy()
        for count in (3_000, 300, 9_000):
            world.produce(json_records([{"n": produced + number} for number in range(count)]))
            produced += count
            eventually(partial(all_there, world, produced), f"{produced} records arrive", 90)
            if count != 9_000:
                remake(world)
        eventually(lambda: running.health()[0] == 200, "it is well again")
        assert "deleted and made again" in running.log
        assert running.stop() == 0
    assert set(written(world).values()) == {1}
    assert sorted(sources(world).values()) == [300, 3_000, 9_000]


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_nothing_of_the_new_topic_gets_the_old_number_under_load(world: World, tmp_path: Path, round_: int) -> None:
    """Made again in the middle of a load that never stops: every row of the new topic has the new number."""
    world.create_topic()
    with Ddpm(world.config(), tmp_path) as running:
        running.wait_healthy()
        load = Load(world, "old")
        eventually(lambda: world.count() > 5_000, "records flow")
        load.end()
        remake(world)
        begun = time.monotonic()
        load = Load(world, "new")
        eventually(lambda: len(sources(world)) == 2, "rows have the new number", 60)
        took = time.monotonic() - begun
        load.end()
        eventually(lambda: of(world, "new").total() >= load.produced, "all of the new topic is there", 90)
        world.wait_consumed()
        assert running.stop() == 0
    print(f"new number after {took:.1f} s, with {load.produced} records produced by then")
    assert load.produced > 1_000
    assert set(of(world, "new").values()) == {1}, "a record of the new topic is there twice"
    lives = {(row["life"], row["source"]) for row in world.rows("distinct data->>'life' as life, source")}
    assert len(lives) == 2, f"rows of one topic have numbers of both: {lives}"


def of(world: World, life: str) -> Counter[int]:
    return Counter(int(row["data"]["n"]) for row in world.rows("data") if row["data"]["life"] == life)


class Load:
    """A producer that goes on until it is told to end."""

    def __init__(self, world: World, life: str) -> None:
        self.produced = 0
        self._world, self._life = world, life
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            batch = range(self.produced, self.produced + 500)
            records = [Record(value=json.dumps({"n": n, "life": self._life}).encode(), partition=n % 3) for n in batch]
            self.produced += self._world.produce(records)

    def end(self) -> None:
        self._over.set()
        self._thread.join()
