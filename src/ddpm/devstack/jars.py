"""Fetches Kafka's jars, each checked against the hash in `kafka.lock`, into the user's cache folder."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from ddpm.engine.cache import cache_dir, make_once
from ddpm.engine.progress import Progress, Step
from ddpm.errors import MissingToolError

if TYPE_CHECKING:
    from jgo.maven import Artifact, MavenContext

MAVEN_VARIABLE = "DDPM_MAVEN_URL"

_LOCK_FILE = Path(__file__).with_name("kafka.lock")
_LOCK_LINE = re.compile(r"([^\s:]+):([^\s:]+):([^\s:]+) sha256:([0-9a-f]{64}) (\d+)")
_WORK = ".work"
_PARALLEL = 8
_ATTEMPTS = 3
_TIMEOUT = 60
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of a lock: a Maven coordinate, the SHA-256 of its jar in hex, its size in bytes."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.artifact}-{self.version}.jar"

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def parse_lock(text: str) -> tuple[Jar, ...]:
    """Read lines like `group:artifact:version sha256:<64 hex digits> <bytes>`; `#` begins a comment line.

    Raises:
        ValueError: A line is something else; the message shows it.

    """
    return tuple(_parse_line(line) for line in text.splitlines() if line.strip() and not line.startswith("#"))


def kafka_jars(progress: Progress) -> Path:
    """Return the folder with exactly the jars of `kafka.lock`, fetched and checked if they are not there yet.

    The environment variable `DDPM_MAVEN_URL` names a mirror to ask instead of Maven Central.

    Raises:
        MissingToolError: A jar cannot be fetched or is not the one that was locked.

    """
    text = _LOCK_FILE.read_text(encoding="utf-8")
    jars = parse_lock(text)
    version = next(jar.version for jar in jars if jar.artifact.startswith("kafka_"))
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = cache_dir() / "kafka" / f"{version}-{key}"

    def complete(made: Path) -> bool:
        return all(_size(made / jar.name) == jar.size for jar in jars)

    return make_once(folder, lambda part: fetch(jars, part, progress), complete)


def fetch(jars: tuple[Jar, ...], into: Path, progress: Progress) -> None:
    """Download `jars` into the folder `into`, several at a time.

    Raises:
        MissingToolError: A jar cannot be fetched or has another hash; the message names the first one.

    """
    with progress.step(f"Fetching Kafka ({len(jars)} jars)", "MB") as step:
        meter = _Meter(step, sum(jar.size for jar in jars))
        context = _maven(into / _WORK, meter)
        with ThreadPoolExecutor(_PARALLEL) as pool:
            downloads = [pool.submit(_fetch_one, context, jar, into) for jar in jars]
            try:
                for download in downloads:
                    download.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    shutil.rmtree(into / _WORK, ignore_errors=True)


class _Meter:
    """Sums up the bytes of all downloads."""

    def __init__(self, step: Step, total: int) -> None:
        self._step = step
        self._total = total
        self._done = 0
        self._lock = Lock()

    @contextmanager
    def follow(self, name: str, _size: int) -> Iterator[Callable[[int], None]]:
        def add(count: int) -> None:
            with self._lock:
                self._done += count
                self._step.update(self._done / _MB, self._total / _MB, name)

        yield add


def _maven(work: Path, meter: _Meter) -> "MavenContext":
    try:
        from jgo.maven import MavenContext, PythonResolver
    except ImportError as error:
        msg = "the embedded Kafka needs the package jgo to fetch its jars, and it is not installed"
        raise MissingToolError(msg, hint="pip install 'ddpm[embedded]'") from error
    mirror = os.environ.get(MAVEN_VARIABLE)
    return MavenContext(
        resolver=PythonResolver(progress_callback=meter.follow),
        repo_cache=work,
        remote_repos={"mirror": mirror.rstrip("/")} if mirror else None,
        timeout=_TIMEOUT,
    )


def _fetch_one(context: "MavenContext", jar: Jar, into: Path) -> None:
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            downloaded = _download(context, artifact)
            break
        except (OSError, RuntimeError) as error:
            if attempt == _ATTEMPTS:
                msg = f"{jar}, one of Kafka's jars, could not be fetched: {error}"
                hint = (
                    f"check the network; {MAVEN_VARIABLE} names a mirror; kafka.brokers can name a broker of your own"
                )
                raise MissingToolError(msg, hint=hint) from error
    digest = hashlib.sha256(downloaded.read_bytes()).hexdigest()
    if digest != jar.sha256:
        msg = f"{jar}, one of Kafka's jars, is not the file that was locked: its SHA-256 is {digest}, not {jar.sha256}"
        raise MissingToolError(msg, hint="something between here and the repository changes files; nothing was kept")
    downloaded.rename(into / jar.name)


def _download(context: "MavenContext", artifact: "Artifact") -> Path:
    if artifact.cached_path is not None:
        # The library writes where it means to keep the file: what an earlier attempt left there has to go first.
        artifact.cached_path.unlink(missing_ok=True)
    downloaded = context.resolver.download(artifact)
    if downloaded is None:
        raise FileNotFoundError(str(artifact))
    return downloaded


def _parse_line(line: str) -> Jar:
    found = _LOCK_LINE.fullmatch(line.strip())
    if found is None:
        msg = f"not a line of a lock of jars: {line!r}"
        raise ValueError(msg)
    group, artifact, version, sha256, size = found.groups()
    return Jar(group, artifact, version, sha256, int(size))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1
