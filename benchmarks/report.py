"""docs/benchmarks.md: each benchmark writes the part between its own two marks."""

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.rig import Measured, console

REPORT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
ROUGH = (
    "**Rough**: few records and few rounds, so that it takes minutes; for a look while working, not for a comparison."
)

# With less than this a section says that it is rough.
FEWEST_ROUNDS, FEWEST_RECORDS = 3, 500_000


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: How often each contender runs.
        records: How many records a workload has, before its own share.
        quick: Whether fewer contenders and workloads are enough.
        write: Whether docs/benchmarks.md is written.
        workloads: The names of those that the part `workloads` measures; its usual ones when empty.

    """

    rounds: int
    records: int
    quick: bool
    write: bool
    workloads: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """The first line of a section."""
        command = "make bench-quick" if self.quick else "make bench"
        rounds = f"{self.rounds} interleaved round{'s' if self.rounds > 1 else ''}"
        said = (
            f"`{command}` on {machine()}; Kafka, contender and Postgres on the same machine, durable commits; {rounds}."
        )
        rough = self.quick or self.rounds < FEWEST_ROUNDS or self.records < FEWEST_RECORDS
        return f"{said}\n{ROUGH}" if rough else said


def machine() -> str:
    """When and where something was measured."""
    return f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.machine()}"


def middle(runs: Sequence[Measured], of: Callable[[Measured], float]) -> float:
    """The median of the rounds."""
    return statistics.median(of(run) for run in runs)


def speeds(runs: Sequence[Measured]) -> str:
    """Thousand rows a second: the median, and the spread of the rounds."""
    each = [run.rows_per_second / 1000 for run in runs]
    return f"{statistics.median(each):.1f} ({min(each):.1f} to {max(each):.1f})"


def cpu(runs: Sequence[Measured]) -> str:
    """CPU seconds per million rows: medians of contender and Postgres."""
    return f"{middle(runs, lambda run: run.cpu):.1f} + {middle(runs, lambda run: run.postgres_cpu):.1f}"


def memory(runs: Sequence[Measured]) -> str:
    """Peak megabytes: the median, and what of it ddpm's own process had."""
    own = middle(runs, lambda run: run.own_memory)
    whole = f"{middle(runs, lambda run: run.memory):.0f}"
    return f"{whole} (engine {middle(runs, lambda run: run.memory - run.own_memory):.0f})" if own else whole


def finish(name: str, effort: Effort, section: Sequence[str]) -> None:
    """Show a section, and write it into the document if that is wanted."""
    text = "\n".join([effort.about, "", *section])
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    if effort.write:
        write_section(name, text)


def write_section(name: str, section: str) -> None:
    """Replace what was measured before; `name` is the word in the marks.

    Raises:
        ValueError: The document has no such marks.

    """
    mark = f"<!-- measured: {name} -->"
    parts = REPORT.read_text(encoding="utf-8").split(mark)
    if len(parts) != 3:
        msg = f"{REPORT} needs the line {mark} twice, and has it {len(parts) - 1} times"
        raise ValueError(msg)
    before, _, after = parts
    REPORT.write_text(f"{before}{mark}\n{section}\n{mark}{after}", encoding="utf-8")
