"""Where documents go: the sinks of a pipeline as the engine's output, and the dead letters behind them.

A record that failed in a processor, or that a sink refused because of its content, reaches the dead letters with
its original bytes; an outage never leads there, because the outputs wait inside.
"""

from ddpm.component import Component, Value
from ddpm.components.security import names_security
from ddpm.config.model import Pipeline

# Room for a large record and its headers; the broker's own limits decide what is too large.
MAX_MESSAGE_BYTES = 64_000_000

_IN_FLIGHT = 4


def output(pipeline: Pipeline) -> Component:
    """The output of a pipeline: one sink or several, with the dead letters behind.

    With several sinks, a record is acknowledged when all of them have it. Those that refuse single records then have
    dead letters of their own: the fan-out would pass on the error of one record as an error of the whole batch.
    """
    if len(pipeline.sinks) == 1:
        (name,) = pipeline.sink_names
        return _or_dead_letter(pipeline, {"reject_errored": pipeline.sinks[0].output(pipeline)}, sink=name)
    # The audit follows the table: a record that it has, and a topic refuses, is not counted twice.
    outputs: list[Value] = [
        _or_dead_letter(pipeline, sink.output(pipeline), sink=name, audited=sink.capabilities.audited)
        if sink.capabilities.refuses_records
        else sink.output(pipeline)
        for name, sink in zip(pipeline.sink_names, pipeline.sinks, strict=True)
    ]
    return _or_dead_letter(pipeline, {"reject_errored": {"broker": {"pattern": "fan_out", "outputs": outputs}}})


def max_in_flight(pipeline: Pipeline) -> int:
    """How many batches may be on their way to the sinks at once."""
    return next((sink.in_flight for sink in pipeline.configured if sink.in_flight is not None), _IN_FLIGHT)


def dead_letter(pipeline: Pipeline, *, sink: str | None = None, audited: bool = True) -> Component:
    """The dead-letter topic: original key and bytes, the reason in headers. It never gives up.

    Args:
        pipeline: Whose letters they are; those of a part are its pipeline's.
        sink: The name of the sink that did not get the records; None where none of several did.
        audited: Whether the audit counts them.

    """
    breaker = pipeline.dead_letter.breaker
    letters: Component = {
        "addresses": list(pipeline.kafka.brokers),
        **names_security(pipeline.kafka.cluster.security),
        "topic": pipeline.dead_letter.topic,
        "client_id": f"ddpm-{pipeline.name}-dead-letters",
        "pipeline": pipeline.whole,
        "max_msg_bytes": MAX_MESSAGE_BYTES,
    }
    if not audited:
        letters["audited"] = False
    if breaker:
        letters |= {"breaker_share": breaker.share, "breaker_records": breaker.records}
    for each in pipeline.configured:
        letters |= each.letters()
    whose: Component = {"pipeline": pipeline.whole, **({} if sink is None else {"sink": sink})}
    return {"ddpm_dead_letters": letters, "processors": [{"ddpm_dead_letter": whose}]}


def _or_dead_letter(
    pipeline: Pipeline, preferred: Component, *, sink: str | None = None, audited: bool = True
) -> Component:
    return {"fallback": [preferred, dead_letter(pipeline, sink=sink, audited=audited)]}
