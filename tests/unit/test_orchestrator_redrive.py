"""A letter is fed to the sink that did not get its record, and to no other."""

import pytest

from ddpm.components.registry import pipeline_type
from ddpm.errors import ConfigError
from ddpm.orchestrator.redrive.letters import into_sink

PIPELINE = pipeline_type().model_validate(
    {
        "name": "orders",
        "kafka": {"brokers": ["b:1"], "topics": ["a"], "consumer_group": "g"},
        "sinks": [{"kafka": {"topic": "b"}}, {"kafka": {"topic": "c", "name": "copy"}}, {"stdout": {"name": "out"}}],
        "fan_out": "together",
    }
)


@pytest.mark.parametrize(("sink", "index"), [("kafka", 0), ("copy", 1), ("out", 2)])
def test_only_its_sink_gets_it(sink: str, index: int) -> None:
    found = into_sink(PIPELINE, sink)
    assert found.sinks == (PIPELINE.sinks[index],)
    assert (found.sink_names, found.whole) == ((sink,), "orders")


def test_what_none_of_several_got_goes_into_all() -> None:
    assert into_sink(PIPELINE, None) is PIPELINE


def test_a_sink_that_is_gone_is_named_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match="orders has no sink gone any more") as refused:
        into_sink(PIPELINE, "gone")
    assert "ddpm dlq discard --sink" in str(refused.value.hint)
