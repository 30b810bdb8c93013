"""The sections of an engine configuration, by the names under which a template may place them."""

from ddpm.catalogue import environment, parsers, sinks, sources
from ddpm.catalogue.component import Component, EngineEnv, Value, duration
from ddpm.catalogue.processors import batch_code, user_code
from ddpm.config.model import Pipeline


def sections(pipeline: Pipeline) -> dict[str, Value]:
    """Everything a template may use.

    Returns:
        `name`, `input`, `origin` (captures identity and original bytes; must stand first), `parser`, `processors`
        (the user's), `pipeline` (those three, and what counts behind them), `output`
        (with dead letters), `http`, `logger`, `metrics`, `shutdown_timeout`.

    """
    # The identity is captured before any code of a user runs, so a mapping can break a record, never its identity.
    origin: list[Value] = [{"ddpm_origin": {**_asks(pipeline), **plain_headers(pipeline)}}]
    parser: list[Value] = [*parsers.processors(pipeline.source, pipeline.filled_from)]
    steps: list[Value] = [*user_code(pipeline.processors)]
    # Where documents may be dropped on purpose, what is left of them is counted.
    passed: list[Value] = [{"ddpm_passed": {}}] if steps or parsers.may_drop(pipeline.source) else []
    run = batch_code(pipeline.processors) if sources.direct(pipeline) else steps
    processing: Component = {"threads": -1, "processors": [*origin, *parser, *run, *passed]}
    return {
        "name": pipeline.name,
        "input": sources.kafka(pipeline),
        "origin": origin,
        "parser": parser,
        "processors": steps,
        "pipeline": processing,
        "output": sinks.output(pipeline),
        "http": _http(),
        "logger": _logger(pipeline),
        "metrics": {"prometheus": {"use_histogram_timing": True, "add_process_metrics": True}},
        "shutdown_timeout": duration(pipeline.engine.drain),
    }


def plain_headers(pipeline: Pipeline) -> Component:
    """Mappings read a record's header as text: `@traceparent`, not a list of one."""
    user_steps = pipeline.processors or pipeline.source.plugin is not None
    return {"plain_headers": True} if user_steps else {}


def _asks(pipeline: Pipeline) -> Component:
    """Only rows have an identity that a topic which is made again would take away from others."""
    if not pipeline.writes_postgres:
        return {}
    return {
        "addresses": list(pipeline.kafka.brokers),
        "topic_ids_env": environment.TOPIC_IDS,
        "marks_env": environment.MARKS,
        "forks_env": environment.FORKS,
    }


def _http() -> Component:
    return {
        "enabled": True,
        "address": EngineEnv(environment.ENGINE_PORT, prefix="127.0.0.1:"),
        "debug_endpoints": False,
    }


def _logger(pipeline: Pipeline) -> Component:
    return {
        "level": pipeline.logger.level.value,
        "format": "json",
        "add_timestamp": True,
        # The engine logs to its standard output otherwise, where the documents of a stdout sink are.
        "file": {"path": "/dev/stderr"},
        "static_fields": {},
    }
