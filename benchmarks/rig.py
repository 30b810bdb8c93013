"""What all measurements share: servers, a clock, the contents of a table, checkouts of ddpm.

The clock is the growth of the table on disk between 10 % and 95 % of its final size: statistics counters of Postgres
lag by seconds. CPU time is that of the same span, so that nobody pays for the start of a virtual machine; memory is the
most that was seen from the start on.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import psycopg
from confluent_kafka import Consumer, TopicPartition
from rich.console import Console

from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from ddpm.engine.progress import Terminal
from harness.waiting import eventually

ROOT = Path(__file__).parents[1]
SAMPLE_SECONDS = 0.1
# Looking for children reads all of /proc.
CHILDREN_SECONDS = 1.0
ARRIVAL_TIMEOUT = 1_800.0
BEGIN, END = 0.10, 0.95
LINES_OF_LOG = 15

console = Console(stderr=True)
progress = Terminal(console)


@dataclass(frozen=True)
class Servers:
    """The two services that all contenders share."""

    kafka: EmbeddedKafka
    postgres: EmbeddedPostgres

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection that commits each statement, and writes times in UTC."""
        return psycopg.connect(self.postgres.dsn, autocommit=True, options="-c TimeZone=UTC")


@contextmanager
def servers() -> Iterator[Servers]:
    """Servers of the benchmarks' own, for the length of the block."""
    with (
        scratch() as folder,
        EmbeddedKafka(folder / "kafka") as kafka,
        EmbeddedPostgres(folder / "postgres") as postgres,
    ):
        yield Servers(kafka, postgres)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that Postgres' own user can pass through, for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="ddpm-bench-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@dataclass(frozen=True)
class Checkout:
    """A tree of ddpm, run by this virtual environment's Python.

    Attributes:
        root: Its folder.
        label: What reports call it.

    """

    root: Path = ROOT
    label: str = "ddpm"

    @property
    def program(self) -> tuple[str, ...]:
        """The command `ddpm`."""
        return (sys.executable, "-m", "ddpm")

    @property
    def env(self) -> dict[str, str]:
        """What makes Python import this tree and no other; an engine of somebody's own would make all trees alike."""
        return {"PYTHONPATH": str(self.root / "src"), "DDPM_ENGINE": ""}

    def build(self) -> None:
        """Have its engine in the cache, under the hash of its source."""
        console.print(f"the engine of {self.label}: built if it is not there")
        command = [*self.program, "engine", "install"]
        subprocess.run(command, env=os.environ | self.env, check=True, cwd=self.root, stdin=subprocess.DEVNULL)


class Names(NamedTuple):
    """What one run calls its things."""

    tag: str

    @property
    def table(self) -> str:
        """Its table."""
        return f"bench_{self.tag}"

    @property
    def group(self) -> str:
        """Its consumer group."""
        return f"bench-{self.tag}"

    @property
    def dead_topic(self) -> str:
        """Its dead letters."""
        return f"bench-dead-{self.tag}"


def fresh_names() -> Names:
    """Names that nobody has had."""
    return Names(uuid.uuid4().hex[:8])


class Contents(NamedTuple):
    """What a table holds: how many rows, and a sum of their hashes that does not depend on their order."""

    rows: int
    hashes: int


def contents(of: Servers, table: str, columns: Sequence[str]) -> Contents:
    """Count the rows of a table, and add up the hashes of what the columns (SQL expressions) have as text."""
    query = (
        f"select count(*), coalesce(sum(hashtextextended(row({', '.join(columns)})::text, 0)::numeric), 0) from {table}"
    )
    with of.connect() as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return Contents(int(row[0]), int(row[1]))


