"""A pipeline's own processors between standard input and output: no Kafka, no table, one answer for each record."""

from ddpm.component import Component, Value
from ddpm.components.columns import columns
from ddpm.components.pipeline import plain_headers, sections
from ddpm.components.sinks.stdout import Stdout
from ddpm.config.model import Kafka, Pipeline, Source

# The engine's processor that answers.
PROCESSOR = "ddpm_trial"

# Of a record of more documents, an answer holds only those that would be dead letters.
MOST_DOCUMENTS = 1000

# A record in base64 with what surrounds it.
_LONGEST_LINE = 128_000_000

_NOWHERE = Kafka(brokers=("offline:9092",), topics=("offline",), consumer_group="offline")


def around_parser(source: Source) -> Pipeline:
    """A pipeline that is nothing but its parser; where records come from and go to is never looked at."""
    return Pipeline(name="parse", source=source, kafka=_NOWHERE, sinks=(Stdout(),))


def configuration(pipeline: Pipeline) -> Component:
    """The engine's configuration for trying records; raises ConfigError where a run would."""
    made = sections(pipeline)
    trial: Component = {
        # Topics are not looked up: there is no broker.
        "origin": [{"ddpm_origin": plain_headers(pipeline)}],
        "parser": made["parser"],
        "processors": made["processors"],
        "limit": MOST_DOCUMENTS,
        "columns": _typed(pipeline),
    }
    return {
        "http": {"enabled": False},
        "logger": made["logger"],
        "metrics": {"none": {}},
        "shutdown_timeout": "1s",
        "input": {"stdin": {"scanner": {"lines": {"max_buffer_size": _LONGEST_LINE}}}},
        "pipeline": {"threads": 1, "processors": [{PROCESSOR: trial}]},
        "output": {"stdout": {"codec": "lines"}},
    }


def _typed(pipeline: Pipeline) -> list[Value]:
    if pipeline.table is None:
        return []
    return [column.component(typed=True) for column in columns(pipeline.table, pipeline.source)]
