"""What an engine says it waits for, in words."""

from typing import Any

import pytest

from ddpm.components.registry import pipeline_type
from ddpm.components.sinks.kafka import KafkaSink
from ddpm.contract import LetterWait, ParserWait, PostgresWait, TopicWait
from ddpm.engine.counters import Counters, SinkWait
from ddpm.orchestrator.run.wait_reasons import wait_reason
from ddpm.supervisor.policy import WaitReason

PIPELINE = pipeline_type().model_validate(
    {
        "kafka": {"brokers": ["localhost:9092"], "topics": ["events"], "consumer_group": "g"},
        "postgres": {"url": "embedded", "table": "events"},
    },
    strict=False,
)


def seen(**changes: Any) -> Counters:
    return Counters(**{"read": 0.0, "written": 0.0, "dead": 0.0, "duplicates": 0.0, **changes})


def waits(word: str, why: str | None = None, prefix: str = "postgres_copy") -> dict[str, tuple[SinkWait, ...]]:
    return {"waiting": (SinkWait(prefix, word, why),)}


def test_an_engine_that_does_not_wait_says_nothing() -> None:
    assert wait_reason(PIPELINE, seen()) is None


def test_columns_that_are_never_found_are_a_note_behind_all_else() -> None:
    note = wait_reason(PIPELINE, seen(never_found=("city", "name")))
    assert note == WaitReason("the columns city, name are NULL in every row: no document has a value for them", "note")
    outage = wait_reason(PIPELINE, seen(never_found=("city",), **waits("timeout")))
    assert outage is not None
    assert outage.kind == "outage"


def test_the_breaker_comes_before_all_else() -> None:
    said = wait_reason(PIPELINE, seen(**waits("lock"), letters_waiting="breaker", letters_held="not_json"))
    assert said is not None
    assert said.kind == "breaker"
    assert "500 of 1000 records in a row are dead, now mostly for the reason not_json" in said.reason


def test_an_outage_passes_and_a_missing_table_needs_a_person() -> None:
    outage, broken = wait_reason(PIPELINE, seen(**waits("lock"))), wait_reason(PIPELINE, seen(**waits("missing")))
    assert outage is not None and outage.kind == "outage"
    assert broken is not None and broken.kind == "broken"
    assert "the table events" in broken.reason


def test_changed_columns_are_named() -> None:
    said = wait_reason(PIPELINE, seen(**waits("columns")), "n was integer and is text")
    assert said is not None
    assert said.reason.endswith("(n was integer and is text)")


def test_what_the_sink_says_of_a_reason_without_words_of_its_own_is_passed_on() -> None:
    said = wait_reason(PIPELINE, seen(**waits("refused", "ERROR: nextval: reached maximum value")))
    assert said is not None
    assert said.reason == "postgres: does not take rows (refused): ERROR: nextval: reached maximum value"


def test_a_kafka_sink_that_waits_is_told_with_its_topic() -> None:
    pipeline = PIPELINE.model_copy(update={"sinks": (KafkaSink(topic="copy"),)})
    away, broken = (
        wait_reason(pipeline, seen(**waits("timeout", prefix="kafka_out"))),
        wait_reason(pipeline, seen(**waits("rights", prefix="kafka_out"))),
    )
    assert away == WaitReason("kafka sink: the brokers do not answer in time")
    assert broken == WaitReason("kafka sink: ddpm has no right to write the topic copy", "broken")


def test_dead_letters_that_wait_are_told() -> None:
    said = wait_reason(PIPELINE, seen(letters_waiting="topic"))
    assert said is not None
    assert said.reason == "dead letters: the topic failed-messages is not there"


@pytest.mark.parametrize(
    ("metric", "word"),
    [
        *(("postgres_copy", word) for word in sorted(PostgresWait.ALL)),
        *(("kafka_out", word) for word in sorted(TopicWait.ALL)),
        *(("letters_waiting", word) for word in sorted(LetterWait.ALL)),
        *(("parser_waiting", word) for word in sorted(ParserWait.ALL)),
    ],
)
def test_every_class_that_the_engine_knows_has_words(metric: str, word: str) -> None:
    pipeline = PIPELINE.model_copy(update={"sinks": (*PIPELINE.sinks, KafkaSink(topic="copy"))})
    of_sinks = metric in {sink.metrics_prefix for sink in pipeline.sinks}
    said = wait_reason(pipeline, seen(**(waits(word, prefix=metric) if of_sinks else {metric: word})))
    assert said is not None
    words = said.reason.replace(f"({word})", "").split(":")[-1].strip()
    assert words not in ("", word, "does not take rows")


def test_what_is_wrong_with_a_certificate_is_said_as_the_engine_says_it() -> None:
    why = "the certificate of 10.0.0.1:5432 (db) has expired"
    waiting = wait_reason(PIPELINE, seen(**waits("tls", why)))
    assert waiting is not None
    assert (waiting.reason, waiting.kind) == (f"postgres: does not take rows (tls): {why}", "outage")


def test_a_standby_is_no_reason_to_refuse_rows() -> None:
    for word, said in (
        ("read_only", "it is read-only"),
        ("standby", "its synchronous standby does not confirm commits"),
    ):
        waiting = wait_reason(PIPELINE, seen(**waits(word)))
        assert waiting is not None
        assert (waiting.reason, waiting.kind) == (f"postgres: does not take rows ({word}): {said}", "outage")
