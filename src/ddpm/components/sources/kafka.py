"""Topics of Kafka, read as a member of a consumer group: the engine's `ddpm_kafka` input."""

from ddpm.component import Component, EngineEnv, duration
from ddpm.components.batches import batch_bytes, direct
from ddpm.components.security import names_security
from ddpm.components.sources.source import Source
from ddpm.config.model import Kafka, Pipeline
from ddpm.contract import Env


def _input(pipeline: Pipeline) -> Component:
    source, batching = pipeline.kafka, pipeline.batching
    return {
        "ddpm_kafka": {
            "addresses": list(source.brokers),
            "topics": list(source.topics),
            **names_security(source.cluster.security),
            "consumer_group": source.consumer_group,
            "client_id": EngineEnv(f"{Env.CLIENT_ID}:{client_id(pipeline)}"),
            "isolation_level": source.isolation_level.value,
            **({"direct": True} if direct(pipeline) else {}),
            "batching": {
                "count": batching.count,
                "byte_size": batch_bytes(pipeline),
                "period": duration(batching.period),
            },
        }
    }


KAFKA = Source("kafka", "topics of Kafka, as a member of a consumer group", "app.kafka", Kafka, _input)


def client_id(pipeline: Pipeline) -> str:
    """What an engine of a pipeline calls itself by default, as one that others run."""
    return f"ddpm-{pipeline.name}"


def launched_id(pipeline: Pipeline, replica: int, launch: str) -> str:
    """What an engine that ddpm launches calls itself: no other one ever did, so that its membership can be ended."""
    return f"{client_id(pipeline)}.{replica}.{launch}"


def is_engine_of(pipeline: Pipeline, name: str) -> bool:
    """Whether a client that calls itself so is an engine of the pipeline, or of what it is a part of.

    For a moment another ddpm may still run all of its sinks together.
    """
    own = f"ddpm-{pipeline.whole}"
    return name == own or name.startswith(f"{own}.")
