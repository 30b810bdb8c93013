"""What an engine says it waits for, as people read it. Pure."""

from collections.abc import Sequence

from ddpm.config.model import Pipeline, Wait
from ddpm.contract import LetterWait, ParserWait
from ddpm.engine.counters import Counters, SinkWait
from ddpm.supervisor.policy import WaitReason

_PARSER = {
    ParserWait.SCHEMA_REGISTRY: "the schema registry does not answer",
    ParserWait.PLUGIN: "the plugin cannot be loaded any more",
    ParserWait.RECORD: "a record ends or holds up the plugin, and is tried again",
}

_LETTERS = {
    LetterWait.TOPIC: "the topic {topic} is not there",
    LetterWait.RIGHTS: "ddpm has no right to write the topic {topic}",
    LetterWait.CONNECTION: "the brokers cannot be reached",
    LetterWait.TIMEOUT: "the brokers do not answer in time",
    LetterWait.REPLICAS: "the topic {topic} has too few replicas in sync (min.insync.replicas)",
    LetterWait.REFUSED: "the topic {topic} refuses one, and it could not be kept in a table",
    LetterWait.TOO_LARGE: "one is too large for the topic {topic}, and could not be kept in a table",
}


def wait_reason(pipeline: Pipeline, seen: Counters, changed: str | None = None) -> WaitReason | None:
    """What `seen` of an engine of `pipeline` says that it waits for, or that one should know; else None.

    `changed` says which columns of the table changed, if that is known.
    """
    if seen.letters_waiting == LetterWait.BREAKER and pipeline.dead_letter.breaker:
        breaker = pipeline.dead_letter.breaker
        most = f", now mostly for the reason {seen.letters_held}" if seen.letters_held else ""
        reason = (
            f"paused by the breaker: {breaker.limit} of {breaker.records} records in a row are dead{most}; "
            "correct the cause and resume, or change dead_letter.breaker"
        )
        return WaitReason(reason, "breaker")
    waiting = _sink(pipeline, seen.waiting, changed)
    if waiting is not None:
        return waiting
    if seen.letters_waiting is not None:
        said = _LETTERS.get(seen.letters_waiting, seen.letters_waiting).format(topic=pipeline.dead_letter.topic)
        return WaitReason(f"dead letters: {said}")
    if seen.parser_waiting is not None:
        return WaitReason(f"parser: {_PARSER.get(seen.parser_waiting, seen.parser_waiting)}")
    return _note(seen.never_found)


def _note(never_found: tuple[str, ...]) -> WaitReason | None:
    if not never_found:
        return None
    several = len(never_found) > 1
    named = f"columns {', '.join(never_found)} are" if several else f"column {never_found[0]} is"
    return WaitReason(
        f"the {named} NULL in every row: no document has a value for {'them' if several else 'it'}", "note"
    )


def _sink(pipeline: Pipeline, waits: Sequence[SinkWait], changed: str | None) -> WaitReason | None:
    found = {each.prefix: each for each in waits}
    first = next((sink for sink in pipeline.sinks if sink.metrics_prefix in found), None)
    if first is None:
        return None
    seen = found[first.metrics_prefix]
    where = " or ".join(sink.shown for sink in pipeline.sinks if sink.metrics_prefix == seen.prefix)
    said = first.wait_reason(Wait(seen.word, where, seen.why, changed))
    return WaitReason(said.text, "broken" if said.broken else "outage")
