"""The states of a pipeline, what its users want of it, and the groups of states that matter."""

from enum import StrEnum


class State(StrEnum):
    """Where a pipeline, or one of its replicas, stands."""

    STARTING = "starting"
    RUNNING = "running"
    DEGRADED = "degraded"
    RECOVERING = "recovering"
    PAUSED = "paused"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


class DesiredState(StrEnum):
    """What was asked of a pipeline: `run` it, `pause` it until further notice, or `stop` it for good."""

    RUN = "run"
    PAUSE = "pause"
    STOP = "stop"


FINAL_STATES = frozenset({State.STOPPED, State.FAILED})
