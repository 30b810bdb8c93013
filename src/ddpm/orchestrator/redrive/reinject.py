"""Feeds records to an engine of their pipeline again, as if they had just been consumed from where they came from.

The engine reads what it is handed on its standard input, runs the pipeline's own parser, processors and sinks with
the dead letters behind, and ends when everything is acknowledged. Rows keep their identity, so that feeding a record
once more changes nothing. Which records to feed, and into which table, is the caller's affair.
"""

import base64
import contextlib
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import yaml

from ddpm.broker.dump import RawRecord
from ddpm.components.concealing import as_read
from ddpm.components.feeding import fed_sections
from ddpm.config.model import Config, Pipeline
from ddpm.config.problems import ConfigProblems
from ddpm.contract import Env, FedField, FedHeaderField, Metric
from ddpm.engine import process as engine_process
from ddpm.engine.counters import counters
from ddpm.engine.exposition import samples
from ddpm.engine.launching import EngineSpec
from ddpm.engine.probes import EngineClient
from ddpm.errors import ConfigError, EngineError
from ddpm.observability.masking import Masker
from ddpm.orchestrator.launching.engines import config_hash
from ddpm.orchestrator.launching.handed import handed_to_outputs, handed_to_parser, handed_to_steps
from ddpm.orchestrator.launching.linting import write_and_lint
from ddpm.orchestrator.prepare import rendered
from ddpm.render import Rendered
from ddpm.words import counted

_LOOK_SECONDS = 0.5
_LINGER_SECONDS = 0.1
_END_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class FedRecord:
    """A record to feed.

    Attributes:
        record: As it lay in its topic.
        source: The number of its topic's incarnation; None for the present one's.
        attempt: How often it has been tried with this one; above 1 its dead letter says so.

    """

    record: RawRecord
    source: int | None = None
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Feeding:
    """What is fed.

    Attributes:
        config: Where the pipeline stands, for its name and its secrets.
        pipeline: With real addresses; another table or fewer sinks than configured are a changed copy of it.
        binary: The engine.
        sources: The number of each topic's present incarnation, by topic.
        config_hash: Names the configuration in dead letters; empty takes that of `pipeline` as it is.

    """

    config: Config = field(repr=False)
    pipeline: Pipeline
    binary: Path
    sources: Mapping[str, int]
    config_hash: str = ""


@dataclass(frozen=True, slots=True)
class Fed:
    """How far it is.

    Attributes:
        fed: Records handed to the engine.
        acknowledged: Records that are done: in every sink, dead, or filtered.
        rows: Rows that were written; those that were there already do not count.
        duplicates: Rows that were there already.
        dead_letters: Dead letters that were written.
        waiting: Why the sink or the parser waits, as one word; None while neither does.

    """

    fed: int = 0
    acknowledged: int = 0
    rows: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    waiting: str | None = None


def reinject(
    feeding: Feeding,
    records: Iterable[FedRecord],
    report: Callable[[Fed], None] = lambda _: None,
    *,
    rate: float | None = None,
) -> Fed:
    """Feed records to an engine of their pipeline and return when all of them are done.

    Args:
        feeding: The pipeline and its engine.
        records: Taken one by one, as fast as the engine takes them.
        report: Notified about twice a second how far it is, from a thread of its own.
        rate: Records a second at most; None does not limit it.

    Raises:
        EngineError: The engine ended early; some records may be done and others not.
        ConfigError: The engine does not accept the pipeline, or its template cannot be fed.
        MissingToolError: The engine cannot be started.
        DdpmError: Whatever taking the next record raises.

    """
    masker = Masker(feeding.config.secrets)
    with tempfile.TemporaryDirectory(prefix="ddpm-feed-") as folder:
        totals = Path(folder) / "metrics"
        with _running(_spec(feeding, Path(folder) / "engine.yaml", totals)) as process:
            count = _Count()
            with _watched(feeding, process, count, report):
                whole = _hand_over(process, records, count, rate)
                code = process.wait_long()
            text = totals.read_text() if totals.is_file() else ""
            fed = _fed(feeding.pipeline, count.records, text)
            if code != 0 or not whole or fed.acknowledged != fed.fed:
                raise _ended_early(process, fed, masker)
    report(fed)
    return fed


class _Count:
    """How many records were handed over; written by one thread, read by another."""

    records: int = 0


class _Process:
    """An engine that is fed."""

    def __init__(self, process: engine_process.EngineProcess) -> None:
        assert process.stdin is not None  # noqa: S101 -- launched with a pipe
        self.stdin: IO[bytes] = process.stdin
        self.url = process.url
        self._process = process

    def wait_long(self) -> int:
        """Wait for its end, however long a sink is away."""
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(_LOOK_SECONDS)

    def last_lines(self) -> tuple[str, ...]:
        return self._process.last_lines()

    def close(self) -> None:
        """End it by force, if it runs; what it has not acknowledged it was fed in vain."""
        self._process.kill()
        self._process.wait(_END_SECONDS)
        with contextlib.suppress(OSError):  # what is left in its buffer has no reader any more
            self.stdin.close()


