"""Fetches Kafka's jars, each checked against the hash in `kafka.lock`, into the user's cache folder."""

import hashlib
import os
import re
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import httpx2 as httpx

from ddpm.engine.cache import cache_dir, make_once
from ddpm.engine.progress import Progress, Step
from ddpm.errors import MissingToolError, install_hint

MAVEN_VARIABLE = "DDPM_MAVEN_URL"

_LOCK_FILE = Path(__file__).with_name("kafka.lock")
_LOCK_LINE = re.compile(r"([^\s:]+):([^\s:]+):([^\s:]+) sha256:([0-9a-f]{64}) (\d+)")
_PARALLEL = 8
_ATTEMPTS = 3
_TIMEOUT = 60.0
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

    @property
    def path(self) -> str:
        """Where it lies in a Maven repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.name}"

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


def fetch(jars: tuple[Jar, ...], into: Path, progress: Progress, *, whose: str = "Kafka") -> None:
    """Download `jars` into the folder `into`, several at a time, and say meanwhile whose they are.

    Raises:
        MissingToolError: A jar cannot be fetched or has another hash; the message names it.

    """
    repository = os.environ.get(MAVEN_VARIABLE) or _maven_central()
    with (
        progress.step(f"Fetching {whose} ({len(jars)} jars)", "MB") as step,
        httpx.Client(base_url=repository, timeout=_TIMEOUT, follow_redirects=True, verify=_trust()) as client,
        ThreadPoolExecutor(_PARALLEL) as pool,
    ):
        meter = _Meter(step, sum(jar.size for jar in jars))
        downloads = [pool.submit(_fetch_one, client, jar, into, meter) for jar in jars]
        try:
            for download in downloads:
                download.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class _Meter:
    """Sums up the bytes of all downloads."""

    def __init__(self, step: Step, total: int) -> None:
        self._step = step
        self._total = total
        self._done = 0
        self._lock = Lock()

    def add(self, count: int, name: str) -> None:
        with self._lock:
            self._done += count
            self._step.update(self._done / _MB, self._total / _MB, name)


def _maven_central() -> str:
    try:
        from jgo.maven import MavenContext
    except ImportError as error:
        msg = "the embedded Kafka needs the package jgo to find its jars, and it is not installed"
        raise MissingToolError(msg, hint=install_hint("embedded")) from error
    return next(iter(MavenContext().remote_repos.values()))


def _trust() -> ssl.SSLContext:
    # The bundled authorities, and those of the machine: companies install their own there.
    trust = httpx.create_ssl_context()
    trust.load_default_certs()
    return trust


def _fetch_one(client: httpx.Client, jar: Jar, into: Path, meter: _Meter) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            digest = _download(client, jar, into / jar.name, meter)
            break
        except httpx.HTTPError as error:
            if attempt == _ATTEMPTS or not _may_pass(error):
                msg = f"{jar}, one of Kafka's jars, could not be fetched: {error}"
                hint = (
                    f"check the network; {MAVEN_VARIABLE} names a mirror; kafka.brokers can name a broker of your own"
                )
                raise MissingToolError(msg, hint=hint) from error
            time.sleep(attempt)
    if digest != jar.sha256:
        msg = f"{jar}, one of Kafka's jars, is not the file that was locked: its SHA-256 is {digest}, not {jar.sha256}"
        raise MissingToolError(msg, hint="something between here and the repository changes files; nothing was kept")


def _may_pass(error: httpx.HTTPError) -> bool:
    if not isinstance(error, httpx.HTTPStatusError):
        return True
    return error.response.is_server_error or error.response.status_code == httpx.codes.TOO_MANY_REQUESTS


def _download(client: httpx.Client, jar: Jar, file: Path, meter: _Meter) -> str:
    """Write what the repository has and return its SHA-256."""
    digest = hashlib.sha256()
    received = 0
    try:
        with client.stream("GET", jar.path) as response, file.open("wb") as stream:
            response.raise_for_status()
            for chunk in response.iter_bytes():
                stream.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                meter.add(len(chunk), jar.name)
    except httpx.HTTPError:
        meter.add(-received, jar.name)
        raise
    return digest.hexdigest()


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
