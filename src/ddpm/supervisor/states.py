"""The states of a pipeline and the groups that matter."""

from enum import StrEnum


class State(StrEnum):
    """Where a pipeline stands."""

    STARTING = "starting"
    RUNNING = "running"
    RECOVERING = "recovering"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


FINAL_STATES = frozenset({State.STOPPED, State.FAILED})
