"""The rules of the scaling policy one by one, and limits that hold whatever is observed."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpm.supervisor.scaling import (
    Decision,
    Observation,
    ScaleLimits,
    ScalePolicy,
    StabilizationWindow,
)
from ddpm.supervisor.status import PartitionStatus

LIMITS = ScaleLimits(minimum=1, maximum=4, target_lag=30.0)
PATIENCE = StabilizationWindow()


class Traffic:
    """Partitions of one topic with constant rates; time moves by five seconds from one observation to the next."""

    def __init__(self, arrive: float, consume: float, partitions: int = 3) -> None:
        self.arrive = [arrive] * partitions
        self.consume = [consume] * partitions
        self.seconds = [0.0] * partitions
        self.ends = [0.0] * partitions
        self._committed = [0.0] * partitions
        self.at = 0.0

    def observations(self, seconds: float, replicas: int = 1, **other: Any) -> Iterator[Observation]:
        until = self.at + seconds
        while self.at < until:
            self.at += 5.0
            for number, (arrive, consume) in enumerate(zip(self.arrive, self.consume, strict=True)):
                self.ends[number] += 5 * arrive
                self._committed[number] = min(self._committed[number] + 5 * consume, self.ends[number])
            loads = tuple(
                PartitionStatus("orders", number, int(done), int(end), int(end) - int(done), seconds)
                for number, (end, done, seconds) in enumerate(
                    zip(self.ends, self._committed, self.seconds, strict=True)
                )
            )
            yield replace(Observation(self.at, replicas, replicas, loads, True, True), **other)


def first(policy: ScalePolicy, observations: Iterator[Observation]) -> Decision | None:
    """The first decision, None when there is none."""
    return next((decision for each in observations if (decision := policy.observe(each)) is not None), None)


def lagging(partitions: int = 3) -> Traffic:
    traffic = Traffic(100.0, 50.0, partitions)
    traffic.seconds = [84.0] * partitions
    return traffic


def test_sustained_lag_adds_a_replica_and_says_why() -> None:
    policy, traffic = ScalePolicy(LIMITS), lagging()
    decision = first(policy, traffic.observations(300))
    assert decision is not None
    assert decision.replicas == 2
    assert decision.reason == (
        "oldest record waits 84 s, target 30 s; 3 of 3 partitions are behind, "
        "300 records/s arrive and 150 are consumed: 1 -> 2 replicas"
    )
    assert policy.explain() == decision.reason


def test_lag_that_is_soon_over_changes_nothing() -> None:
    policy, traffic = ScalePolicy(LIMITS), lagging()
    assert first(policy, traffic.observations(PATIENCE.settle + PATIENCE.rise - 10)) is None
    traffic.consume, traffic.seconds = [1_000.0] * 3, [1.0] * 3
    assert first(policy, traffic.observations(300)) is None


def test_a_backlog_that_shrinks_fast_enough_is_left_to_the_present_replicas() -> None:
    policy, traffic = ScalePolicy(LIMITS), lagging()
    traffic.ends, traffic.consume = [5_000.0] * 3, [150.0] * 3
    assert first(policy, traffic.observations(95)) is None
    assert "caught up with in about" in policy.explain()


@pytest.mark.parametrize(
    ("other", "explanation"),
    [
        ({"sink_ok": False}, "the sink is away: more replicas cannot help"),
        ({"broker_ok": False}, "the broker is away: more replicas cannot help"),
        ({"ready": 0}, "0 of 1 replica ready; waiting for the others"),
        ({"partitions": None}, "the lag is not known"),
        ({"busy": True}, "the pipeline is starting or stopping"),
    ],
)
def test_what_replicas_cannot_mend_changes_nothing_and_delays_what_comes_after(
    other: dict[str, Any], explanation: str
) -> None:
    policy, traffic = ScalePolicy(LIMITS), lagging()
    assert first(policy, traffic.observations(70)) is None
    assert first(policy, traffic.observations(600, **other)) is None
    assert policy.explain() == explanation
    assert first(policy, traffic.observations(PATIENCE.settle + PATIENCE.rise - 10)) is None
    assert first(policy, traffic.observations(60)) is not None


def test_there_are_never_more_replicas_than_partitions() -> None:
    policy, traffic = ScalePolicy(LIMITS), lagging(partitions=2)
    assert first(policy, traffic.observations(900, replicas=2)) is None
    assert policy.explain().endswith("but there is nothing to read for more than 2 replicas (2 partitions)")


def test_there_are_never_more_replicas_than_the_maximum() -> None:
    policy, traffic = ScalePolicy(LIMITS), lagging(partitions=12)
    assert first(policy, traffic.observations(900, replicas=4)) is None
    assert policy.explain().endswith("but 4 is the maximum")


def test_a_big_deficit_is_answered_by_more_than_one_replica_at_once() -> None:
    policy, traffic = ScalePolicy(replace(LIMITS, maximum=16)), lagging(partitions=16)
    traffic.arrive = [500.0] * 16
    decision = first(policy, traffic.observations(300, replicas=4))
    assert decision is not None
    assert decision.replicas == 8


@pytest.mark.parametrize(("replicas", "wanted"), [(1, 2), (9, 4)])
def test_a_number_outside_the_limits_is_mended_at_once(replicas: int, wanted: int) -> None:
    policy, traffic = ScalePolicy(replace(LIMITS, minimum=2)), Traffic(10.0, 10.0, partitions=6)
    decision = first(policy, traffic.observations(5, replicas=replicas))
    assert decision is not None
    assert decision.replicas == wanted


def test_partitions_outweigh_the_minimum() -> None:
    policy, traffic = ScalePolicy(replace(LIMITS, minimum=3)), Traffic(10.0, 10.0, partitions=2)
    assert first(policy, traffic.observations(3_600, replicas=2)) is None


def test_gaps_that_nobody_can_read_are_not_lag() -> None:
    policy, traffic = ScalePolicy(LIMITS), Traffic(0.0, 0.0)
    traffic.ends[1], traffic.seconds[1] = 1.0, 9_999.0
    assert first(policy, traffic.observations(3_600)) is None
    assert "orders/1 stands still, which more replicas cannot reduce" in policy.explain()


def test_nothing_committed_anywhere_is_not_mended_by_replicas() -> None:
    policy, traffic = ScalePolicy(LIMITS), lagging()
    traffic.consume, traffic.seconds = [0.0] * 3, [40.0] * 3
    assert first(policy, traffic.observations(600)) is None
    assert "nothing is committed at all" in policy.explain()


def test_quiet_lets_replicas_go_after_ten_minutes_and_not_before() -> None:
    policy, traffic = ScalePolicy(LIMITS), Traffic(100.0, 100.0)
    first(policy, traffic.observations(120, replicas=2))
    traffic.arrive = [1.0] * 3
    assert first(policy, traffic.observations(480, replicas=2)) is None
    assert "fewer replicas after" in policy.explain()
    decision = first(policy, traffic.observations(300, replicas=2))
    assert decision is not None
    assert decision.replicas == 1
    assert "one replica carried 150: 2 -> 1 replica" in decision.reason


def test_replicas_that_are_needed_for_the_traffic_stay() -> None:
    policy, traffic = ScalePolicy(LIMITS), lagging()
    assert first(policy, traffic.observations(300)) is not None
    traffic.consume, traffic.seconds = [1_000.0] * 3, [0.0] * 3
    traffic.arrive = [49.0] * 3
    first(policy, traffic.observations(60, replicas=2))
    traffic.consume = [55.0] * 3
    assert first(policy, traffic.observations(7_200, replicas=2)) is None
    assert "fewer replicas could not carry it" in policy.explain()


def test_a_step_down_that_was_regretted_takes_twice_as_long_the_next_time() -> None:
    policy, traffic = ScalePolicy(LIMITS), lagging()

    def quiet_until_down() -> float:
        traffic.arrive, traffic.consume, traffic.seconds = [1.0] * 3, [1_000.0] * 3, [0.0] * 3
        started = traffic.at
        assert first(policy, traffic.observations(7_200, replicas=2)) is not None
        return traffic.at - started

    def lag_until_up() -> None:
        traffic.arrive, traffic.consume, traffic.seconds = [100.0] * 3, [50.0] * 3, [84.0] * 3
        assert first(policy, traffic.observations(300)) is not None

    lag_until_up()
    at_first = quiet_until_down()
    lag_until_up()
    assert quiet_until_down() > 1.8 * at_first


readings = st.builds(
    Observation,
    at=st.just(0.0),
    replicas=st.integers(1, 9),
    ready=st.integers(0, 9),
    partitions=st.none()
    | st.lists(
        st.builds(
            PartitionStatus,
            topic=st.sampled_from(["a", "b"]),
            partition=st.integers(0, 5),
            lag=st.integers(0, 10**12),
            seconds=st.floats(0, 1e9),
            committed=st.none() | st.integers(0, 10**12),
            end=st.integers(0, 10**12),
        ),
        max_size=8,
        unique_by=lambda each: (each.topic, each.partition),
    ).map(tuple),
    sink_ok=st.sampled_from([True, True, True, False]),
    broker_ok=st.sampled_from([True, True, True, False]),
    busy=st.sampled_from([False, False, False, True]),
)


@given(
    st.integers(1, 8),
    st.integers(0, 8),
    st.floats(0.1, 600),
    st.lists(st.tuples(readings, st.floats(0.1, 200), st.booleans()), max_size=60),
)
def test_whatever_is_observed_decisions_stay_inside_the_limits(
    minimum: int, more: int, target: float, steps: list[tuple[Observation, float, bool]]
) -> None:
    limits = ScaleLimits(minimum, minimum + more, target)
    policy = ScalePolicy(limits)
    at, decided = 0.0, None
    for reading, passed, obeyed in steps:
        at += passed
        replicas = decided if obeyed and decided is not None else reading.replicas
        decision = policy.observe(replace(reading, at=at, replicas=replicas, ready=max(reading.ready, replicas)))
        assert policy.explain()
        if decision is None:
            continue
        topics = [each.topic for each in reading.partitions or ()]
        readable = max((topics.count(topic) for topic in topics), default=limits.maximum)
        assert min(minimum, readable) <= decision.replicas <= min(limits.maximum, readable)
        assert decision.replicas != replicas
        assert not reading.busy
        decided = decision.replicas


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(0, 300)), min_size=1, max_size=40))
def test_unknown_lag_or_an_absent_sink_never_changes_the_number(steps: list[tuple[float, float, float]]) -> None:
    policy, traffic = ScalePolicy(LIMITS), Traffic(0.0, 0.0)
    for arrive, consume, seconds in steps:
        traffic.arrive, traffic.consume, traffic.seconds = [arrive] * 3, [consume] * 3, [seconds] * 3
        assert first(policy, traffic.observations(60, replicas=2, sink_ok=False)) is None
        assert first(policy, traffic.observations(60, replicas=2, partitions=None)) is None
