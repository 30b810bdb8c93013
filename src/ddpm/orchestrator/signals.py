"""What SIGINT, SIGTERM and SIGHUP mean at each moment of a run."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ddpm.errors import Interrupted
from ddpm.supervisor.runner import Supervisor


class SignalHandler:
    """What a signal means at the moment: an interruption while starting, a drain while running, then force.

    SIGHUP has the configuration read again, as of any service. At a terminal it says that this one is closed, maybe
    more than once, and only drains.

    Attributes:
        stopped_by: The name of the signal that began the drain; None before that.

    """

    def __init__(self) -> None:
        self._supervisor: Supervisor | None = None
        self._reload: Callable[[], object] = lambda: None
        self.stopped_by: str | None = None
        self._at_terminal = _at_terminal()
        self._asked = False
        self._forced_by: int | None = None

    def hand_over(self, supervisor: Supervisor, reload: Callable[[], object]) -> None:
        """From now on there is something to drain; `reload` takes no lock."""
        self._supervisor, self._reload = supervisor, reload

    def raise_if_forced(self) -> None:
        """Raise Interrupted when a second signal did not wait for the drain."""
        if self._forced_by is not None:
            raise Interrupted(self._forced_by)

    def __call__(self, signum: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        if signum == signal.SIGHUP and self._asked:
            return
        if signum == signal.SIGHUP and self._supervisor is not None and not self._at_terminal:
            self._reload()
            return
        if self._supervisor is None:
            self._asked = True
            raise Interrupted(signum)
        if not self._asked:
            self._asked = True
            self.stopped_by = signal.Signals(signum).name
            self._supervisor.drain()
        else:
            self._forced_by = signum
            self._supervisor.force()


def _at_terminal() -> bool:
    """Whether this process belongs to a terminal, which says by SIGHUP that it is closed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


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
