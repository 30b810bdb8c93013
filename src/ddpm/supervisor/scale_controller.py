"""How many replicas of a pipeline are wanted: by a person, by the lag, or as configured."""

from typing import Literal

from ddpm.supervisor.scaling import Observation, ScaleLimits, ScalePolicy, StabilizationWindow
from ddpm.supervisor.status import Scaling


class ScaleController:
    """The number that is wanted, and why.

    Args:
        configured: How many run when neither a person nor the lag says otherwise.
        limits: Between which numbers the lag decides; None when it does not.
        patience: How long the lag must say the same before it decides.
        manual: What a person asked for before.

    Attributes:
        manual: What a person asked for; None leaves it to the configuration.
        partitions: How many engines can have work; None while that is not known.

    """

    def __init__(
        self, configured: int, limits: ScaleLimits | None, patience: StabilizationWindow, manual: int | None
    ) -> None:
        self._configured, self._limits = configured, limits
        self._policy = ScalePolicy(limits, patience) if limits else None
        self._automatic = limits.minimum if limits else configured
        self._reason = ""
        self._ups = self._downs = 0
        self.manual = manual
        self.partitions: int | None = None

    @property
    def wanted(self) -> int:
        """The number, however many partitions there are."""
        return self.manual or self._automatic

    @property
    def desired(self) -> int:
        """The number of those that can have work."""
        return self.wanted if self.partitions is None else max(1, min(self.wanted, self.partitions))

    @property
    def clipped(self) -> str | None:
        """Why fewer run than are wanted; None if they do not."""
        if self.partitions is None or self.wanted <= self.partitions:
            return None
        partitions = f"{self.partitions} partition{'' if self.partitions == 1 else 's'}"
        return f"{_replicas(self.wanted)} wanted, but {partitions} cannot keep more than that busy"

    @property
    def automatic(self) -> bool:
        """Whether the lag decides now."""
        return self._policy is not None and self.manual is None

    def request(self, replicas: int | None) -> tuple[int, str]:
        """Take what a person asks for; returns the number before, and a sentence."""
        before = self.desired
        self.manual = replicas
        said = f"{_replicas(replicas)} requested" if replicas is not None else "replicas as configured requested"
        return before, self._changed(before, said)

    def observe(self, seen: Observation) -> tuple[int, str] | None:
        """Let the lag decide where it may; returns the number before and a sentence if it wants another one."""
        if self._policy is None or self.manual is not None:
            return None
        before = self.desired
        decision = self._policy.observe(seen)
        if decision is None:
            self._reason = self._policy.explain()
            return None
        self._automatic = decision.replicas
        return before, self._changed(before, decision.reason)

    def _changed(self, before: int, reason: str) -> str:
        self._reason = reason
        self._ups += self.desired > before
        self._downs += self.desired < before
        return reason

    def status(self) -> Scaling:
        """What people are shown."""
        mode: Literal["fixed", "manual", "lag"] = "lag" if self._limits else "fixed"
        return Scaling(
            desired=self.desired,
            minimum=self._limits.minimum if self._limits else self._configured,
            maximum=self._limits.maximum if self._limits else self._configured,
            mode="manual" if self.manual is not None else mode,
            reason=self.clipped or self._reason,
            ups=self._ups,
            downs=self._downs,
        )


def _replicas(number: int) -> str:
    return "1 replica" if number == 1 else f"{number} replicas"
