"""COPY by one stream into the same table with the same key, from a file: the limit to measure against."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.peer import SameTable
from benchmarks.records import Load
from benchmarks.rig import Client, Names, Servers, running


class CopyStream(SameTable):
    """programs/copy_file.py; it reads no topic and commits nothing to Kafka."""

    name = "copy"
    title = "COPY by one stream (no Kafka)"

    @contextmanager
    def started(self, of: Servers, load: Load, names: Names, folder: Path) -> Iterator[Client]:
        """Until the file has ended."""
        command = [sys.executable, "-m", "benchmarks.programs.copy_file"]
        command += [of.postgres.dsn, names.table, str(load.file)]
        with running(command, folder / "copy.log", ends=True) as client:
            yield client
