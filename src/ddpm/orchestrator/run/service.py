"""What a service manager is notified of a run, and when."""

from collections.abc import Sequence

from ddpm.observability.systemd import Notifier
from ddpm.supervisor.runner import Supervisor
from ddpm.supervisor.states import State
from ddpm.supervisor.status import Status


class Announcer:
    """Called after each tick of the supervisor's loop, and by nobody else: a loop that is stuck gives no sign of life.

    The start is over with the first tick: engines of at least one pipeline were launched, or all wait for what is
    away. It does not wait for health: ddpm waits for a database that is away better than a start that times out.
    """

    def __init__(self, notifier: Notifier, supervisor: Supervisor) -> None:
        self._notifier = notifier
        self._supervisor = supervisor

    def __call__(self) -> None:
        """Announce what is new."""
        self._notifier.ready()
        self._notifier.alive()
        if self._supervisor.draining:
            self._notifier.stopping()
        self._notifier.status(summary(self._supervisor.statuses()))


def summary(statuses: Sequence[Status]) -> str:
    """All pipelines in a line, with the reason of each that does not simply run."""
    return "; ".join(
        f"{each.name} {each.state.value}" + (f": {each.reason}" if each.state is not State.RUNNING else "")
        for each in statuses
    )
