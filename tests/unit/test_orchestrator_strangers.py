"""Who else reads with a pipeline's group, and when somebody is told."""

from typing import Any

import pytest

from ddpm.broker.members import Member
from ddpm.components.registry import pipeline_type
from ddpm.orchestrator.provisioning.strangers import StrangerWatch

PIPELINE = pipeline_type().model_validate(
    {"name": "orders", "kafka": {"brokers": ["b:1"], "topics": ["b", "a"], "consumer_group": "g"}, "sinks": ["stdout"]}
)
OURS = Member("ddpm-orders", "10.0.0.1", ("a", "b"))
OF_ANOTHER_MACHINE = Member("ddpm-orders.1.0c3f", "10.0.0.2", ("a", "b"))
OTHER_PIPELINE = Member("ddpm-returns", "10.0.0.3", ("c",))
OF_A_LONGER_NAME = Member("ddpm-orders-2.0.0c3f", "10.0.0.3", ("a", "b"))
OTHER_TOPICS = Member("ddpm-orders", "10.0.0.4", ("a",))
FOREIGN = Member("console-consumer", "10.0.0.5")


class Told(list[str]):
    def alarm(self, name: str, message: str) -> None:
        assert name == "orders"
        self.append(message)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def watch(told: Told) -> StrangerWatch:
    supervisor: Any = told
    return StrangerWatch(PIPELINE, supervisor)


def test_engines_of_the_same_pipeline_are_welcome_wherever_they_run(watch: StrangerWatch, told: Told) -> None:
    for _ in range(3):
        watch.seen([OURS, OF_ANOTHER_MACHINE])
    assert not told


@pytest.mark.parametrize("other", [OTHER_PIPELINE, OF_A_LONGER_NAME, OTHER_TOPICS, FOREIGN])
def test_who_stays_and_is_another_one_is_told_once_by_name_and_host(
    watch: StrangerWatch, told: Told, other: Member
) -> None:
    watch.seen([OURS, other])
    assert not told, "a rolling update passes"
    for _ in range(3):
        watch.seen([OURS, other])
    (alarm,) = told
    assert f"{other.client_id} from {other.host}" in alarm
    assert "the consumer group g" in alarm


def test_who_comes_again_is_told_again(watch: StrangerWatch, told: Told) -> None:
    for found in ([FOREIGN], [FOREIGN], [OURS], [FOREIGN], [FOREIGN]):
        watch.seen(found)
    assert len(told) == 2
