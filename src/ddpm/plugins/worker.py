"""One worker: a process that loads a parser function and answers the engine's records until there are none.

The other half of the protocol is the engine's `workers/protocol.go`, where it is described. Requests come in on the
descriptor 3 and answers leave on 4, so that whatever a plugin prints is log and nothing else. Descriptor 5 is a file of
four bytes that say at every moment which record is being parsed: they outlive the process's worst ends.
"""

import contextlib
import json
import mmap
import os
import resource
import struct
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, NoReturn

from ddpm.plugins.loading import ParseFunction, PluginError, broken, function, load
from ddpm.plugins.record import Meta, Poison
from ddpm.plugins.rows import encode

REQUESTS, ANSWERS, PROGRESS = 3, 4, 5
EXIT_OUT_OF_MEMORY = 86

# Answers are sent together, but never late: the engine measures a record's time by them.
_FLUSH_BYTES = 64 * 1024
_FLUSH_SECONDS = 0.05
_BUFFER = 256 * 1024
_MOST_ROWS = 1_000_000
_MOST_BYTES = 256 * 2**20
_IDLE = 2**32 - 1

_LENGTH = struct.Struct(">I")
_LENGTHS = struct.Struct(">II")
_HEAD = struct.Struct(">cI")
_END = _HEAD.pack(b"E", 0)


class Worker:
    """Answers requests with a parser function."""

    def __init__(self, parse: ParseFunction, path: Path | None, answers: BinaryIO, progress: mmap.mmap) -> None:
        self._parse = parse
        self._path = path
        self._answers = answers
        self._progress = progress
        self._waiting = bytearray()
        self._sent_at = time.monotonic()

    def serve(self, requests: BinaryIO) -> None:
        """Answer until the engine closes its end; raises EOFError then, and BrokenPipeError if it ended in between."""
        while True:
            (count,) = _LENGTH.unpack(_exactly(requests, _LENGTH.size))
            for number in range(count):
                about, size = _LENGTHS.unpack(_exactly(requests, _LENGTHS.size))
                content = _exactly(requests, about + size)
                _LENGTH.pack_into(self._progress, 0, number)
                self._waiting += self._answer(content[about:], Meta.read(content[:about]))
                if len(self._waiting) >= _FLUSH_BYTES or time.monotonic() - self._sent_at >= _FLUSH_SECONDS:
                    self._flush()
            _LENGTH.pack_into(self._progress, 0, _IDLE)
            self._flush()

    def _answer(self, payload: bytes, meta: Meta) -> bytes | bytearray:
        try:
            return _frames(self._parse(payload, meta))
        except MemoryError:
            self._out_of_memory()
        except BaseException as error:  # noqa: BLE001 -- whatever a plugin raises, sys.exit too, is the record's
            return _whole("plugin_failed", str(broken(error, self._path)))

    def _out_of_memory(self) -> NoReturn:
        # What was parsed before is sent on; the engine gives the rest to another process.
        with contextlib.suppress(OSError, MemoryError):
            self._flush()
        os._exit(EXIT_OUT_OF_MEMORY)

    def _flush(self) -> None:
        self._answers.write(self._waiting)
        self._answers.flush()
        self._waiting.clear()
        self._sent_at = time.monotonic()


def _frames(rows: object) -> bytes | bytearray:
    if isinstance(rows, Mapping | str | bytes) or not isinstance(rows, Iterable):
        wanted = "it must return a list of dicts, or yield dicts"
        return _whole("plugin_wrong_type", f"parse returned {_kind(rows)}; {wanted}")
    frames = bytearray()
    for index, row in enumerate(rows):
        if index >= _MOST_ROWS or len(frames) > _MOST_BYTES:
            return _whole("too_large", "the plugin made more than a million rows or 256 MiB of one record")
        frames += _row(row)
    frames += _END
    return frames


def _row(row: object) -> bytes:
    if isinstance(row, Poison):
        return _failure(b"B", "plugin_refused", row.reason)
    if not isinstance(row, Mapping):
        return _failure(b"B", "plugin_wrong_type", f"a row is {_kind(row)}; it must be a dict")
    try:
        text = encode(row)
    except (TypeError, ValueError, RecursionError) as error:
        return _failure(b"B", "plugin_wrong_type", f"a row has no form in JSON: {error}")
    return _HEAD.pack(b"D", len(text)) + text


def _whole(code: str, message: str) -> bytes:
    return _failure(b"W", code, message) + _END


def _failure(kind: bytes, code: str, message: str) -> bytes:
    content = json.dumps({"code": code, "message": message}).encode()
    return _HEAD.pack(kind, len(content)) + content


def _kind(value: object) -> str:
    return "None" if value is None else f"of the type {type(value).__name__}"


def _exactly(requests: BinaryIO, size: int) -> bytes:
    content = requests.read(size)
    if len(content) < size:
        raise EOFError
    return content


def _limit_memory(size: int) -> None:
    # What the process allocates, and not the files that it maps: libraries do not count. Where the system cannot
    # do this, the machine's own limits remain.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def main(name: str, path: Path | None, memory: int) -> None:
    """Load the plugin, say whether that went well, and serve; ends with the engine's requests."""
    for descriptor in (REQUESTS, ANSWERS, PROGRESS):
        os.set_inheritable(descriptor, False)
    requests, answers = os.fdopen(REQUESTS, "rb", _BUFFER), os.fdopen(ANSWERS, "wb", _BUFFER)
    _limit_memory(memory)
    try:
        parse = function(load(name, path))
    except PluginError as error:
        text = str(error).encode("utf-8", "replace")
        answers.write(_HEAD.pack(b"F", len(text)) + text)
        answers.flush()
        return
    answers.write(_HEAD.pack(b"R", 0))
    answers.flush()
    with contextlib.suppress(EOFError, BrokenPipeError):
        Worker(parse, path, answers, mmap.mmap(PROGRESS, _LENGTH.size)).serve(requests)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if sys.argv[2] else None, int(sys.argv[3]))
    # Not through the interpreter's end: a thread of the plugin's could hold it up.
    os._exit(0)
