"""Decides how many replicas a pipeline runs, from how long its oldest records wait. Pure: no clock, no threads.

Up when the wait stays above the target and replicas help, down when it has long been far below and fewer
replicas are known to carry the traffic. Going down takes much longer than going up, as in Kubernetes' and Flink's
autoscalers: a replica too many costs memory, one too few costs lag, and each change costs a rebalance.
"""

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

from ddpm.supervisor.status import PartitionStatus
from ddpm.words import counted

# The share of what replicas were seen to carry that may be planned with.
HEADROOM = 0.7
# A step up that does not raise consumption by a tenth had no effect.
EFFECT = 1.1
FRUITLESS_STEPS = 2
# What replicas were seen to carry yesterday is still the best guess today.
REMEMBERED_SECONDS = 86_400.0
_SAMPLES = 12


@dataclass(frozen=True, slots=True)
class ScaleLimits:
    """What the configuration allows: replicas at least and at most, and how many seconds a record may wait."""

    minimum: int
    maximum: int
    target_lag: float


@dataclass(frozen=True, slots=True)
class StabilizationWindow:
    """How long things must last before they count, in seconds.

    Attributes:
        settle: After a change or a disturbance nothing is measured for so long: a rebalance stops all commits.
        rise: The wait must be above the target for so long, and rates are measured over so long.
        catch_up: A backlog that the present replicas will have worked off by then needs no others.
        fall: The wait must be far below the target for so long; doubled when that turned out too short.
        fall_longest: The doubling ends here.
        regret: A step up within so long after a step down says that the step down was a mistake.
        retry: After steps up without effect, the next attempt comes so much later.

    """

    settle: float = 20.0
    rise: float = 60.0
    catch_up: float = 300.0
    fall: float = 600.0
    fall_longest: float = 7_200.0
    regret: float = 3_600.0
    retry: float = 3_600.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known at one moment.

    Attributes:
        at: Seconds of a monotonic clock.
        replicas: How many are wished for.
        ready: How many of them are up and reading.
        partitions: The lag by partition; None when it is not known.
        sink_ok: Whether the sinks take records.
        broker_ok: Whether the broker answers.
        busy: Whether the pipeline is being started, drained or restarted, so that its lag means nothing.

    """

    at: float
    replicas: int
    ready: int
    partitions: tuple[PartitionStatus, ...] | None
    sink_ok: bool
    broker_ok: bool
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas there should be from now on, and why, for people and with the numbers."""

    replicas: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Load:
    """What the last `rise` seconds looked like: rates in offsets per second, `worst` the longest wait in seconds.

    `consumed_most` and `arrived_most` are those of the busiest partition that is behind.

    Partitions that stood still all the while (poisoned, or with nothing but gaps to read) are `blocked` and count in
    nothing else. `behind` are those whose records wait too long.
    """

    worst: float
    behind: tuple[PartitionStatus, ...]
    blocked: tuple[PartitionStatus, ...]
    partitions: int
    consumed: float
    arrived: float
    consumed_behind: float
    consumed_most: float
    arrived_most: float
    backlog: int
    share: float


@dataclass(frozen=True, slots=True)
class _Capacity:
    """What one replica carries, in offsets per second; `proven` when it was measured with more to do than it could."""

    rate: float
    at: float
    proven: bool


@dataclass(frozen=True, slots=True)
class _StepUp:
    replicas: int
    consumed: float


_Key = tuple[str, int]


