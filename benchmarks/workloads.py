"""ddpm with other formats, sizes and partitions, with a mapping, with poison; beside some of them the Python consumer.

In each round each workload runs once; ratios are to the workload `direct` of the same round.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.charts import Bar, Chart, save
from benchmarks.peers.ddpm_run import DdpmRun
from benchmarks.peers.peer import run
from benchmarks.peers.python_consumer import PythonConsumer
from benchmarks.records import DIRECT, WORKLOADS, Workload, load
from benchmarks.report import Effort, cpu, finish, memory, middle, speeds
from benchmarks.rig import Measured, Servers, console, ratio

QUICK = ("direct", "mapping", "poison", "documents")


def chosen(names: Iterable[str]) -> list[Workload]:
    """The workloads of these names.

    Raises:
        ValueError: There is none of such a name; says which there are.

    """
    known, names = {workload.name: workload for workload in WORKLOADS}, tuple(names)
    if unknown := [name for name in names if name not in known]:
        msg = f"there is no workload {', '.join(unknown)}; there are {', '.join(known)}"
        raise ValueError(msg)
    return [known[name] for name in names]


def measure(of: Servers, effort: Effort, folder: Path) -> None:
    """Run all workloads, and write the section `workloads` with a chart."""
    usual = QUICK if effort.quick else tuple(workload.name for workload in WORKLOADS)
    # Ratios are to the first one.
    workloads = chosen(dict.fromkeys((DIRECT.name, *(effort.workloads or usual))))
    ddpm, python = DdpmRun(), PythonConsumer(1)
    ddpm.prepare()
    loads = {workload.name: load(of, workload, effort.records, folder) for workload in workloads}
    ours: dict[str, list[Measured]] = {name: [] for name in loads}
    theirs: dict[str, list[Measured]] = {
        name: [] for name, each in loads.items() if each.workload.peer and not effort.quick
    }
    for number in range(1, effort.rounds + 1):
        for name, each in loads.items():
            ours[name].append(run(ddpm, of, each))
            console.print(f"round {number}, {name}: {ours[name][-1]}", highlight=False)
            if name in theirs:
                theirs[name].append(run(python, of, each))
                console.print(f"round {number}, {name}, {python.title}: {theirs[name][-1]}", highlight=False)
    rows = {name: each.expected.rows for name, each in loads.items()}
    for each in loads.values():
        each.file.unlink()
    section = table(workloads, rows, ours, theirs)
    if effort.write:
        section += ["", chart(workloads, ours)]
    finish("workloads", effort, section)


def table(
    workloads: Sequence[Workload],
    rows: dict[str, int],
    ours: dict[str, list[Measured]],
    theirs: dict[str, list[Measured]],
) -> list[str]:
    """The table of the section."""
    direct = _rates(ours[DIRECT.name])
    lines = [
        "| workload | rows a run | k rows/s | of the first line | times the Python consumer, 1 process "
        "| CPU s per 1M rows: client + Postgres | peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for workload in workloads:
        runs = ours[workload.name]
        share = "" if workload is DIRECT else str(ratio(_rates(runs), direct))
        peer = str(ratio(_rates(runs), _rates(theirs[workload.name]))) if workload.name in theirs else ""
        what = f"{workload.title} | {rows[workload.name]:,} | {speeds(runs)}"
        lines.append(f"| {what} | {share} | {peer} | {cpu(runs)} | {memory(runs)} |")
    return lines


def chart(workloads: Sequence[Workload], ours: dict[str, list[Measured]]) -> str:
    """Draw the speeds; returns the Markdown that shows them."""
    bars = []
    for workload in workloads:
        rates = _rates(ours[workload.name])
        median = middle(ours[workload.name], lambda run: run.rows_per_second)
        bars.append(Bar(workload.title, [median], (min(rates), max(rates))))
    spoken = "; ".join(f"{bar.name} {bar.parts[0] / 1000:.0f}k" for bar in bars)
    about = "ddpm, one engine; median, and from the slowest to the fastest round"
    drawn = Chart("Rows per second by workload", about, bars, lambda value: f"{value / 1000:.0f}k rows/s")
    return save("workloads", drawn, f"Rows per second of ddpm by workload: {spoken}")


def _rates(runs: Sequence[Measured]) -> list[float]:
    return [run.rows_per_second for run in runs]
