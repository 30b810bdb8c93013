"""What SIGINT, SIGTERM and SIGHUP mean at each moment of a run."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ddpm.errors import Interrupted
from ddpm.supervisor.runner import Supervisor


class SignalHandler:
    """What a signal means at the moment: an interruption while starting, a drain while running, then force.

    SIGHUP only drains: a terminal that is closed may send it more than once.
    """

    def __init__(self) -> None:
        self._supervisor: Supervisor | None = None
        self._asked = False
        self._forced_by: int | None = None

    def hand_over(self, supervisor: Supervisor) -> None:
        """From now on there is something to drain."""
        self._supervisor = supervisor

    def raise_if_forced(self) -> None:
        """Raise Interrupted when a second signal did not wait for the drain."""
        if self._forced_by is not None:
            raise Interrupted(self._forced_by)

    def __call__(self, signum: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        if signum == signal.SIGHUP and self._asked:
            return
        if self._supervisor is None:
            self._asked = True
            raise Interrupted(signum)
        if not self._asked:
            self._asked = True
            self._supervisor.drain()
        else:
            self._forced_by = signum
            self._supervisor.force()


@contextmanager
def signal_handler() -> Iterator[SignalHandler]:
    """Let a handler take the signals while the block runs."""
    handler = SignalHandler()
    taken = [signal.SIGINT, signal.SIGTERM]
    # Who starts ddpm under `nohup` wants it to outlive the terminal.
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        taken.append(signal.SIGHUP)
    before = {signum: signal.signal(signum, handler) for signum in taken}
    try:
        yield handler
    finally:
        for signum, previous in before.items():
            signal.signal(signum, previous)
