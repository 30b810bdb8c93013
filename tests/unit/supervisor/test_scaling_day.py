"""A day of traffic against the scaling policy, in a simple queueing model: what would its user have seen?

Replicas carry so many records per second each and share it among their partitions as evenly as these have use for
it; every change of replicas stops all of them for some seconds. Night is at the start and at the end of the day.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from ddpm.supervisor.scaling import Decision, Observation, ScaleLimits, ScalePolicy
from ddpm.supervisor.status import PartitionStatus

pytestmark = pytest.mark.slow

HOUR = 3_600
DAY = 24 * HOUR
OBSERVE_EVERY = 5
COMMIT_EVERY = 5
REBALANCE_SECONDS = 8
PARTITIONS = 6
CAPACITY = 1_000.0
TARGET = 30.0
LIMITS = ScaleLimits(minimum=1, maximum=4, target_lag=TARGET)

Rate = Callable[[int], float]


def diurnal(second: int, low: float = 120.0, high: float = 2_400.0) -> float:
    """Records per second of the whole topic: quiet at night, most in the early afternoon."""
    hour = (second % DAY) / HOUR
    share = 0.0 if hour < 5 or hour > 22 else math.sin(math.pi * (hour - 5) / 17) ** 2
    return low + (high - low) * share


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a day, in seconds; `value` is what happens then."""

    start: int
    end: int
    value: float = 0.0

    def __contains__(self, second: object) -> bool:
        return isinstance(second, int) and self.start <= second < self.end


@dataclass(frozen=True, slots=True)
class Day:
    """What goes on: `bursts` multiply the traffic, the others name a partition by their value."""

    seed: int = 1
    traffic: Rate = diurnal
    weights: tuple[float, ...] = (1.0,) * PARTITIONS
    noise: float = 0.2
    bursts: tuple[Span, ...] = ()
    sink_away: tuple[Span, ...] = ()
    sink_slow: tuple[Span, ...] = ()
    hot: tuple[Span, ...] = ()
    poisoned: tuple[Span, ...] = ()
    crashes: tuple[int, ...] = ()


@dataclass(slots=True)
class Partition:
    """Cumulative arrivals by second, so that the age of the oldest waiting record is known."""

    arrived: list[float] = field(default_factory=lambda: [0.0])
    consumed: float = 0.0
    committed: float = 0.0
    oldest: int = 0

    @property
    def backlog(self) -> float:
        return self.arrived[-1] - self.consumed

    def load(self, number: int) -> PartitionStatus:
        lag = int(self.arrived[-1]) - int(self.committed)
        while self.oldest < len(self.arrived) - 1 and self.arrived[self.oldest + 1] <= self.committed + 1e-6:
            self.oldest += 1
        seconds = float(len(self.arrived) - 1 - self.oldest) if lag else 0.0
        return PartitionStatus("orders", number, int(self.committed), int(self.arrived[-1]), lag, seconds)


@dataclass(frozen=True, slots=True)
class Change:
    at: int
    before: int
    after: int
    reason: str


@dataclass(frozen=True, slots=True)
class Seen:
    at: int
    replicas: int
    seconds: float
    explanation: str


@dataclass(frozen=True, slots=True)
class Outcome:
    changes: tuple[Change, ...]
    seen: tuple[Seen, ...]

    def late(self, seconds: float = 3 * TARGET, but: tuple[Span, ...] = ()) -> float:
        """The share of the day in which a record waited for longer."""
        counted = [each for each in self.seen if not any(each.at in span for span in but)]
        return sum(each.seconds > seconds for each in counted) / len(counted)

    def ups(self, span: Span) -> list[Change]:
        return [change for change in self.changes if change.at in span and change.after > change.before]


def fair_shares(wants: list[float], capacity: float) -> list[float]:
    """What each gets of a capacity: nobody more than it wants, the rest shared evenly among the others."""
    if sum(wants) <= capacity:
        return wants
    shares, left = [0.0] * len(wants), capacity
    for count, index in zip(range(len(wants), 0, -1), sorted(range(len(wants)), key=wants.__getitem__), strict=True):
        shares[index] = min(wants[index], left / count)
        left -= shares[index]
    return shares