def drop(of: Servers, table: str) -> None:
    """Remove a table and what it left to be written, so that the next run does not pay for it."""
    with of.connect() as connection:
        connection.execute(f"drop table {table}")
        connection.execute("checkpoint")


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
        rows_per_second: Of wall time.
        cpu: CPU seconds per million rows of all processes of the contender.
        postgres_cpu: Those of Postgres.
        memory: The contender's processes together at their peak, resident, in MB.
        own_memory: What ddpm's own process had of it; 0 of others.

    """

    rows_per_second: float
    cpu: float
    postgres_cpu: float
    memory: float
    own_memory: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.rows_per_second / 1000:.1f}k rows/s, CPU {self.cpu:.1f} + {self.postgres_cpu:.1f} s/M, "
            f"{self.memory:.0f} MB"
        )


@dataclass(frozen=True)
class Sample:
    """A moment: monotonic seconds, the table's bytes, CPU seconds so far, resident bytes."""

    at: float
    size: int
    cpu: float = 0.0
    postgres_cpu: float = 0.0
    memory: int = 0
    own_memory: int = 0


def evaluate(samples: Sequence[Sample], rows: int) -> Measured:
    """What samples of a run say that left so many rows.

    Rows are counted by the table's growth between the first sample with 10 % and the first with 95 % of the last one's
    size. Where a run was so short that one sample had both, the sample before stands for the beginning.
    """
    final = samples[-1].size
    first = next(number for number, sample in enumerate(samples) if sample.size >= BEGIN * final)
    last = next(number for number, sample in enumerate(samples) if sample.size >= END * final)
    begin, end = samples[first if first < last else max(first - 1, 0)], samples[last]
    carried = rows * (end.size - begin.size) / final
    if not carried:
        msg = "the table did not grow while somebody looked: use more records"
        raise ValueError(msg)
    return Measured(
        rows_per_second=carried / (end.at - begin.at),
        cpu=1e6 * (end.cpu - begin.cpu) / carried,
        postgres_cpu=1e6 * (end.postgres_cpu - begin.postgres_cpu) / carried,
        memory=max(sample.memory for sample in samples) / 1e6,
        own_memory=max(sample.own_memory for sample in samples) / 1e6,
    )


class Group:
    """A process and others that are its children."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._children: list[psutil.Process] = []
        self._cpu = 0.0

    def processes(self) -> list[psutil.Process]:
        """All that are known."""
        return [self._root, *self._children]

    def cpu(self) -> float:
        """CPU seconds so far, those of children that have ended included."""
        # What has ended and is reaped says nothing any more; it used what it had used.
        self._cpu = max(self._cpu, sum(_cpu(process) for process in self.processes()))
        return self._cpu

    def memory(self) -> dict[int, int]:
        """Resident bytes by process id."""
        return {process.pid: _memory(process) for process in self.processes()}


class Tree(Group):
    """A process with all that it started, looked for again once in a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self._looked = float("-inf")

    def processes(self) -> list[psutil.Process]:
        """All that were there when somebody looked."""
        if time.monotonic() - self._looked >= CHILDREN_SECONDS:
            self.look()
        return super().processes()

    def look(self) -> None:
        """Find the children that are there now."""
        try:
            self._children = self._root.children(recursive=True)
        except psutil.NoSuchProcess:
            self._children = []
        self._looked = time.monotonic()


class Backends(Group):
    """A Postgres server with the processes that it says it has."""

    def has(self, pids: Sequence[int]) -> None:
        """Take it at its word."""
        known = {process.pid: process for process in self._children}
        self._children = [known.get(pid) or psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]


