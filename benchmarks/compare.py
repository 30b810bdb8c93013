"""Two checkouts of ddpm in one session: `python -m benchmarks.compare --against COMMIT [WORKLOAD …]`.

The commit gets a worktree in a temporary folder and an engine of its own, built from its source into the cache under
its hash; Python is this virtual environment's. In each round both carry the same topic, and who begins changes with the
round. Contents are compared as ever. Besides the workloads there are `recovery` and `operation`.
"""

import argparse
import json
import statistics
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks import operation, recovery
from benchmarks.peers.ddpm_run import DdpmRun
from benchmarks.peers.peer import run
from benchmarks.records import WORKLOADS, load
from benchmarks.report import cpu, machine, memory, speeds
from benchmarks.rig import ROOT, Checkout, Measured, Ratio, Servers, console, ratio, scratch, servers
from benchmarks.workloads import chosen as chosen_workloads

ROUNDS = 5
RECORDS = 1_000_000
OTHERS = ("recovery", "operation")
NAMES = (*(workload.name for workload in WORKLOADS), *OTHERS)

Values = dict[str, float]
Rounds = tuple[list[Values], list[Values]]


def main() -> None:
    """Measure both and show the ratios."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    arguments.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(NAMES)}; all when none is named"
    )
    arguments.add_argument("--against", required=True, metavar="COMMIT", help="a commit, tag or branch")
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    arguments.add_argument("--records", type=int, default=RECORDS, help="before a workload's own share")
    arguments.add_argument("--pipelines", type=int, default=20, help="in the part `operation`")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures there")
    given = arguments.parse_args()
    if unknown := set(given.workloads) - set(NAMES):
        arguments.error(f"there is no workload {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    names = given.workloads or NAMES
    with worktree(given.against) as there, servers() as of, scratch() as folder:
        here = Checkout(label="this tree")
        for checkout in (here, there):
            checkout.build()
        carried = carry(of, (here, there), [name for name in names if name not in OTHERS], given, folder)
        waited: dict[str, Rounds] = {}
        if "recovery" in names:
            waited["recovery"] = alternate(here, there, given.rounds, lambda each: asdict(recovery.wait(of, each)))
        if "operation" in names:
            waited["operation"] = alternate(
                here, there, given.rounds, lambda each: figures(operation.idle(of, each, given.pipelines, 20.0))
            )
    for line in report(given.against, carried, waited):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if given.json:
        rounds = {name: [[asdict(run) for run in side] for side in both] for name, both in carried.items()}
        given.json.write_text(json.dumps(rounds | {name: list(both) for name, both in waited.items()}, indent=1))


@contextmanager
def worktree(commit: str) -> Iterator[Checkout]:
    """A checkout of a commit, for the length of the block."""

    def git(*command: str) -> str:
        return subprocess.run(["git", *command], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    found = git("rev-parse", "--verify", "--short", f"{commit}^{{commit}}")
    with scratch() as folder:
        tree = folder / "tree"
        git("worktree", "add", "--quiet", "--detach", str(tree), found)
        try:
            yield Checkout(tree, found)
        finally:
            git("worktree", "remove", "--force", str(tree))


def carry(
    of: Servers, checkouts: tuple[Checkout, Checkout], names: Sequence[str], given: argparse.Namespace, folder: Path
) -> dict[str, tuple[list[Measured], list[Measured]]]:
    """Have both carry the workloads; a topic is filled when its turn comes, and its file removed after it."""
    peers = [DdpmRun(checkout) for checkout in checkouts]
    carried: dict[str, tuple[list[Measured], list[Measured]]] = {}
    for workload in chosen_workloads(names):
        load_ = load(of, workload, given.records, folder)
        both: tuple[list[Measured], list[Measured]] = ([], [])
        for number in range(given.rounds):
            for side in (0, 1) if number % 2 == 0 else (1, 0):
                both[side].append(run(peers[side], of, load_))
                console.print(
                    f"round {number + 1}, {workload.name}, {peers[side].title}: {both[side][-1]}", highlight=False
                )
        load_.file.unlink()
        carried[workload.name] = both
    return carried


def alternate(here: Checkout, there: Checkout, rounds: int, measure: Callable[[Checkout], Values]) -> Rounds:
    """Measure both in turn, and change with each round who begins."""
    both: Rounds = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            checkout = (here, there)[side]
            both[side].append(measure(checkout))
            console.print(f"round {number + 1}, {checkout.label}: {both[side][-1]}", highlight=False)
    return both


def figures(idle: operation.Idle) -> Values:
    """What is compared of pipelines that idle, the answers by path."""
    values = asdict(idle)
    answers = values.pop("answers")
    for path, (median, slow) in answers.items():
        values |= {f"{path} p50 ms": median, f"{path} p99 ms": slow}
    return values


def report(
    against: str,
    carried: Mapping[str, tuple[list[Measured], list[Measured]]],
    waited: Mapping[str, Rounds],
) -> list[str]:
    """Tables in Markdown: rates, where more is better, and then seconds, megabytes and shares, where less is."""
    lines = [f"This tree against {against}, {machine()}.", ""]
    if carried:
        lines += [
            "| workload | this tree, k rows/s | the other | this / other "
            "| CPU s per 1M: client + Postgres, this; other | peak MB, this; other |",
            "|---|---|---|---|---|---|",
        ]
    for name, (ours, theirs) in carried.items():
        times = ratio([one.rows_per_second for one in ours], [one.rows_per_second for one in theirs])
        lines.append(
            f"| {name} | {speeds(ours)} | {speeds(theirs)} | {times} | {cpu(ours)}; {cpu(theirs)} "
            f"| {memory(ours)}; {memory(theirs)} |"
        )
    for name, (ours_, theirs_) in waited.items():
        lines += ["", f"| {name} | this tree | the other | this / other |", "|---|---|---|---|"]
        for what in ours_[0]:
            mine, other = [each[what] for each in ours_], [each[what] for each in theirs_]
            lines.append(
                f"| {what} | {statistics.median(mine):.2f} | {statistics.median(other):.2f} | {_by(mine, other)} |"
            )
    return lines


def _by(ours: Sequence[float], theirs: Sequence[float]) -> Ratio | str:
    return ratio(ours, theirs) if all(theirs) else ""


if __name__ == "__main__":
    main()
