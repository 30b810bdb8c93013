"""A producer that goes on whatever happens, with a known share of poison."""

import json
import threading
import time
from collections.abc import Iterator

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record, producing
from harness.audit import Poison, Row
from harness.waiting import eventually
from harness.world import World

COLUMNS = {"n": "integer", "padding": "text"}
POISON_EVERY = 100
# Longer than any fault of the broker.
PATIENCE = 300.0


def value(number: int, padding: int = 0) -> bytes:
    """The bytes of a record; every hundredth has text where the column wants a number."""
    shown = number if number % POISON_EVERY else f"poison {number}"
    return json.dumps({"n": shown, "padding": "x" * (number % 200 + padding)}).encode()


def expected(record: RawRecord) -> Row | Poison:
    """What must become of a record of `Traffic`."""
    document = json.loads(record.value or b"")
    return document if isinstance(document["n"], int) else Poison("22P02")


class Traffic:
    """Numbered records at a steady pace until the block ends.

    `produced` is how many have been handed over so far; `padding` makes those that follow larger by so many bytes, and
    `partitions` spreads them over so many.
    """

    def __init__(self, world: World, per_second: int = 1_000) -> None:
        self.produced = 0
        self.delivered = 0
        self.padding = 0
        self.partitions = self._known = world.partitions
        self.per_second = per_second
        self._world = world
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="traffic")

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for(self, more: int) -> None:
        """Wait until so many more records have been handed over."""
        goal = self.produced + more
        eventually(lambda: self._on() >= goal, f"{more} more records are produced", PATIENCE)

    def finish(self) -> int:
        """Stop, and return how many records the broker has acknowledged, which is all of them."""
        self._stop.set()
        self._thread.join()
        assert self._on() == self.delivered
        return self.delivered

    def _on(self) -> int:
        if self._failure is not None:
            raise AssertionError("the producer gave up") from self._failure
        return self.produced

    def _run(self) -> None:
        try:
            records = self._records()
            while not self._stop.is_set():
                self._produce(records, self.partitions)
        except BaseException as error:  # noqa: BLE001 -- told by whoever waits for records
            self._failure = error

    def _produce(self, records: Iterator[Record], partitions: int) -> None:
        """Hand records over until the end, or until partitions were added, of which a new producer knows."""
        self._known = partitions
        with producing(self._world.brokers, self._world.topic, timeout=PATIENCE) as producer:
            for record in records:
                producer.send(record)
                self.produced += 1
                if self.partitions != partitions:
                    break
            producer.flush()
            self.delivered += producer.delivered

    def _records(self) -> Iterator[Record]:
        number, begin = 0, time.monotonic()
        while not self._stop.is_set():
            ahead = number / self.per_second - (time.monotonic() - begin)
            if ahead > 0.01:
                self._stop.wait(ahead)
            partition = number % self._known
            yield Record(value=value(number, self.padding), key=str(number).encode(), partition=partition)
            number += 1
