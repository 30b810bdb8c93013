"""Where records come from: the engine's `ddpm_kafka` input."""

from ddpm.catalogue import environment
from ddpm.catalogue.component import Component, EngineEnv, duration
from ddpm.catalogue.parsers import expands
from ddpm.catalogue.processors import looks_at_documents_alone
from ddpm.config.model import Pipeline, PluginKind

# A batch is parsed as a whole, and compressed files and columns can stand for a hundred times their size.
EXPANDING_BATCH_BYTES = 1_000_000


def kafka(pipeline: Pipeline) -> Component:
    """The input of a pipeline: batches form here and nowhere else, so that an error keeps naming its record."""
    source, batching = pipeline.kafka, pipeline.batching
    return {
        "ddpm_kafka": {
            "addresses": list(source.brokers),
            "topics": list(source.topics),
            "consumer_group": source.consumer_group,
            "client_id": EngineEnv(f"{environment.CLIENT_ID}:{client_id(pipeline)}"),
            "isolation_level": source.isolation_level.value,
            **({"direct": True} if direct(pipeline) else {}),
            "batching": {
                "count": batching.count,
                "byte_size": batch_bytes(pipeline),
                "period": duration(batching.period),
            },
        }
    }


def direct(pipeline: Pipeline) -> bool:
    """Whether a batch travels as one message, which nothing but ddpm's own components understand."""
    plugin = pipeline.source.plugin
    return (
        looks_at_documents_alone(pipeline.processors)
        and (plugin is None or plugin.kind is PluginKind.FUNCTION)
        and [sink.kind for sink in pipeline.sinks] == ["postgres"]
        and pipeline.pipeline_template is None
    )


def client_id(pipeline: Pipeline) -> str:
    """What an engine of a pipeline calls itself where nobody says otherwise, as one that others run."""
    return f"ddpm-{pipeline.name}"


def launched_id(pipeline: Pipeline, replica: int, launch: str) -> str:
    """What an engine that ddpm launches calls itself: no other one ever did, so that its membership can be ended."""
    return f"{client_id(pipeline)}.{replica}.{launch}"


def is_engine_of(pipeline: Pipeline, name: str) -> bool:
    """Whether a client that calls itself so is an engine of the pipeline; no pipeline's name has a dot."""
    return name == client_id(pipeline) or name.startswith(f"{client_id(pipeline)}.")


def batch_bytes(pipeline: Pipeline) -> int:
    """How many bytes of records close a batch; fewer for formats whose documents can be much larger."""
    batching = pipeline.batching
    if "byte_size" in batching.model_fields_set or not expands(pipeline.source):
        return batching.byte_size
    return min(batching.byte_size, EXPANDING_BATCH_BYTES)


def max_in_flight(pipeline: Pipeline) -> int:
    """How many batches may be on their way to the sinks at once."""
    return pipeline.postgres.max_in_flight if pipeline.postgres else 4
