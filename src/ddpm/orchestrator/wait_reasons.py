"""What an engine says it waits for, as people read it. Pure."""

from ddpm.config.model import Pipeline
from ddpm.engine.counters import Counters
from ddpm.supervisor.policy import WaitReason

# The engine's word for records that it holds back since their topic or its log is another one.
ANOTHER_LOG = "incarnation"

_PARSER = {
    "schema_registry": "the schema registry does not answer",
    "plugin": "the plugin cannot be loaded any more",
    "record": "a record ends or holds up the plugin, and is tried again",
}

# What does not pass by itself: a person has to correct it.
_BROKEN_TABLE = {
    "missing": "the table {table}, its schema or one of its columns is not there any more",
    "rights": "ddpm has no right to write the table {table} any more",
    "columns": "the columns of the table {table} were changed, and rows do not fit any more",
    "partition": "the table {table} has no partition for some of the rows",
    "identity_key": "the table {table} has lost the unique key of its identity columns: add it again",
    "trigger": "a trigger of the table {table} skips or moves rows, or changes their identity: drop or disable it",
}

_OUTAGES = {
    "connection": "it cannot be reached",
    "timeout": "it does not answer in time",
    "shutdown": "it is shutting down or starting",
    "login": "it does not let ddpm in",
    "resources": "it has no connections, memory or disk left",
    "lock": "a lock is held",
    "contention": "transactions are in each other's way",
    "read_only": "it is read-only",
    ANOTHER_LOG: "a topic was made again, or has another log than before: its records wait for another source number",
    "source": "the brokers do not tell whether the topics are still the same",
}

# A person has to correct these two.
_BROKEN_TOPIC = {
    "topic": "the topic {topic} is not there",
    "rights": "ddpm has no right to write the topic {topic}",
}

_BROKERS = {
    "connection": "the brokers cannot be reached",
    "timeout": "the brokers do not answer in time",
    "replicas": "the topic {topic} has too few replicas in sync (min.insync.replicas)",
}

_LETTERS = {
    **_BROKEN_TOPIC,
    **_BROKERS,
    "refused": "the topic {topic} refuses one, and it could not be kept in a table",
    "too_large": "one is too large for the topic {topic}, and could not be kept in a table",
}


def wait_reason(pipeline: Pipeline, seen: Counters, changed: str | None = None) -> WaitReason | None:
    """What `seen` of an engine of `pipeline` says that it waits for, or that one should know; else None.

    `changed` says which columns of the table changed, if that is known.
    """
    if seen.letters_waiting == "breaker" and pipeline.dead_letter.breaker:
        breaker = pipeline.dead_letter.breaker
        most = f", now mostly for the reason {seen.letters_held}" if seen.letters_held else ""
        reason = (
            f"paused by the breaker: {breaker.limit} of {breaker.records} records in a row are dead{most}; "
            "correct the cause and resume, or change dead_letter.breaker"
        )
        return WaitReason(reason, "breaker")
    if seen.waiting is not None:
        return _sink(pipeline, seen.waiting, changed, seen.why)
    if seen.kafka_waiting is not None:
        return _kafka(pipeline, seen.kafka_waiting)
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


def _kafka(pipeline: Pipeline, word: str) -> WaitReason:
    topics = " or ".join(sink.kafka.topic for sink in pipeline.sinks if sink.kafka)
    said = (_BROKEN_TOPIC | _BROKERS).get(word, word).format(topic=topics)
    return WaitReason(f"kafka sink: {said}", "broken" if word in _BROKEN_TOPIC else "outage")


def _sink(pipeline: Pipeline, word: str, changed: str | None, said: str | None) -> WaitReason:
    table = pipeline.postgres.table if pipeline.postgres else ""
    broken = _BROKEN_TABLE.get(word)
    if broken is not None:
        which = f" ({changed})" if changed and word == "columns" else ""
        return WaitReason(f"postgres: {broken.format(table=table)}{which}", "broken")
    known = _OUTAGES.get(word, said)
    why = f": {known}" if known else ""
    return WaitReason(f"postgres: does not take rows ({word}){why}")
