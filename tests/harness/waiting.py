"""Waiting for a condition instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.05


def eventually(condition: Callable[[], T | None], what: str, timeout: float = 60.0) -> T:
    """Return the first true answer of `condition`; fail with `what` and its last answer after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            msg = f"{what}: not within {timeout:.0f} s, last seen: {answer!r}"
            raise AssertionError(msg)
        time.sleep(POLL_SECONDS)
