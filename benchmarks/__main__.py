"""`python -m benchmarks`: all measurements, or those that are named, into docs/benchmarks.md."""

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks import operation, recovery, reload, throughput, workloads
from benchmarks.records import WORKLOADS
from benchmarks.report import Effort
from benchmarks.rig import Servers, scratch, servers

PARTS: dict[str, Callable[[Servers, Effort, Path], None]] = {
    "throughput": throughput.measure,
    "workloads": workloads.measure,
    "recovery": recovery.measure,
    "reload": reload.measure,
    "operation": operation.measure,
}
NAMES = tuple(workload.name for workload in WORKLOADS)
ROUNDS, QUICK_ROUNDS = 5, 2
RECORDS, QUICK_RECORDS = 1_000_000, 150_000


def main() -> None:
    """Measure, show, and write."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when none is named")
    arguments.add_argument("--quick", action="store_true", help="rough figures in minutes; docs stay as they are")
    arguments.add_argument("--rounds", type=int, help=f"default {ROUNDS}, with --quick {QUICK_ROUNDS}")
    arguments.add_argument("--records", type=int, help=f"default {RECORDS:,}, with --quick {QUICK_RECORDS:,}")
    arguments.add_argument(
        "--write", action=argparse.BooleanOptionalAction, help="write docs/benchmarks.md and its pictures"
    )
    arguments.add_argument(
        "--workloads", nargs="+", default=[], choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}"
    )
    chosen = arguments.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        arguments.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    effort = Effort(
        rounds=chosen.rounds or (QUICK_ROUNDS if chosen.quick else ROUNDS),
        records=chosen.records or (QUICK_RECORDS if chosen.quick else RECORDS),
        quick=chosen.quick,
        workloads=tuple(chosen.workloads),
        write=(not chosen.quick) if chosen.write is None else chosen.write,
    )
    with servers() as of, scratch() as folder:
        for name in chosen.parts or PARTS:
            PARTS[name](of, effort, folder)


if __name__ == "__main__":
    main()
