"""What an engine says it waits for, in words."""

from typing import Any

from ddpm.config.model import KafkaSink, Pipeline, Sink
from ddpm.engine.counters import Counters
from ddpm.orchestrator.wait_reasons import wait_reason
from ddpm.supervisor.policy import WaitReason

PIPELINE = Pipeline.model_validate(
    {
        "kafka": {"brokers": ["localhost:9092"], "topics": ["events"], "consumer_group": "g"},
        "postgres": {"url": "embedded", "table": "events"},
    },
    strict=False,
)


def seen(**changes: Any) -> Counters:
    return Counters(**{"read": 0.0, "written": 0.0, "dead": 0.0, "duplicates": 0.0, "waiting": None, **changes})


def test_an_engine_that_does_not_wait_says_nothing() -> None:
    assert wait_reason(PIPELINE, seen()) is None


def test_columns_that_are_never_found_are_a_note_behind_all_else() -> None:
    note = wait_reason(PIPELINE, seen(never_found=("city", "name")))
    assert note == WaitReason("the columns city, name are NULL in every row: no document has a value for them", "note")
    outage = wait_reason(PIPELINE, seen(never_found=("city",), waiting="timeout"))
    assert outage is not None
    assert outage.kind == "outage"


def test_the_breaker_comes_before_all_else() -> None:
    said = wait_reason(PIPELINE, seen(waiting="lock", letters_waiting="breaker", letters_held="not_json"))
    assert said is not None
    assert said.kind == "breaker"
    assert "500 of 1000 records in a row are dead, now mostly for the reason not_json" in said.reason


def test_an_outage_passes_and_a_missing_table_needs_a_person() -> None:
    outage, broken = wait_reason(PIPELINE, seen(waiting="lock")), wait_reason(PIPELINE, seen(waiting="missing"))
    assert outage is not None and outage.kind == "outage"
    assert broken is not None and broken.kind == "broken"
    assert "the table events" in broken.reason


def test_changed_columns_are_named() -> None:
    said = wait_reason(PIPELINE, seen(waiting="columns"), "n was integer and is text")
    assert said is not None
    assert said.reason.endswith("(n was integer and is text)")


def test_what_the_sink_says_of_a_reason_without_words_of_its_own_is_passed_on() -> None:
    said = wait_reason(PIPELINE, seen(waiting="refused", why="ERROR: nextval: reached maximum value"))
    assert said is not None
    assert said.reason == "postgres: does not take rows (refused): ERROR: nextval: reached maximum value"


def test_a_kafka_sink_that_waits_is_told_with_its_topic() -> None:
    pipeline = PIPELINE.model_copy(update={"sinks": (Sink(kind="kafka", kafka=KafkaSink(topic="copy")),)})
    away, broken = (
        wait_reason(pipeline, seen(kafka_waiting="timeout")),
        wait_reason(pipeline, seen(kafka_waiting="rights")),
    )
    assert away == WaitReason("kafka sink: the brokers do not answer in time")
    assert broken == WaitReason("kafka sink: ddpm has no right to write the topic copy", "broken")


def test_dead_letters_that_wait_are_told() -> None:
    said = wait_reason(PIPELINE, seen(letters_waiting="topic"))
    assert said is not None
    assert said.reason == "dead letters: the topic failed-messages is not there"
