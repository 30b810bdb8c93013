"""Feeds dead letters to an engine of their pipeline again, as the records that they were."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ddpm.broker.dump import RawRecord
from ddpm.config.model import Config, Pipeline
from ddpm.deadletters.letter import DeadLetter
from ddpm.deadletters.replay import Fed, Reinject
from ddpm.engine import binary as engine_binary
from ddpm.engine.progress import Progress
from ddpm.errors import EngineError
from ddpm.orchestrator.provision import provision
from ddpm.orchestrator.reinject import FedRecord, Feeding, reinject


def reinjector(config: Config, pipeline: Pipeline, progress: Progress) -> Reinject:
    """What replays letters of a pipeline that no ddpm need run; its topics and table are looked after first.

    Raises:
        DdpmError: Its servers do not answer, its table does not fit, or there is no engine.

    """
    binary = engine_binary.locate(pipeline.engine.binary, progress)
    return reinjector_of(config, pipeline, binary, provision(pipeline).sources)


def reinjector_of(config: Config, pipeline: Pipeline, binary: Path, sources: Mapping[str, int]) -> Reinject:
    """What replays letters of a pipeline that is provisioned; `sources` numbers the present topics."""
    feeding = Feeding(config, pipeline, binary, sources)

    def feed(letters: Iterator[DeadLetter], told: Callable[[Fed], None]) -> None:
        reinject(feeding, map(record_of, letters), told)

    return feed


def record_of(letter: DeadLetter) -> FedRecord:
    """A letter as the record that it was; raises EngineError when nobody knows where that came from."""
    origin = letter.origin
    if origin is None:
        raise EngineError(f"dead letter {letter.id} does not say where its record came from")
    time = -1 if letter.recorded_at_ms is None else letter.recorded_at_ms
    record = RawRecord(origin.topic, origin.partition, origin.offset, time, letter.key, letter.value, letter.headers)
    return FedRecord(record, origin.source, letter.attempt + 1)
