"""Feeds dead letters to an engine of their pipeline again, as the records that they were."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from ddpm.broker.dump import RawRecord
from ddpm.config.model import Config, Part, Pipeline
from ddpm.deadletters.letter import DeadLetter
from ddpm.deadletters.replay import Fed, Reinject
from ddpm.engine import binary as engine_binary
from ddpm.engine.progress import Progress
from ddpm.errors import ConfigError, EngineError
from ddpm.orchestrator.launching.engines import config_hash
from ddpm.orchestrator.prepare import rendered
from ddpm.orchestrator.provisioning.provision import provision
from ddpm.orchestrator.redrive.reinject import FedRecord, Feeding, reinject


def reinjector(config: Config, pipeline: Pipeline, progress: Progress) -> Reinject:
    """What replays letters of a pipeline that no ddpm need run; its topics and table are looked after first.

    Raises:
        DdpmError: Its servers do not answer, its table does not fit, or there is no engine.

    """
    binary = engine_binary.locate(pipeline.engine.binary, progress)
    return reinjector_of(config, pipeline, binary, provision(pipeline, runs=False).sources)


def reinjector_of(config: Config, pipeline: Pipeline, binary: Path, sources: Mapping[str, int]) -> Reinject:
    """What replays letters of a pipeline that is provisioned; `sources` numbers the present topics."""
    feeding = Feeding(config, pipeline, binary, sources, config_hash(rendered(config, pipeline).text))

    def feed(letters: Iterator[DeadLetter], report: Callable[[Fed], None]) -> None:
        for sink, those in groupby(letters, key=lambda letter: letter.sink):
            reinject(replace(feeding, pipeline=into_sink(pipeline, sink)), map(record_of, those), report)

    return feed


def into_sink(pipeline: Pipeline, sink: str | None) -> Pipeline:
    """The same pipeline with no other sink than that of this name; all of its sinks without a name.

    Raises ConfigError when it has no such sink.
    """
    if sink is None or pipeline.sink_names == (sink,):
        return pipeline
    if sink not in pipeline.sink_names:
        msg = f"the pipeline {pipeline.whole} has no sink {sink} any more, which did not get these dead letters"
        raise ConfigError(msg, hint="give a sink this `name`, or discard them: `ddpm dlq discard --sink`")
    only = pipeline.sinks[pipeline.sink_names.index(sink)]
    return pipeline.as_part(
        Part(pipeline.name, sink, pipeline.kafka.consumer_group, pipeline.sink_names), {"sinks": (only,)}
    )


def record_of(letter: DeadLetter) -> FedRecord:
    """A letter as the record that it was; raises EngineError when that is unknown."""
    origin = letter.origin
    if origin is None:
        raise EngineError(f"dead letter {letter.id} does not say where its record came from")
    time = -1 if letter.recorded_at_ms is None else letter.recorded_at_ms
    record = RawRecord(origin.topic, origin.partition, origin.offset, time, letter.key, letter.value, letter.headers)
    return FedRecord(record, origin.source, letter.attempt + 1)
