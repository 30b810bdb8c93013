"""The audit log: who changed what, from where, and with what outcome; kept over restarts, append-only, bounded.

JSON lines in `.ddpm/audit`, for the owner only, each on the disk before the change is answered. Refused attempts stand
in files of their own, so that nobody without a token can push out what was done. Nothing in it is secret.

It is no accounting of records, which is `ddpm.supervisor.audit`.
"""

import fcntl
import json
import os
import pwd
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import structlog

from ddpm.observability.masking import Masker

FOLDER = "audit"
VERSION = 1
LARGEST_BYTES = 4 * 1024 * 1024
KEPT_FILES = 8
"""Files of each kind, the one that is written among them: 64 MiB are the most that all of them take."""

# Of refused attempts so many at once, and then one each few seconds; the others are counted.
REFUSED_AT_ONCE = 20
REFUSED_EVERY_SECONDS = 6.0

_DONE, _REFUSED = "changes", "refused"
_LONGEST_TEXT = 300
_LONGEST_LIST = 20
_LONGEST_PARAMETERS = 4_000
_BLOCK = 64 * 1024

Outcome = Literal["ok", "refused", "failed"]
Kind = Literal["token", "local user", "anyone", "signal", "file watcher", "ddpm"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something.

    Attributes:
        name: The name of a token, or of a user of this machine.
        kind: How that is known; of `anyone` nothing was asked.
        address: Where the request came from.
        role: What the actor may do.
        certificate: The subject of the client's certificate.
        forwarded: What a proxy says of where it came from; nobody has proven it.

    """

    name: str
    kind: Kind
    address: str | None = None
    role: str | None = None
    certificate: str | None = None
    forwarded: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One change, or one attempt.

    Attributes:
        actor: Who it was.
        action: What was asked for.
        outcome: Whether it was done or taken on, refused, or went wrong.
        pipeline: The pipeline, or the sink of one, that it was about.
        parameters: What else was said; JSON.
        reason: Why it was not done, or what came of it.
        omitted: How many refused attempts before it are not recorded.
        id: Grows from record to record; given when it is added.
        at: Seconds since 1970; given when it is added.

    """

    actor: Actor
    action: str
    outcome: Outcome = "ok"
    pipeline: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    omitted: int = 0
    id: int = 0
    at: float = 0.0


def user_named(uid: int) -> str:
    """A user of this machine, for people: the name, or else `uid N`."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def this_user() -> str:
    """The user that this process belongs to, as the kernel says: variables such as USER can hold any name."""
    return user_named(os.getuid())


class AuditLog:
    """The audit log of one data folder. Several processes may write it; safe to use from any thread.

    Args:
        folder: The data folder, `.ddpm`.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._masker = Masker(())
        self._mutex = threading.Lock()
        self._last_id = 0
        self._trouble: str | None = None
        self._allowance = float(REFUSED_AT_ONCE)
        self._refused_at = time.monotonic()
        self._omitted = 0

    def mask(self, secrets: Iterable[str]) -> None:
        """From now on let none of these texts into the log."""
        self._masker = Masker(secrets)

    @property
    def trouble(self) -> str | None:
        """Why the last record could not be written; None when it was."""
        return self._trouble

    def add(self, record: Record) -> None:
        """Write a record, so that it outlives a crash; one that cannot be written is complained of and left."""
        with self._mutex:
            self._write(_DONE, record)

    def add_attempt(self, record: Record) -> None:
        """Write an attempt of someone who may not, unless there are too many: then it is counted alone."""
        with self._mutex:
            now = time.monotonic()
            earned = (now - self._refused_at) / REFUSED_EVERY_SECONDS
            self._allowance = min(float(REFUSED_AT_ONCE), self._allowance + earned)
            self._refused_at = now
            if self._allowance < 1:
                self._omitted += 1
                return
            self._allowance -= 1
            self._write(_REFUSED, replace(record, omitted=self._omitted))
            self._omitted = 0

    def newest(self, count: int, *, after: int = 0, since: float = 0.0) -> list[Record]:
        """The newest records, oldest first.

        Args:
            count: At most so many.
            after: Only what follows the record of this id.
            since: Only what happened then or later, in seconds since 1970.

        Raises:
            OSError: They cannot be read.

        """
        found = [
            record for series in (_DONE, _REFUSED) for record in self._newest(series, count, after=after, since=since)
        ]
        return sorted(found, key=lambda record: record.id)[-count:] if count else []

    def _newest(self, series: str, count: int, *, after: int, since: float) -> list[Record]:
        lines: list[str] = []
        for number in range(KEPT_FILES):
            try:
                lines = [*_last_lines(self._path(series, number), count - len(lines)), *lines]
            except FileNotFoundError:
                break
            if len(lines) >= count:
                break
        # Records that are wanted follow all that are not.
        records = [record for line in lines if (record := _decoded(line)) is not None]
        return [record for record in records if record.id > after and record.at >= since]

    def _path(self, series: str, number: int) -> Path:
        return self._folder / (f"{series}.{number}.jsonl" if number else f"{series}.jsonl")

    def _write(self, series: str, record: Record) -> None:
        now = time.time()
        self._last_id = max(self._last_id + 1, time.time_ns() // 1_000)
        line = self._encoded(replace(record, id=self._last_id, at=now))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            with self._locked():
                self._rotate(series, len(line))
                self._append(self._path(series, 0), line)
        except OSError as error:
            said = f"the audit log cannot be written: {error.strerror or error}"
            if said != self._trouble:
                structlog.get_logger().error(said, folder=str(self._folder), action=record.action)
            self._trouble = said
        else:
            if self._trouble is not None:
                structlog.get_logger().info("the audit log is written again", folder=str(self._folder))
            self._trouble = None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let no other process write meanwhile."""
        descriptor = self._opened(self._folder / "lock")
        try:
            # A file system without locks is no reason to write nothing.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _rotate(self, series: str, more: int) -> None:
        current = self._path(series, 0)
        if not current.exists() or current.stat().st_size + more <= LARGEST_BYTES:
            return
        for number in range(KEPT_FILES - 1, 0, -1):
            with suppress(FileNotFoundError):
                self._path(series, number - 1).replace(self._path(series, number))

    def _append(self, path: Path, line: bytes) -> None:
        descriptor = self._opened(path)
        try:
            size = os.fstat(descriptor).st_size
            # What a crash cut off spoils no other line.
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line
            if os.write(descriptor, line) < len(line):
                os.ftruncate(descriptor, size)
                raise OSError("the disk is full")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _opened(self, path: Path) -> int:
        new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if new:
            # A command of root's must not take the log from the user that ddpm runs as.
            owner = self._folder.parent.stat()
            if os.geteuid() == 0 and owner.st_uid != 0:
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
                os.chown(self._folder, owner.st_uid, owner.st_gid)
            _sync(self._folder)
        return descriptor

    def _encoded(self, record: Record) -> bytes:
        actor = record.actor
        said = {
            "who": actor.name,
            "kind": actor.kind,
            "role": actor.role,
            "from": actor.address,
            "certificate": actor.certificate,
            "forwarded": actor.forwarded,
            "action": record.action,
            "pipeline": record.pipeline,
            "parameters": dict(record.parameters),
            "outcome": record.outcome,
            "reason": record.reason,
        }
        # Cut only then: of half a secret nobody would know that it is one.
        cut = {name: _short(value) for name, value in self._masker(None, "", said).items()}
        if len(json.dumps(cut["parameters"], default=str)) > _LONGEST_PARAMETERS:
            cut["parameters"] = {"left out": "they are too long"}
        head = {"version": VERSION, "id": record.id, "time": _iso(record.at)}
        kept = {name: value for name, value in cut.items() if value not in (None, {})}
        tail = {"omitted": record.omitted} if record.omitted else {}
        return json.dumps({**head, **kept, **tail}, default=str).encode() + b"\n"


def _last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file, of which only so much is read."""
    content = b""
    with path.open("rb") as file:
        begin = file.seek(0, os.SEEK_END)
        while begin > 0 and content.count(b"\n") <= count:
            size = min(begin, _BLOCK)
            begin = file.seek(begin - size)
            content = file.read(size) + content
    return content.decode("utf-8", "replace").splitlines()[-count:] if count else []


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _short(value: Any) -> Any:  # noqa: ANN401 -- JSON
    match value:
        case str():
            text = value.encode("utf-8", "replace").decode("utf-8")
            return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
        case Mapping():
            return {_short(str(key)): _short(each) for key, each in value.items()}
        case list() | tuple():
            more = len(value) - _LONGEST_LIST
            shown = [_short(each) for each in value[:_LONGEST_LIST]]
            return [*shown, f"… and {more} more"] if more > 0 else shown
        case _:
            return value


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _decoded(line: str) -> Record | None:
    try:
        found = json.loads(line)
        kind = next(each for each in get_args(Kind) if each == found["kind"])
        outcome = next(each for each in get_args(Outcome) if each == found["outcome"])
        actor = Actor(
            str(found["who"]), kind, *(_text(found, key) for key in ("from", "role", "certificate", "forwarded"))
        )
        return Record(
            actor,
            str(found["action"]),
            outcome,
            _text(found, "pipeline"),
            dict(found.get("parameters", {})),
            _text(found, "reason"),
            int(found.get("omitted", 0)),
            int(found["id"]),
            datetime.fromisoformat(found["time"]).timestamp(),
        )
    # A line that a crash cut off, or of another kind.
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError):
        return None


def _text(found: Mapping[str, Any], key: str) -> str | None:
    value = found.get(key)
    return None if value is None else str(value)