def simulate(day: Day, limits: ScaleLimits = LIMITS, replicas: int = 1, seconds: int = DAY) -> Outcome:
    """Live through a day."""
    policy = ScalePolicy(limits)
    partitions = [Partition() for _ in day.weights]
    changes, seen = [], []
    paused_until = 0
    arrivals = arriving(day)
    for second in range(seconds):
        for partition, count in zip(partitions, next(arrivals), strict=True):
            partition.arrived.append(partition.arrived[-1] + count)
        if second in day.crashes:
            paused_until = second + REBALANCE_SECONDS
        sink_ok = not any(second in span for span in day.sink_away)
        if sink_ok and second >= paused_until:
            consume(day, partitions, replicas, second)
        if second % COMMIT_EVERY == 0:
            for partition in partitions:
                partition.committed = partition.consumed
        if second % OBSERVE_EVERY:
            continue
        loads = tuple(partition.load(number) for number, partition in enumerate(partitions))
        ready = replicas if second >= paused_until else replicas - 1
        decision = policy.observe(Observation(float(second), replicas, ready, loads, sink_ok, broker_ok=True))
        seen.append(Seen(second, replicas, max(load.seconds for load in loads), policy.explain()))
        if decision is not None:
            changes.append(Change(second, replicas, decision.replicas, decision.reason))
            replicas, paused_until = decision.replicas, second + REBALANCE_SECONDS
    return Outcome(tuple(changes), tuple(seen))


def arriving(day: Day) -> Iterator[list[float]]:
    chance = random.Random(day.seed)  # noqa: S311 -- noise, the same in every run
    total = sum(day.weights)
    second = 0
    while True:
        rate = day.traffic(second) * math.prod(span.value for span in day.bursts if second in span)
        counts = [rate * weight / total * chance.uniform(1 - day.noise, 1 + day.noise) for weight in day.weights]
        for span in day.hot:
            if second in span:
                counts[int(span.value)] += 1.5 * CAPACITY
        yield counts
        second += 1


