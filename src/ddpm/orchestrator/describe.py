"""What the API tells of a pipeline besides its state: its flow as the configuration has it."""

from ddpm.config.model import Config, Pipeline
from ddpm.observability.logging import Masker
from ddpm.orchestrator.prepare import rendered
from ddpm.server.views import DeadLetterView, Description, ProcessorView, SinkView, SourceView


def descriptions(config: Config) -> dict[str, Description]:
    """The description of every pipeline, by name; secrets are masked."""
    masker = Masker(config.secrets)
    return {pipeline.name: _description(config, pipeline, masker) for pipeline in config.pipelines}


def _description(config: Config, pipeline: Pipeline, masker: Masker) -> Description:
    kafka = pipeline.kafka
    return Description(
        source=SourceView(
            parser=pipeline.source.parser,
            brokers=kafka.brokers,
            topics=kafka.topics,
            consumer_group=kafka.consumer_group,
        ),
        processors=tuple(
            ProcessorView(kind="mapping" if each.mapping is not None else "filter") for each in pipeline.processors
        ),
        sinks=tuple(_sinks(pipeline)),
        dead_letter=DeadLetterView(topic=pipeline.dead_letter.topic),
        config=masker.text(rendered(config, pipeline).text),
    )


def _sinks(pipeline: Pipeline) -> list[SinkView]:
    views = []
    for sink in pipeline.sinks:
        name: str = sink.kind
        if sink.kind == "postgres" and pipeline.postgres is not None:
            name = pipeline.postgres.table
        elif sink.kafka is not None:
            name = sink.kafka.topic
        views.append(SinkView(kind=sink.kind, name=name))
    return views
