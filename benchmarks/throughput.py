"""All peers in one session: in each round each of them carries the same topic once.

So a machine whose speed drifts favours nobody. What their tables hold is compared; a difference ends the benchmark.
"""

from pathlib import Path

from benchmarks.charts import Bar, Chart, save
from benchmarks.peers.copy_stream import CopyStream
from benchmarks.peers.ddpm_run import DdpmRun
from benchmarks.peers.kafka_connect import KafkaConnect
from benchmarks.peers.peer import Peer, run
from benchmarks.peers.python_consumer import PythonConsumer
from benchmarks.peers.stock_engine import Handwritten, StockInsert
from benchmarks.records import DIRECT, load
from benchmarks.report import Effort, cpu, finish, memory, middle, speeds
from benchmarks.rig import Measured, Servers, console, ratio

MAIN: tuple[Peer, ...] = (DdpmRun(), PythonConsumer(3), StockInsert(), CopyStream())
ALL: tuple[Peer, ...] = (
    DdpmRun(),
    PythonConsumer(1),
    PythonConsumer(3),
    KafkaConnect(),
    StockInsert(),
    Handwritten(),
    CopyStream(),
)


def measure(of: Servers, effort: Effort, folder: Path) -> None:
    """Run all peers, and write the section `throughput` with two charts."""
    peers = MAIN if effort.quick else ALL
    for peer in peers:
        peer.prepare()
    load_ = load(of, DIRECT, effort.records, folder)
    runs: dict[str, list[Measured]] = {peer.title: [] for peer in peers}
    for number in range(1, effort.rounds + 1):
        for peer in peers:
            measured = run(peer, of, load_)
            runs[peer.title].append(measured)
            console.print(f"round {number}, {peer.title}: {measured}", highlight=False)
    load_.file.unlink()
    section = table(runs, load_.records)
    if effort.write:
        section += ["", *charts(runs)]
    finish("throughput", effort, section)


def table(runs: dict[str, list[Measured]], records: int) -> list[str]:
    """The table of the section."""
    ours = [run.rows_per_second for run in runs[DdpmRun.title]]
    lines = [
        f"{records:,} records each; medians, and the least and the most of the rounds. All tables held the same rows: "
        "their number and the sum of the hashes of their columns are compared.",
        "",
        "| what | k rows/s | ddpm is so many times as fast | CPU s per 1M rows: client + Postgres | client's peak MB |",
        "|---|---|---|---|---|",
    ]
    for title, each in runs.items():
        times = "" if title == DdpmRun.title else str(ratio(ours, [run.rows_per_second for run in each]))
        lines.append(f"| {title} | {speeds(each)} | {times} | {cpu(each)} | {memory(each)} |")
    return lines


def charts(runs: dict[str, list[Measured]]) -> list[str]:
    """Draw speed and cost; returns the Markdown that shows them."""
    speed, cost = [], []
    for title, each in runs.items():
        rates = [run.rows_per_second for run in each]
        speed.append(Bar(title, [middle(each, lambda run: run.rows_per_second)], (min(rates), max(rates))))
        parts = [middle(each, lambda run: run.cpu), middle(each, lambda run: run.postgres_cpu)]
        cost.append(Bar(title, parts))
    spoken = "; ".join(f"{bar.name} {_thousands(bar.parts[0])}" for bar in speed)
    spent = "; ".join(f"{bar.name} {_seconds(sum(bar.parts))}" for bar in cost)
    about = "JSON of 270 B into 8 typed columns with a key; median"
    return [
        save(
            "throughput",
            Chart("Rows per second", f"{about}, and from the slowest to the fastest round", speed, _thousands),
            f"Rows per second of each contender: {spoken}",
        ),
        "",
        save(
            "cpu",
            Chart("CPU seconds per million rows", about, cost, _seconds, ("the client", "Postgres")),
            f"CPU seconds per million rows, client and Postgres together: {spent}",
        ),
    ]


def _thousands(value: float) -> str:
    return f"{value / 1000:.0f}k rows/s"


def _seconds(value: float) -> str:
    return f"{value:.1f} s"
