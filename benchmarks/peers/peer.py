"""What a peer is, and one run of it: a table of its own, a clock beside it, its contents compared."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from benchmarks.records import Load, Workload
from benchmarks.rig import (
    Client,
    Clock,
    Committed,
    Contents,
    Measured,
    Names,
    Servers,
    contents,
    drop,
    evaluate,
    fresh_names,
    scratch,
    wait_until_done,
)


class Peer(Protocol):
    """One way to carry records from a topic into a table.

    Attributes:
        name: On the command line.
        title: In reports.

    """

    name: str
    title: str

    def prepare(self) -> None:
        """Fetch and build what is needed, before anything is measured."""

    def create_table(self, of: Servers, load: Load, names: Names) -> None:
        """Make the table, where the peer does not do it itself."""

    def started(self, of: Servers, load: Load, names: Names, folder: Path) -> AbstractContextManager[Client]:
        """Run for the length of the block; files may be put into the folder."""

    def compared(self, workload: Workload) -> Sequence[str]:
        """SQL expressions that give the workload's columns from the peer's table."""

    def group(self, names: Names) -> str:
        """The consumer group that it commits with."""


class SameTable:
    """For peers that write the same table as ddpm does, with the same key."""

    name = title = ""

    def prepare(self) -> None:
        """Nothing is needed."""

    def create_table(self, of: Servers, load: Load, names: Names) -> None:
        """The workload's own table."""
        load.workload.create_table(of, names.table)

    def compared(self, workload: Workload) -> Sequence[str]:
        """The columns themselves."""
        return workload.compared

    def group(self, names: Names) -> str:
        """The run's group."""
        return names.group


class WrongContentsError(AssertionError):
    """A table holds something else than it must: whoever wrote it was fast at something else."""


def run(peer: Peer, of: Servers, load: Load) -> Measured:
    """Have a peer carry a load, and measure it.

    Raises:
        WrongContentsError: Its table does not hold what it must.

    """
    names = fresh_names()
    peer.create_table(of, load, names)
    with scratch() as folder, Committed(of, load.topic, peer.group(names), load.workload.partitions) as committed:
        with peer.started(of, load, names, folder) as client:
            clock = Clock(of, names.table, client)
            clock.start()
            try:
                wait_until_done(client, committed)
            finally:
                samples = clock.stop()
        found = contents(of, names.table, peer.compared(load.workload))
        if found != load.expected:
            raise WrongContentsError(_difference(peer.title, load, found))
    drop(of, names.table)
    return evaluate(samples, found.rows)


def _difference(who: str, load: Load, found: Contents) -> str:
    wanted = load.expected
    what = f"{found.rows:,} rows, not {wanted.rows:,}" if found.rows != wanted.rows else "other values in its rows"
    return f"{who}, workload {load.workload.name}: its table has {what}; sums of hashes {json.dumps([found, wanted])}"
