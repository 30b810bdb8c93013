"""The table of docs/guarantees.md: what the rounds of all faults have shown, in however many processes they ran."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from harness.faults import FAULTS

DOCS = Path(__file__).parents[2] / "docs" / "guarantees.md"
MARK = "<!-- faults: written by tests/faults/test_guarantees.py -->"

# Of each fault by its name, the numbers of each round: records, those during the fault, rows, dead letters.
Results = dict[str, list[list[int]]]

_RESULTS = pytest.StashKey[Results]()


def results_of(config: pytest.Config) -> Results:
    """The results that this process has so far."""
    return config.stash.setdefault(_RESULTS, {})


def add(config: pytest.Config, found: Results) -> None:
    """Take in what another process has found."""
    for name, rounds in found.items():
        results_of(config).setdefault(name, []).extend(rounds)


def write(config: pytest.Config, rounds: int) -> None:
    """Write the table, if the run was one of all faults, all of whose rounds have ended well."""
    found = results_of(config)
    names = [fault.name for fault in FAULTS]
    if rounds and all(len(found.get(name, ())) == rounds for name in names):
        before, _, after = DOCS.read_text(encoding="utf-8").split(MARK)
        lines = "\n".join(_table((name, found[name]) for name in names))
        DOCS.write_text(f"{before}{MARK}\n{lines}\n{MARK}{after}", encoding="utf-8")


def _table(found: Iterable[tuple[str, list[list[int]]]]) -> Iterable[str]:
    yield "| fault | rounds | records | of them during the fault | rows | dead letters |"
    yield "|---|---|---|---|---|---|"
    for name, rounds in found:
        sums = " | ".join(f"{sum(numbers):,}" for numbers in zip(*rounds, strict=True))
        yield f"| {name} | {len(rounds)} | {sums} |"
