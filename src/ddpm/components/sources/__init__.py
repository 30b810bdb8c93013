"""Where records come from, a module each. Kafka is the log that identity, lag and replay stand on, and the only one."""

from ddpm.components.sources.kafka import KAFKA
from ddpm.components.sources.source import Source
from ddpm.config.model import Pipeline

SOURCES: tuple[Source, ...] = (KAFKA,)


def source_of(pipeline: Pipeline) -> Source:
    """The source of a pipeline."""
    del pipeline
    return KAFKA