def consume(day: Day, partitions: list[Partition], replicas: int, second: int) -> None:
    poisoned = {int(span.value) for span in day.poisoned if second in span}
    limit = min([span.value for span in day.sink_slow if second in span], default=math.inf)
    for replica in range(replicas):
        mine = range(replica * len(partitions) // replicas, (replica + 1) * len(partitions) // replicas)
        wants = [0.0 if number in poisoned else partitions[number].backlog for number in mine]
        for number, share in zip(mine, fair_shares(wants, min(CAPACITY, limit / replicas)), strict=True):
            partitions[number].consumed += share


def assert_calm(outcome: Outcome, limits: ScaleLimits = LIMITS, minutes: float = 10.0) -> None:
    """Whatever the day: inside the limits, explained, and no up after a down after an up in a short time."""
    for change in outcome.changes:
        assert limits.minimum <= change.after <= min(limits.maximum, PARTITIONS)
        assert change.after != change.before
        assert f"{change.before} -> {change.after} replica" in change.reason
    signs = [(change.at, change.after > change.before) for change in outcome.changes]
    for (first, up), (_, down), (last, again) in zip(signs, signs[1:], signs[2:], strict=False):
        if up and not down and again:
            assert last - first >= minutes * 60


BURSTS = (
    Span(2 * HOUR, 2 * HOUR + 300, 6.0),
    Span(9 * HOUR, 9 * HOUR + 600, 1.8),
    Span(19 * HOUR, 19 * HOUR + 480, 2.5),
)


@pytest.mark.parametrize(
    ("seed", "weights"), [(1, (1.0,) * PARTITIONS), (2, (1.6, 1.3, 1.0, 0.8, 0.7, 0.6))], ids=["even", "skewed"]
)
def test_a_day_of_traffic_is_carried_with_few_changes(seed: int, weights: tuple[float, ...]) -> None:
    outcome = simulate(Day(seed=seed, weights=weights, bursts=BURSTS))
    assert_calm(outcome)
    assert outcome.late() < 0.02
    assert 4 <= len(outcome.changes) <= 14
    assert max(each.replicas for each in outcome.seen) >= 3
    assert outcome.seen[-1].replicas == 1
    # More replicas than the traffic needs cost memory all day long.
    assert sum(each.replicas for each in outcome.seen) / len(outcome.seen) < 2.3


def test_steady_traffic_changes_nothing() -> None:
    outcome = simulate(Day(traffic=lambda _: 0.9 * CAPACITY), seconds=6 * HOUR)
    assert outcome.changes == ()


def test_traffic_at_the_edge_of_a_replica_does_not_flap() -> None:
    outcome = simulate(
        Day(traffic=lambda second: CAPACITY * (1 + 0.15 * math.sin(second * math.tau / 2_400))), seconds=8 * HOUR
    )
    assert_calm(outcome)
    assert len(outcome.changes) <= 3
    assert outcome.late() < 0.02


def test_hourly_bursts_teach_it_to_wait_longer_before_it_goes_down() -> None:
    bursts = tuple(Span(hour * HOUR, hour * HOUR + 600, 4.0) for hour in range(1, 24))
    outcome = simulate(Day(traffic=lambda _: 400.0, bursts=bursts), seconds=12 * HOUR)
    assert_calm(outcome)
    replicas_lasted = [later.at - earlier.at for earlier, later in pairwise(outcome.changes) if later.after == 1]
    assert replicas_lasted == sorted(replicas_lasted)
    assert replicas_lasted[-1] > 2 * replicas_lasted[0]
    # Once it waits for longer than the bursts are apart, it leaves the second replica where it is.
    assert outcome.changes[-1].at < 6 * HOUR


def test_an_outage_of_the_sink_is_no_reason_for_more_replicas() -> None:
    outage = Span(7 * HOUR, 7 * HOUR + 1_200)
    outcome = simulate(Day(sink_away=(outage,), traffic=lambda _: 600.0), seconds=12 * HOUR)
    assert_calm(outcome)
    assert outcome.ups(outage) == []
    assert any("sink is away" in each.explanation for each in outcome.seen if each.at in outage)
    assert outcome.late(but=(Span(outage.start, outage.end + 1_200),)) < 0.02
    assert outcome.seen[-1].replicas == 1


def test_a_hot_partition_is_no_reason_for_more_replicas() -> None:
    hot = Span(2 * HOUR, 3 * HOUR, 0)
    outcome = simulate(Day(hot=(hot,)), seconds=5 * HOUR)
    assert_calm(outcome)
    assert outcome.ups(hot) == []
    assert any("one partition holds" in each.explanation for each in outcome.seen if each.at in hot)


def test_a_poisoned_partition_neither_adds_replicas_nor_keeps_them() -> None:
    poisoned = Span(2 * HOUR, DAY, 3)
    outcome = simulate(Day(poisoned=(poisoned,), traffic=lambda second: diurnal(second + 14 * HOUR)), seconds=8 * HOUR)
    assert_calm(outcome)
    assert max(each.replicas for each in outcome.seen) >= 3
    assert outcome.ups(poisoned) == []
    assert outcome.seen[-1].replicas == 1
    assert "orders/3 stands still" in outcome.seen[-1].explanation


def test_the_others_are_helped_while_a_partition_is_poisoned() -> None:
    outcome = simulate(Day(poisoned=(Span(0, DAY, 3),), traffic=lambda _: 1.8 * CAPACITY), seconds=2 * HOUR)
    assert outcome.seen[-1].replicas >= 2
    assert "orders/3 stands still" in outcome.changes[0].reason


def test_a_sink_that_is_the_limit_stops_the_climb_after_two_steps() -> None:
    slow = Span(2 * HOUR, 4 * HOUR, 500.0)
    outcome = simulate(
        Day(traffic=lambda _: 700.0, sink_slow=(slow,)), replace(LIMITS, maximum=6), seconds=2 * HOUR + 3_300
    )
    assert len(outcome.changes) <= 2
    assert "something else is the limit" in outcome.seen[-1].explanation


def test_what_was_in_vain_is_tried_again_later_and_then_helps() -> None:
    slow = Span(0, 2 * HOUR, 500.0)
    outcome = simulate(Day(traffic=lambda _: 2_000.0, sink_slow=(slow,)), replace(LIMITS, maximum=6), seconds=5 * HOUR)
    assert outcome.seen[-1].replicas > 2
    assert outcome.seen[-1].seconds < TARGET


def test_crashes_of_replicas_are_no_reason_for_changes() -> None:
    outcome = simulate(
        Day(traffic=lambda _: 300.0, crashes=tuple(range(600, 6 * HOUR, 900))), replicas=1, seconds=6 * HOUR
    )
    assert outcome.changes == ()


def test_three_partitions_two_of_which_share_a_replica_get_one_each() -> None:
    day = Day(weights=(1.0,) * 3, traffic=lambda _: 2.2 * CAPACITY)
    outcome = simulate(day, replace(LIMITS, maximum=5), seconds=2 * HOUR)
    assert [change.after for change in outcome.changes] == [2, 3]
    assert outcome.seen[-1].seconds < TARGET


def test_replicas_that_nobody_knows_the_capacity_of_are_tried_away_one_by_one() -> None:
    outcome = simulate(Day(traffic=lambda _: 500.0), replicas=4, seconds=8 * HOUR)
    assert outcome.seen[-1].replicas == 1
    assert len(outcome.changes) <= 3


def test_the_same_day_is_decided_the_same_way() -> None:
    day = Day(bursts=BURSTS, seed=7)
    assert simulate(day, seconds=8 * HOUR).changes == simulate(day, seconds=8 * HOUR).changes


def test_a_decision_is_its_number_and_its_reason() -> None:
    assert Decision(2, "why") == Decision(2, "why")
