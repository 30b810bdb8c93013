"""A line to an engine, a line from it: for engines whose configuration begins at standard input."""

import contextlib
import queue
import subprocess
import threading

from ddpm.engine.process import EngineProcess
from ddpm.errors import EngineError

_END_SECONDS = 5.0


class Conversation:
    """Asks one engine, launched with pipes, one line at a time; for one thread.

    Args:
        process: The engine; it ends with the conversation.
        patience: How many seconds an answer may take.

    """

    def __init__(self, process: EngineProcess, patience: float) -> None:
        self._process = process
        self._patience = patience
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name=f"engine-answers-{process.pid}", daemon=True)
        self._reader.start()

    def ask(self, line: bytes) -> bytes:
        """The engine's answer to a line; neither has a line break.

        Raises:
            EngineError: It ended, or did not answer in time, and is of no use any more.

        """
        assert self._process.stdin is not None  # noqa: S101 -- launched with pipes
        try:
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()
            answer = self._answers.get(timeout=self._patience)
        except (OSError, queue.Empty) as error:
            answer = b""
            silent = isinstance(error, queue.Empty)
        else:
            silent = False
        if not answer:
            raise self._failure(silent)
        return answer.removesuffix(b"\n")

    def close(self) -> None:
        """End the engine: gracefully by the end of its input, or by force."""
        assert self._process.stdin is not None  # noqa: S101 -- launched with pipes
        with contextlib.suppress(OSError):  # it may have ended already
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END_SECONDS)
        self._reader.join(_END_SECONDS)

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 -- launched with pipes
        with self._process.stdout as stream:
            for line in stream:
                self._answers.put(line)
        self._answers.put(b"")

    def _failure(self, silent: bool) -> EngineError:
        if silent:
            self._process.kill()
        what = f"did not answer within {self._patience:g} s" if silent else "ended"
        said = "".join(f"\n  {line}" for line in self._process.last_lines()) or " nothing"
        return EngineError(f"the engine {what}; the last that it said:{said}")