@contextmanager
def _running(spec: EngineSpec) -> Iterator[_Process]:
    process = _Process(engine_process.launch(spec, lambda _: None, pipes="input"))
    try:
        yield process
    finally:
        process.close()


def _spec(feeding: Feeding, path: Path, totals: Path) -> EngineSpec:
    pipeline = feeding.pipeline
    masker = Masker(feeding.config.secrets)
    made = _configuration(feeding, totals)
    try:
        write_and_lint(feeding.binary, path, made, pipeline, masker)
    except ConfigProblems:
        raise
    except ConfigError as error:
        # The file is gone when somebody reads this.
        message = error.message.replace(str(path), path.name)
        raise ConfigError(masker.text(message), hint=error.hint) from None
    env = {
        Env.SOURCES: json.dumps(dict(feeding.sources), sort_keys=True),
        Env.CONFIG_HASH: feeding.config_hash or config_hash(rendered(feeding.config, pipeline).text),
        **handed_to_parser(pipeline.source),
        **made.env,
        **handed_to_steps(pipeline),
    }
    env |= handed_to_outputs(pipeline)
    engine = pipeline.engine
    return EngineSpec(feeding.binary, path, env, engine.drain, engine.memory_limit, folder=pipeline.folder)


def _configuration(feeding: Feeding, totals: Path) -> Rendered:
    made = fed_sections(feeding.pipeline, totals)
    found = rendered(feeding.config, feeding.pipeline, made)
    document = yaml.safe_load(as_read(found.text, found.env))
    for section in ("input", "metrics"):
        # With an input of its own, this engine would join the pipeline's consumer group.
        if document.get(section) != made[section]:
            msg = f"the template {feeding.pipeline.pipeline_template} has its own {section}, so no records can be fed"
            raise ConfigError(msg, hint=f"place ddpm's in app.pipeline_template: {{{{ {section} | yaml(2) }}}}")
    return found


def _hand_over(process: _Process, records: Iterable[FedRecord], count: _Count, rate: float | None) -> bool:
    """Write the records and close the engine's input; False when it did not take them all."""
    flushed = begun = time.monotonic()
    try:
        for record in records:
            if rate is not None:
                time.sleep(max(0.0, begun + count.records / rate - time.monotonic()))
            process.stdin.write(_line(record))
            count.records += 1
            # Someone who hands over slowly is not kept waiting for a buffer to be full.
            if time.monotonic() - flushed > _LINGER_SECONDS:
                process.stdin.flush()
                flushed = time.monotonic()
        process.stdin.close()
    except BrokenPipeError:
        return False
    return True


def _line(fed: FedRecord) -> bytes:
    record = fed.record
    fields = {
        FedField.TOPIC: record.topic,
        FedField.PARTITION: record.partition,
        FedField.OFFSET: record.offset,
        # The engine's own client takes what is negative for none.
        FedField.TIMESTAMP_MS: record.timestamp if record.timestamp >= 0 else None,
        FedField.KEY: _base64(record.key),
        FedField.VALUE: _base64(record.value),
        FedField.HEADERS: [
            {FedHeaderField.NAME: name, FedHeaderField.VALUE: _base64(value)} for name, value in record.headers
        ],
        FedField.SOURCE: fed.source,
        FedField.ATTEMPT: fed.attempt,
    }
    return json.dumps(fields).encode() + b"\n"


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


@contextmanager
def _watched(feeding: Feeding, process: _Process, count: _Count, report: Callable[[Fed], None]) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        client = EngineClient(process.url)
        try:
            while not over.wait(_LOOK_SECONDS):
                text = client.metrics()
                if text is not None:
                    report(_fed(feeding.pipeline, count.records, text))
        finally:
            client.close()

    watcher = threading.Thread(target=watch, name="feeding", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join(_END_SECONDS)


def _fed(pipeline: Pipeline, handed_over: int, metrics: str) -> Fed:
    counted = counters(metrics, {sink.metrics_prefix for sink in pipeline.sinks})
    done = sum(sample.value for sample in samples(metrics, {Metric.FEED_ACKNOWLEDGED}))
    return Fed(
        fed=handed_over,
        acknowledged=int(done),
        rows=int(counted.written),
        duplicates=int(counted.duplicates),
        dead_letters=int(counted.dead),
        waiting=next((each.word for each in counted.waiting), counted.parser_waiting),
    )


def _ended_early(process: _Process, fed: Fed, masker: Masker) -> EngineError:
    said = "".join(f"\n  {masker.text(line)}" for line in process.last_lines()) or " nothing"
    done = f"{fed.acknowledged} of {counted(fed.fed, 'record')}"
    msg = f"the engine ended when {done} were done; the last that it said:{said}"
    return EngineError(msg, hint="repeat it: what is done already changes nothing")
