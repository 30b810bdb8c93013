"""`ddpm run` with its defaults: the whole of it counts, its own process and its engines."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.peers.peer import SameTable
from benchmarks.records import Load, Workload
from benchmarks.rig import Checkout, Client, Names, Servers
from harness.process import Ddpm

# ddpm starts it again for ever, which is right for users and no measurement.
ENGINE_DIED = "engine exited with code"


class DdpmRun(SameTable):
    """ddpm of one checkout."""

    name = "ddpm"
    title = "ddpm"

    def __init__(self, checkout: Checkout | None = None) -> None:
        self._checkout = checkout or Checkout()
        self.title = self._checkout.label

    def prepare(self) -> None:
        """Have the engine built."""
        self._checkout.build()

    def create_table(self, of: Servers, load: Load, names: Names) -> None:
        """ddpm makes its table itself."""

    @contextmanager
    def started(self, of: Servers, load: Load, names: Names, folder: Path) -> Iterator[Client]:
        """`ddpm run` as a user starts it; it must drain and end well."""
        config = configuration(of, load.workload, load.topic, names)
        with Ddpm(config, folder, self._checkout.env, program=self._checkout.program) as ddpm:
            yield Client(ddpm.popen, folder / "ddpm.log", orchestrated=True, broken=ENGINE_DIED)
            assert ddpm.stop() == 0, ddpm.log[-2000:]


def configuration(of: Servers, workload: Workload, topic: str, names: Names) -> dict[str, Any]:
    """What a user would write for a workload."""
    postgres: dict[str, Any] = {"url": of.postgres.dsn, "table": names.table}
    if workload.columns is not None:
        postgres["columns"] = dict(workload.columns)
    app = {
        "kafka": {"brokers": [of.kafka.bootstrap], "topics": [topic], "consumer_group": names.group},
        "postgres": postgres,
        "dead_letter": {"topic": names.dead_topic},
        "server": {"port": 0},
        "logger": {"level": "WARN"},
    }
    return {"app": app | dict(workload.sections)}
