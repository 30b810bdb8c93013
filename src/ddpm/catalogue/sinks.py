"""Where documents go: the outputs of the engine, and the dead letters behind them.

A record that failed in a processor, or that a sink refused because of its content, reaches the dead letters with
its original bytes; an outage never leads there, because the outputs wait inside.
"""

from ddpm.catalogue import environment
from ddpm.catalogue.component import Component, Value, duration
from ddpm.catalogue.parsers import gives_many, gives_texts
from ddpm.catalogue.sources import max_in_flight
from ddpm.config.model import (
    INDEX_COLUMN,
    RECORD_TIME_COLUMN,
    Column,
    KafkaSink,
    Origin,
    Pipeline,
    Postgres,
    Sink,
    Source,
)
from ddpm.config.moments import JSON
from ddpm.config.names import split_table
from ddpm.config.pgtypes import parse as parse_type
from ddpm.errors import ConfigError

# Room for a large record and its headers; the broker's own limits decide what is too large.
MAX_MESSAGE_BYTES = 64_000_000

_DOCUMENT: tuple[Component, str] = ({"name": "data", "from": "document"}, "jsonb")


def output(pipeline: Pipeline) -> Component:
    """The output of a pipeline: one sink or several, with the dead letters behind.

    With several sinks, a record is acknowledged when all of them have it. Those that refuse single records then have
    dead letters of their own: the fan-out would pass on the error of one record as an error of the whole batch.
    """
    if len(pipeline.sinks) == 1:
        return _or_dead_letter(pipeline, {"reject_errored": _sink(pipeline, pipeline.sinks[0])})
    # The audit follows Postgres: a record that it has, and a topic refuses, is not counted twice.
    outputs: list[Value] = [
        _sink(pipeline, sink)
        if sink.kind == "stdout"
        else _or_dead_letter(pipeline, _sink(pipeline, sink), audited=sink.kind == "postgres")
        for sink in pipeline.sinks
    ]
    return _or_dead_letter(pipeline, {"reject_errored": {"broker": {"pattern": "fan_out", "outputs": outputs}}})


def _or_dead_letter(pipeline: Pipeline, preferred: Component, *, audited: bool = True) -> Component:
    return {"fallback": [preferred, dead_letter(pipeline, audited=audited)]}


def _sink(pipeline: Pipeline, sink: Sink) -> Component:
    if sink.kafka is not None:
        return kafka(pipeline, sink.kafka)
    return postgres_copy(pipeline) if sink.kind == "postgres" else {"stdout": {"codec": "lines"}}


def postgres_copy(pipeline: Pipeline) -> Component:
    """The table. Its address and the numbers of its sources reach the plugin through the engine's environment."""
    postgres = pipeline.postgres
    assert postgres is not None  # noqa: S101 -- the model requires the section for this sink
    many = gives_many(pipeline.source)
    if many and INDEX_COLUMN in (postgres.columns or {}):
        msg = f'"{INDEX_COLUMN}" is an identity column of a parser of many documents a record, which ddpm keeps itself'
        raise ConfigError(msg, hint=f"name yours differently: event_index: {{type: …, from: {INDEX_COLUMN}}}")
    schema, table = split_table(postgres.table)
    target: Component = {"schema": schema, "table": table} if schema else {"table": table}
    return {
        "postgres_copy": {
            "dsn_env": environment.POSTGRES_DSN,
            "sources_env": environment.SOURCES,
            **target,
            **({"indexed": True} if many else {}),
            "columns": [column for column, _ in columns(postgres, pipeline.source)],
            "write_timeout": duration(postgres.write_timeout),
            "max_in_flight": postgres.max_in_flight,
        }
    }


def columns(postgres: Postgres, source: Source) -> list[tuple[Component, str]]:
    """The table's columns behind the identity, as the plugin wants them, each with its Postgres type."""
    texts = gives_texts(source)
    fields = [(_field(name, column, texts), column.type) for name, column in (postgres.columns or {}).items()]
    if postgres.partition is not None:
        return [_time(postgres.partition.column, {"key": True}), *(fields or [_DOCUMENT])]
    return fields or [_time(RECORD_TIME_COLUMN, {}), _DOCUMENT]


def _time(name: str, more: Component) -> tuple[Component, str]:
    return {"name": name, "from": "timestamp", **more}, "timestamptz"


def _field(name: str, column: Column, texts: bool) -> Component:
    found: Component = {"name": name, **_origin(column.origin)}
    if column.format is not None:
        found["format"] = column.format
    elif texts and column.origin.path is not None and _may_be_json(column.type):
        # A cell of CSV is text whatever it holds, so in a column of JSON the text is the JSON.
        found["format"] = JSON
    if column.zone is not None:
        found["zone"] = column.zone
    return found


def _origin(origin: Origin) -> Component:
    if origin.path is not None:
        return {"from": "field", "path": list(origin.keys)}
    if origin.key is not None:
        return {"from": "key_bytes" if origin.key == "bytes" else "key"}
    if origin.header is not None:
        return {"from": "header", "header": origin.header}
    (part,) = origin.model_fields_set
    return {"from": part}


def _may_be_json(type_: str) -> bool:
    found = parse_type(type_)
    return found.name in ("json", "jsonb") or not found.known


def kafka(pipeline: Pipeline, sink: KafkaSink) -> Component:
    """A topic that documents are written to under their original key: at least once, waiting while it is away."""
    return {
        "ddpm_kafka_out": {
            "addresses": list(sink.brokers or pipeline.kafka.brokers),
            "topic": sink.topic,
            "client_id": f"ddpm-{pipeline.name}",
            "max_msg_bytes": MAX_MESSAGE_BYTES,
            "max_in_flight": max_in_flight(pipeline),
        },
        "processors": [{"ddpm_forward": {}}],
    }


def dead_letter(pipeline: Pipeline, *, audited: bool = True) -> Component:
    """The dead-letter topic: original key and bytes, the reason in headers. It never gives up."""
    breaker, postgres = pipeline.dead_letter.breaker, pipeline.postgres
    letters: Component = {
        "addresses": list(pipeline.kafka.brokers),
        "topic": pipeline.dead_letter.topic,
        "client_id": f"ddpm-{pipeline.name}-dead-letters",
        "pipeline": pipeline.name,
        "max_msg_bytes": MAX_MESSAGE_BYTES,
    }
    if not audited:
        letters["audited"] = False
    if breaker:
        letters |= {"breaker_share": breaker.share, "breaker_records": breaker.records}
    if postgres is not None:
        letters["dsn_env"] = environment.POSTGRES_DSN
        if schema := split_table(postgres.table)[0]:
            letters["schema"] = schema
    return {"ddpm_dead_letters": letters, "processors": [{"ddpm_dead_letter": {"pipeline": pipeline.name}}]}
