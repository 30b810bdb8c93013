"""What the API says of a pipeline besides its state: its flow as the configuration has it."""

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
        sinks=tuple(SinkView(kind=sink.kind, name=sink.shown, icon=sink.icon) for sink in pipeline.sinks),
        dead_letter=DeadLetterView(topic=pipeline.dead_letter.topic),
        config=masker.text(rendered(config, pipeline).text),
    )