def _cpu(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(used.user + used.system + used.children_user + used.children_system)


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


@dataclass(frozen=True)
class Client:
    """A contender that runs.

    Attributes:
        process: Its process; what that starts belongs to it.
        log: What it says.
        ends: Whether it ends when all is done, instead of waiting for more.
        orchestrated: Whether the process itself is ddpm, which leads engines that do the work.
        broken: Words in its log which say that it will never be done, though it runs on.

    """

    process: "subprocess.Popen[bytes] | subprocess.Popen[str]"
    log: Path
    ends: bool = False
    orchestrated: bool = False
    broken: str | None = None

    def check(self) -> None:
        """Complain with the end of its log when it has ended and should not have, or says that it is broken."""
        code = self.process.poll()
        if self.ends and code == 0:
            return
        lines = self.log.read_text(errors="replace").splitlines()
        if code is not None or (self.broken is not None and any(self.broken in line for line in lines)):
            msg = "the contender " + ("runs on, but does nothing more" if code is None else f"ended with {code}")
            raise AssertionError("\n".join([f"{msg}:", *lines[-LINES_OF_LOG:]]))

    @property
    def ended(self) -> bool:
        """Whether it did what it should and went."""
        return self.ends and self.process.poll() == 0


class Clock(threading.Thread):
    """Samples a table and the processes of a contender and of Postgres."""

    def __init__(self, of: Servers, table: str, client: Client) -> None:
        super().__init__(name="clock", daemon=True)
        self._servers = of
        self._table = table
        self._client = client
        self._done = threading.Event()
        self._samples: list[Sample] = []
        self._processes = Tree(client.process.pid)
        assert of.postgres.pid is not None
        self._postgres = Backends(of.postgres.pid)

    def run(self) -> None:
        """Sample until `stop`."""
        # Of a table that is not there yet, the size is NULL. Large values stand beside a table, in a file of their own.
        query = (
            "select coalesce(pg_table_size(to_regclass(%s)), 0), "
            "array(select pid from pg_stat_activity where pid <> pg_backend_pid())"
        )
        idle = 0
        with self._servers.connect() as connection:
            while True:
                last = self._done.is_set()
                row = connection.execute(query, [self._table]).fetchone()
                assert row is not None
                size, backends = row
                idle = idle or size
                if size == idle:
                    # Until rows come it costs the contender nothing, and it must be known by then who belongs to it.
                    self._processes.look()
                self._postgres.has(backends)
                self._samples.append(self._sample(size))
                if last:
                    return
                self._done.wait(SAMPLE_SECONDS)

    def _sample(self, size: int) -> Sample:
        memory = self._processes.memory()
        own = memory[self._client.process.pid] if self._client.orchestrated else 0
        at = time.monotonic()
        return Sample(at, size, self._processes.cpu(), self._postgres.cpu(), sum(memory.values()), own)

    def stop(self) -> Sequence[Sample]:
        """Look once more and return all that was seen."""
        self._done.set()
        self.join()
        return self._samples


@dataclass
class Committed:
    """How far a consumer group has committed a topic, asked over one connection that joins nothing."""

    servers: Servers
    topic: str
    group: str
    partitions: int
    _ends: dict[int, int] = field(default_factory=dict, init=False)

    def __enter__(self) -> "Committed":
        self._consumer = Consumer({"bootstrap.servers": self.servers.kafka.bootstrap, "group.id": self.group})
        for partition in range(self.partitions):
            _, end = self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), timeout=10)
            self._ends[partition] = end
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def everything(self) -> bool:
        """Whether each partition is committed to its end."""
        wanted = [TopicPartition(self.topic, partition) for partition in self._ends]
        found = self._consumer.committed(wanted, timeout=10)
        return all(each.offset >= self._ends[each.partition] for each in found)


def wait_until_done(client: Client, committed: Committed) -> None:
    """Return when a contender has carried everything: it ended, or its group has committed the topic's ends."""

    def done() -> bool:
        client.check()
        if client.ends:
            return client.ended
        time.sleep(0.2)
        return committed.everything()

    eventually(done, "everything is carried", ARRIVAL_TIMEOUT)


@contextmanager
def running(
    command: Sequence[str],
    log: Path,
    env: Mapping[str, str] | None = None,
    *,
    ends: bool = False,
    broken: str | None = None,
) -> Iterator[Client]:
    """A process that is ended with the block; what it says goes into the file `log`."""
    with log.open("wb") as said:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Client(process, log, ends=ends, broken=broken)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Ratio(NamedTuple):
    """How many times as much: the median of the rounds, the least and the most of them."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"**{self.median:.2f}** ({self.least:.2f} to {self.most:.2f})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Ours by theirs, round by round."""
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))
