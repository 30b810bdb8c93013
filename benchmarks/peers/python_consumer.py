"""programs/consumer.py, alone and three times in one group."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.peer import SameTable
from benchmarks.records import Load
from benchmarks.rig import Client, Names, Servers, running


class PythonConsumer(SameTable):
    """So many consumers, all children of one shell, which is what counts as the contender."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self.name = f"python-{processes}"
        self.title = f"Python consumer, {processes} process{'es' if processes > 1 else ''}"

    @contextmanager
    def started(self, of: Servers, load: Load, names: Names, folder: Path) -> Iterator[Client]:
        """All of them at once."""
        command = [sys.executable, "-m", "benchmarks.programs.several", str(self._processes)]
        command += [of.kafka.bootstrap, load.topic, names.group, of.postgres.dsn, names.table, load.workload.reader]
        with running([*command, *(["--indexed"] if load.workload.indexed else [])], folder / "consumer.log") as client:
            yield client
