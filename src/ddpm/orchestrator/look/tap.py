"""Records of a pipeline as they come: at its topics, as it would write them, or as its dead letters.

They are read outside of the pipeline's group and tried on an engine of their own, so what runs is not touched.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

from ddpm.broker.arriving import Arrivals, arriving
from ddpm.broker.dump import RawRecord
from ddpm.config.model import Config, Pipeline, Processor
from ddpm.config.problems import ConfigProblems
from ddpm.deadletters.letter import DeadLetter, parse, shown
from ddpm.engine.progress import Progress
from ddpm.errors import ConfigError
from ddpm.orchestrator.dead_letter_stores import owners_of
from ddpm.orchestrator.dryrun import (
    Choice,
    Outcome,
    Record,
    Result,
    TooDeepError,
    Trials,
    configured,
    parser_alone,
    read_answer,
)
from ddpm.orchestrator.dryrun import shown as answer_shown
from ddpm.orchestrator.dryrun.consumed import consumed
from ddpm.privacy import PrivacyFilter, privacy_of

# More are not tried on a filter in a second: the machine is there for the pipelines.
_TRIED_A_SECOND = 500
_POLL_SECONDS = 0.25
_SINK = "sink"


class Point(StrEnum):
    """Where records are looked at."""

    SOURCE = "source"
    SINK = "sink"
    DEAD_LETTERS = "dead-letters"


@dataclass(frozen=True, slots=True)
class Seen:
    """A record, and what became of it; nothing in it but what people may see.

    Attributes:
        record: As it lies in its topic.
        answer: What the pipeline makes of it, on one line of JSON; None where it was not tried.
        written: Of the documents that it has become those that would be written.
        letter: The dead letter that it is.

    """

    record: RawRecord
    answer: str | None = None
    written: tuple[Result, ...] = ()
    letter: DeadLetter | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """So many were not looked at, since more came than may be shown."""

    count: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked at.

    Attributes:
        at: Where.
        condition: Bloblang that must be true of the document: behind the parser at the source, behind the processors
            at the sink, of the letter's own fields (`stage`, `code`, `message` …) at the dead letters.
        rate: So many are shown in a second at most.

    """

    at: Point
    condition: str | None
    rate: int


Look = Callable[[RawRecord], Seen | None]


@contextmanager
def tapped(
    config: Config, pipeline: Pipeline, wanted: Wanted, progress: Progress
) -> Iterator[Iterator[Seen | LeftOut]]:
    """Yield the records that come from now on, without end.

    Args:
        config: The configuration, with real addresses.
        pipeline: One of its pipelines.
        wanted: What is looked at.
        progress: Notified when the engine has to be built first.

    Raises:
        ConfigError: The condition cannot be read.
        ServiceError: No broker answers, or a topic is not there.

    """
    kafka = pipeline.kafka
    topics = (pipeline.dead_letter.topic,) if wanted.at is Point.DEAD_LETTERS else kafka.topics
    with ExitStack() as stack:
        looks = stack.enter_context(_looks(config, pipeline, wanted, progress))
        arrivals = stack.enter_context(arriving(kafka.cluster, topics, committed=kafka.reads_committed))
        yield paced(arrivals, looks, wanted.rate)


def paced(arrivals: Arrivals, look: Look, rate: int) -> Iterator[Seen | LeftOut]:
    """What is seen, at most `rate` in a second; what comes beyond that is left out, and counted."""
    while True:
        begun, shown_, tried, left = time.monotonic(), 0, 0, 0
        while time.monotonic() - begun < 1.0:
            batch = arrivals.poll(_POLL_SECONDS)
            for number, record in enumerate(batch):
                if shown_ >= rate or tried >= _TRIED_A_SECOND:
                    left = len(batch) - number
                    break
                tried += 1
                if (seen := look(record)) is not None:
                    shown_ += 1
                    yield seen
            if left:
                time.sleep(max(0.0, begun + 1.0 - time.monotonic()))
                yield LeftOut(left + arrivals.jump())
                break


@contextmanager
def _looks(config: Config, pipeline: Pipeline, wanted: Wanted, progress: Progress) -> Iterator[Look]:
    at, condition = wanted.at, wanted.condition
    filters = () if condition is None else (Processor(filter=condition),)
    letters = at is Point.DEAD_LETTERS
    choice = parser_alone("json", {}) if letters else configured(config, pipeline.name)
    own = choice.pipeline.model_copy(update={"engine": pipeline.engine}) if letters else choice.pipeline
    steps = (*own.processors, *filters) if at is Point.SINK else filters
    with ExitStack() as stack:
        trials: Trials | None = None
        if filters or at is Point.SINK:
            tried = replace(choice, pipeline=own.model_copy(update={"processors": steps}))
            trials = stack.enter_context(_trials(tried, progress, filtered=bool(filters)))
        if letters:
            yield _letters(config, pipeline, trials)
        else:
            yield _records(pipeline, trials, at)


@contextmanager
def _trials(choice: Choice, progress: Progress, *, filtered: bool) -> Iterator[Trials]:
    try:
        trials = Trials(choice, progress)
    except ConfigProblems as problems:
        if not filtered:
            raise
        # The pipeline's own mappings were checked when it was loaded.
        first = problems.problems[0]
        raise ConfigError(f"the filter cannot be used: {first.message}", hint=first.hint) from problems
    with trials:
        yield trials


def _records(pipeline: Pipeline, trials: Trials | None, at: Point) -> Look:
    privacy = privacy_of(pipeline)

    def look(record: RawRecord) -> Seen | None:
        own = seen_of(record, privacy)
        if trials is None:
            return Seen(own)
        try:
            line = answer_shown(trials.answer(consumed(record)), privacy)
            answer = read_answer(line)
        except TooDeepError:
            # What becomes of it cannot be told, and what comes behind it can.
            return Seen(own)
        if at is Point.SOURCE:
            return Seen(own) if any(map(_passed, answer.results)) else None
        written = tuple(each for each in answer.results if each.outcome is Outcome.WRITTEN)
        return Seen(own, line, written) if written else None

    return look


def _passed(result: Result) -> bool:
    """Whether the condition was true: what a sink would refuse has passed it."""
    refused = result.reason is not None and result.reason.stage != _SINK
    return result.outcome is not Outcome.FILTERED and not refused


def _letters(config: Config, pipeline: Pipeline, trials: Trials | None) -> Look:
    owners, privacy = owners_of(config.pipelines), privacy_of(pipeline)

    def look(record: RawRecord) -> Seen | None:
        letter = parse(record)
        taken = () if letter is None else owners.taken(letter)
        own = next((each for each in taken if each.pipeline == pipeline.name), None)
        if own is None:
            return None
        own = shown(own, privacy)
        if trials is not None:
            answer = read_answer(trials.answer(Record(json.dumps(fields(own)).encode())))
            if not any(map(_passed, answer.results)):
                return None
        return Seen(seen_of(record, privacy), letter=own)

    return look


def fields(letter: DeadLetter) -> dict[str, object]:
    """What a condition is asked about a dead letter."""
    origin = letter.origin
    return {
        "stage": letter.stage,
        "code": letter.code,
        "message": letter.message,
        "column": letter.column,
        "sink": letter.sink,
        "attempt": letter.attempt,
        "topic": origin.topic if origin else None,
        "partition": origin.partition if origin else None,
        "offset": origin.offset if origin else None,
    }


def seen_of(record: RawRecord, privacy: PrivacyFilter) -> RawRecord:
    """What people may see of a record."""
    headers = privacy.headers(record.headers)
    return replace(record, key=privacy.key(record.key), value=privacy.value(record.value), headers=headers)
