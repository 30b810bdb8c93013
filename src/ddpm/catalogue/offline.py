"""A pipeline's own processors between standard input and output: no Kafka, no table, one answer for each record."""

from ddpm.catalogue.component import Component, Value
from ddpm.catalogue.pipeline import plain_headers, sections
from ddpm.catalogue.sinks import columns
from ddpm.config.model import Pipeline

# The engine's processor that answers.
PROCESSOR = "ddpm_trial"

# Of a record of more documents, an answer holds only those that would be dead letters.
MOST_DOCUMENTS = 1000

# A record in base64 with what surrounds it.
_LONGEST_LINE = 128_000_000


def configuration(pipeline: Pipeline) -> Component:
    """The engine's configuration for trying records; raises ConfigError where a run would."""
    made = sections(pipeline)
    trial: Component = {
        # Nobody is asked about topics: there is no broker.
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
    if pipeline.postgres is None or not pipeline.writes_postgres:
        return []
    return [{**column, "type": kind} for column, kind in columns(pipeline.postgres, pipeline.source)]
