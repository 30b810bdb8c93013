"""The sections of an engine configuration, by the names under which a template may place them."""

from ddpm.component import Component, EngineEnv, Value, duration
from ddpm.components import parsers
from ddpm.components.batches import direct
from ddpm.components.outputs import output
from ddpm.components.processors import batch_code, user_code
from ddpm.components.security import names_security
from ddpm.components.sources import source_of
from ddpm.config.model import Pipeline
from ddpm.contract import Env


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
    run = batch_code(pipeline.processors) if direct(pipeline) else steps
    processing: Component = {"threads": -1, "processors": [*origin, *parser, *run, *passed]}
    return {
        "name": pipeline.name,
        "input": source_of(pipeline).input(pipeline),
        "origin": origin,
        "parser": parser,
        "processors": steps,
        "pipeline": processing,
        "output": output(pipeline),
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
    if pipeline.table is None:
        return {}
    return {
        "addresses": list(pipeline.kafka.brokers),
        **names_security(pipeline.kafka.cluster.security),
        "topic_ids_env": Env.TOPIC_IDS,
        "marks_env": Env.MARKS,
        "forks_env": Env.FORKS,
    }


def _http() -> Component:
    return {
        "enabled": True,
        "address": EngineEnv(Env.ENGINE_PORT, prefix="127.0.0.1:"),
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