class _Window:
    """Ends and lags of the last seconds, and the rates between the oldest and the newest."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._samples: deque[tuple[float, dict[_Key, tuple[int, int]]]] = deque()

    def clear(self) -> None:
        self._samples.clear()

    def add(self, at: float, partitions: tuple[PartitionStatus, ...]) -> None:
        if not self._samples or at - self._samples[-1][0] >= self._seconds / _SAMPLES:
            self._samples.append((at, {(each.topic, each.partition): (each.end, each.lag) for each in partitions}))
        while len(self._samples) > 1 and at - self._samples[1][0] >= self._seconds:
            self._samples.popleft()

    def rates(self, at: float, partitions: tuple[PartitionStatus, ...]) -> Mapping[_Key, tuple[float, float]] | None:
        """Offsets per second that were consumed and that arrived, by partition; None before the window is full."""
        if not self._samples or at - self._samples[0][0] < self._seconds:
            return None
        since, before = self._samples[0]
        rates = {}
        for each in partitions:
            end, lag = before.get((each.topic, each.partition), (each.end, each.lag))
            # A topic that was made again starts over; retention takes unconsumed records away.
            arrived = max(0, each.end - end)
            consumed = max(0, arrived - (each.lag - lag))
            rates[each.topic, each.partition] = (consumed / (at - since), arrived / (at - since))
        return rates


class _Peak:
    """The highest of the values of the last seconds."""

    def __init__(self) -> None:
        self._falling: deque[tuple[float, float]] = deque()

    def add(self, at: float, value: float, seconds: float) -> None:
        while self._falling and self._falling[-1][1] <= value:
            self._falling.pop()
        self._falling.append((at, value))
        while at - self._falling[0][0] > seconds:
            self._falling.popleft()

    def clear(self) -> None:
        self._falling.clear()

    @property
    def value(self) -> float:
        return self._falling[0][1] if self._falling else 0.0


class ScalePolicy:
    """Fed with observations of one pipeline, in order and every few seconds; says when to change the replicas.

    A decision is taken as carried out when a later observation has the new number; someone else may change it too.
    """

    def __init__(self, limits: ScaleLimits, patience: StabilizationWindow | None = None) -> None:
        self._limits = limits
        self._patience = patience or StabilizationWindow()
        self._window = _Window(self._patience.rise)
        self._replicas: int | None = None
        self._quiet_until = -math.inf
        self._above_since: float | None = None
        self._below_since: float | None = None
        self._peak = _Peak()
        self._capacity: _Capacity | None = None
        self._fall = self._patience.fall
        self._fell_at: float | None = None
        self._step_up: _StepUp | None = None
        self._fruitless = 0
        self._stuck_until: float | None = None
        self._explanation = "nothing was observed yet"

    def explain(self) -> str:
        """Why the last observation changed nothing, or what was decided then."""
        return self._explanation

    def observe(self, seen: Observation) -> Decision | None:
        """Take in what is seen; a decision when the number of replicas should change, None when not."""
        if seen.replicas != self._replicas:
            self._replicas = seen.replicas
            self._start_over(seen.at)
        outcome = self._decide(seen)
        if isinstance(outcome, Decision):
            self._explanation = outcome.reason
            return outcome
        self._explanation = outcome
        return None

    def _decide(self, seen: Observation) -> Decision | str:
        if not seen.busy and (outside := self._outside_limits(seen)) is not None:
            return outside
        disturbance = _disturbance(seen)
        if disturbance is not None or seen.partitions is None:
            self._start_over(seen.at)
            return disturbance or "the lag is not known"
        if seen.at < self._quiet_until:
            return f"{self._wait(_worst(seen.partitions))}; waiting for the rebalance to settle"
        return self._judge(seen, seen.partitions)

    def _judge(self, seen: Observation, partitions: tuple[PartitionStatus, ...]) -> Decision | str:
        self._window.add(seen.at, partitions)
        load = self._load(seen.at, partitions)
        self._keep_times(seen.at, load, _worst(partitions))
        if load is None:
            return f"{self._wait(_worst(partitions))}; measuring"
        self._learn(seen, load)
        if self._above_since is not None:
            return self._go_up(seen, load, seen.at - self._above_since)
        if self._below_since is not None:
            return self._go_down(seen, load, seen.at - self._below_since)
        return self._about(load)

    def _outside_limits(self, seen: Observation) -> Decision | None:
        highest, limit = self._highest(seen.partitions)
        lowest = min(self._limits.minimum, highest)
        if seen.replicas < lowest:
            return Decision(lowest, f"at least {lowest}: {seen.replicas} -> {_replicas(lowest)}")
        if seen.replicas > highest:
            return Decision(highest, f"{limit}: {seen.replicas} -> {_replicas(highest)}")
        return None

    def _highest(self, partitions: tuple[PartitionStatus, ...] | None) -> tuple[int, str]:
        """The most replicas that may run, and what limits them."""
        # The consumers of a group share each topic out for itself.
        readable = max(Counter(each.topic for each in partitions or ()).values(), default=self._limits.maximum)
        if readable < self._limits.maximum:
            return readable, f"there is nothing to read for more than {_replicas(readable)} ({readable} partitions)"
        return self._limits.maximum, f"{self._limits.maximum} is the maximum"

    def _start_over(self, at: float) -> None:
        """What was measured until now says nothing about what comes."""
        self._window.clear()
        self._above_since = self._below_since = None
        self._quiet_until = at + self._patience.settle

    def _load(self, at: float, partitions: tuple[PartitionStatus, ...]) -> _Load | None:
        rates = self._window.rates(at, partitions)
        if rates is None:
            return None
        rate = {each: rates[each.topic, each.partition] for each in partitions}
        blocked = tuple(
            each for each in partitions if each.lag and each.seconds >= self._patience.rise and not rate[each][0]
        )
        moving = [each for each in partitions if each not in blocked]
        worst = _worst(tuple(moving))
        near = self._limits.target_lag / 2
        behind = tuple(each for each in moving if each.lag and worst > self._limits.target_lag and each.seconds > near)
        lag = sum(each.lag for each in partitions)
        return _Load(
            worst=worst,
            behind=behind,
            blocked=blocked,
            partitions=len(partitions),
            consumed=sum(rate[each][0] for each in moving),
            arrived=sum(rate[each][1] for each in moving),
            consumed_behind=sum(rate[each][0] for each in behind),
            consumed_most=max((rate[each][0] for each in behind), default=0.0),
            arrived_most=max((rate[each][1] for each in behind), default=0.0),
            backlog=sum(each.lag for each in moving),
            share=sum(each.lag for each in behind or blocked) / lag if lag else 0.0,
        )

    def _keep_times(self, at: float, load: _Load | None, worst: float) -> None:
        target = self._limits.target_lag
        # Commits come every few seconds: a wait of that length is no wait.
        calm = max(target / 4, min(target / 2, 5.0))
        above = (worst if load is None else load.worst) > target
        below = load is not None and load.worst <= calm
        self._above_since = (at if self._above_since is None else self._above_since) if above else None
        self._below_since = (at if self._below_since is None else self._below_since) if below else None
        if below and load is not None:
            self._peak.add(at, load.arrived, self._fall)
        else:
            self._peak.clear()

    def _learn(self, seen: Observation, load: _Load) -> None:
        rate = load.consumed / seen.replicas
        proven = load.worst > self._limits.target_lag and len(load.behind) >= seen.replicas
        known = self._known_capacity(seen.at)
        if proven or known is None or rate > known.rate * EFFECT:
            self._capacity = _Capacity(rate, seen.at, proven)

    def _known_capacity(self, at: float) -> _Capacity | None:
        known = self._capacity
        return known if known is not None and at - known.at <= REMEMBERED_SECONDS else None

    def _go_up(self, seen: Observation, load: _Load, lasted: float) -> Decision | str:
        if lasted < self._patience.rise:
            return f"{self._about(load)}; a change needs {_span(self._patience.rise - lasted)} more of this"
        needed = load.arrived + load.backlog / self._patience.catch_up
        useless = self._useless(seen, load, needed)
        if useless is not None:
            return f"{self._about(load)}{useless}"
        highest = min(self._highest(seen.partitions)[0], self._useful(seen, load))
        wanted = math.ceil(seen.replicas * needed / load.consumed)
        return self._up(seen, load, max(seen.replicas + 1, min(wanted, 2 * seen.replicas, highest)))

    def _useless(self, seen: Observation, load: _Load, needed: float) -> str | None:
        """Why a step up would not reduce the lag, or is not needed to; None when it might."""
        if not load.consumed:
            return ", but nothing is committed at all: more replicas cannot help"
        if load.consumed >= needed:
            return f"; caught up with in about {_span(load.backlog / (load.consumed - load.arrived))}"
        highest, limit = self._highest(seen.partitions)
        if seen.replicas >= highest:
            return f", but {limit}"
        if self._useful(seen, load) <= seen.replicas:
            return f", but {_holders(load)}: more replicas cannot help"
        futile = self._futile(seen, load)
        return f", but {futile}" if futile is not None else None

    def _useful(self, seen: Observation, load: _Load) -> int:
        """One replica for each partition that is behind, beside those that serve the others."""
        return seen.replicas - self._carrying(seen, load) + len(load.behind)

    def _carrying(self, seen: Observation, load: _Load) -> int:
        """How many replicas seem to work on the partitions that are behind, judged by what these consume."""
        known = self._known_capacity(seen.at)
        if known is not None and known.proven and _neglected(load, known):
            return 0
        capacity = max(load.consumed / seen.replicas, load.consumed_most, known.rate if known else 0.0)
        return min(max(1, math.ceil(load.consumed_behind / capacity - 0.25)), len(load.behind), seen.replicas)

    def _futile(self, seen: Observation, load: _Load) -> str | None:
        """Why another step up is not worth trying, judged by the last ones; None when it is."""
        if self._stuck_until is not None and seen.at >= self._stuck_until:
            # One more attempt, not as many as at first: each keeps a replica that may be of no use.
            self._step_up, self._fruitless, self._stuck_until = None, FRUITLESS_STEPS - 1, None
        if self._stuck_until is None:
            self._judge_last_step(seen, load)
        if self._stuck_until is None:
            return None
        return (
            f"the last {FRUITLESS_STEPS} steps up did not raise the {load.consumed:,.0f} records/s that are consumed: "
            f"something else is the limit; next attempt in {_span(self._stuck_until - seen.at)}"
        )

    def _judge_last_step(self, seen: Observation, load: _Load) -> None:
        step, self._step_up = self._step_up, None
        if step is None or step.replicas != seen.replicas:
            return
        self._fruitless = self._fruitless + 1 if load.consumed < step.consumed * EFFECT else 0
        if self._fruitless >= FRUITLESS_STEPS:
            self._stuck_until = seen.at + self._patience.retry

    def _forget_steps(self) -> None:
        self._step_up, self._fruitless, self._stuck_until = None, 0, None

    def _up(self, seen: Observation, load: _Load, replicas: int) -> Decision:
        self._step_up = _StepUp(replicas, load.consumed)
        if self._fell_at is not None and seen.at - self._fell_at <= self._patience.regret:
            self._fall = min(2 * self._fall, self._patience.fall_longest)
            self._fell_at = None
        return Decision(
            replicas,
            f"{self._about(load)}; {len(load.behind)} of {load.partitions} partitions are behind, "
            f"{load.arrived:,.0f} records/s arrive and {load.consumed:,.0f} are consumed: "
            f"{seen.replicas} -> {_replicas(replicas)}",
        )

    def _go_down(self, seen: Observation, load: _Load, lasted: float) -> Decision | str:
        if lasted >= self._patience.fall:
            self._forget_steps()
        about = self._about(load)
        lowest = min(self._limits.minimum, self._highest(seen.partitions)[0])
        if seen.replicas <= lowest:
            return about
        if lasted < self._fall:
            return f"{about}; fewer replicas after {_span(self._fall - lasted)} more of this"
        known = self._known_capacity(seen.at)
        enough = self._enough(known, seen.replicas)
        if enough < seen.replicas:
            return self._down(seen, max(lowest, enough, seen.replicas // 2), lasted, self._numbers(known))
        if known is not None and known.proven:
            return f"{about}; fewer replicas could not carry it: {self._numbers(known)}"
        # What a replica could carry was never seen, as all had too little to do: try, but rarely.
        if lasted < 3 * self._fall:
            return f"{about}; one replica less is tried after {_span(3 * self._fall - lasted)} more of this"
        return self._down(seen, seen.replicas - 1, lasted, "trying whether one replica less carries it")

    def _enough(self, known: _Capacity | None, replicas: int) -> int:
        """How many replicas carry the most that arrived in the calm, with something to spare."""
        if not self._peak.value:
            return 0
        return math.ceil(self._peak.value / (HEADROOM * known.rate)) if known is not None and known.rate else replicas

    def _numbers(self, known: _Capacity | None) -> str:
        arrived = f"at most {self._peak.value:,.0f} records/s arrived"
        return f"{arrived}, one replica carried {known.rate:,.0f}" if known else arrived

    def _down(self, seen: Observation, replicas: int, lasted: float, numbers: str) -> Decision:
        if self._fell_at is not None and seen.at - self._fell_at > self._patience.regret:
            self._fall = max(self._fall / 2, self._patience.fall)
        self._fell_at = seen.at
        calm = f"hardly a record has waited for {_span(lasted)}, target {_span(self._limits.target_lag)}"
        return Decision(replicas, f"{calm}; {numbers}: {seen.replicas} -> {_replicas(replicas)}")

    def _about(self, load: _Load) -> str:
        wait = self._wait(load.worst)
        if not load.blocked:
            return wait
        one = load.blocked[0]
        where = (
            f"{one.topic}/{one.partition} stands" if len(load.blocked) == 1 else f"{len(load.blocked)} partitions stand"
        )
        return f"{where} still, which more replicas cannot reduce; elsewhere {wait}"

    def _wait(self, seconds: float) -> str:
        target = f"target {_span(self._limits.target_lag)}"
        return f"no record waits, {target}" if seconds < 1 else f"oldest record waits {_span(seconds)}, {target}"


def _disturbance(seen: Observation) -> str | None:
    if seen.busy:
        return "the pipeline is starting or stopping"
    if not seen.broker_ok:
        return "the broker is away: more replicas cannot help"
    if not seen.sink_ok:
        return "the sink is away: more replicas cannot help"
    if seen.ready < seen.replicas:
        return f"{seen.ready} of {_replicas(seen.replicas)} ready; waiting for the others"
    return None


def _neglected(load: _Load, known: _Capacity) -> bool:
    """Whether what is behind gets less than one replica could do, as that one has others to serve as well."""
    return load.arrived_most <= known.rate and load.consumed_behind < HEADROOM * known.rate


def _worst(partitions: tuple[PartitionStatus, ...]) -> float:
    return max((each.seconds for each in partitions if each.lag), default=0.0)


def _holders(load: _Load) -> str:
    count = len(load.behind)
    who = "one partition holds" if count == 1 else f"{count} partitions that have a replica each hold"
    return f"{who} {load.share:.0%} of the lag"


def _replicas(count: int) -> str:
    return counted(count, "replica")


def _span(seconds: float) -> str:
    if seconds < 180:  # noqa: PLR2004 -- where minutes become easier to read
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 10_800 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004 -- and hours
