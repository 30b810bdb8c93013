"""Runs records through a pipeline once more, under the identity that they had: an engine fed over its standard input.

The engine is the one of a run in everything but its input, so parsers, mappings, sinks and dead letters are the same. It
ends by itself when its input has ended and everything is acknowledged; until then it waits for a sink that is away, as
in a run. What a killed one had written already is met again by the next one and changes nothing.
"""

import base64
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from ddpm.catalogue import environment
from ddpm.catalogue.again import PROCESSOR, sections_again
from ddpm.config.model import Config, Pipeline
from ddpm.engine import binary as engine_binary
from ddpm.engine import launcher
from ddpm.engine.progress import Progress
from ddpm.errors import ConfigError, EngineError
from ddpm.observability.logging import EngineLog
from ddpm.observability.masking import Masker
from ddpm.orchestrator.engines import config_hash, handed_to_parser, write_and_lint
from ddpm.orchestrator.prepare import rendered
from ddpm.orchestrator.provision import Provisioned

# The engine answers nothing while it waits for a sink; this only bounds one that does not end though its input has.
_KILL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Again:
    """A record as it was consumed once.

    Attributes:
        topic: Where it came from, with `partition` and `offset`.
        partition: See `topic`.
        offset: See `topic`.
        value: Its bytes; None for a tombstone.
        key: Its key.
        headers: Its own headers, in order.
        timestamp_ms: Its own time, in milliseconds since 1970; None for none.
        source: The number of the topic's incarnation; None for the present one.
        attempt: Stands in the header `ddpm.errors.attempt` of its dead letter, when it becomes one and this is not 0.

    """

    topic: str
    partition: int
    offset: int
    value: bytes | None = field(repr=False)
    key: bytes | None = field(default=None, repr=False)
    headers: tuple[tuple[str, bytes | None], ...] = field(default=(), repr=False)
    timestamp_ms: int | None = None
    source: int | None = None
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Fed:
    """What became of records that were fed again.

    Attributes:
        fed: Records handed over, all of them acknowledged.
        written: Rows that are in the table since then; 0 without a postgres sink.
        duplicates: Rows that had been there.
        dead: Dead letters.

    """

    fed: int
    written: int
    duplicates: int
    dead: int


def refeed(
    config: Config,
    pipeline: Pipeline,
    provisioned: Provisioned,
    records: Iterable[Again],
    *,
    progress: Progress,
    table: str | None = None,
    per_second: float | None = None,
    on_fed: Callable[[int], None] = lambda _: None,
) -> Fed:
    """Feed records to an engine of a pipeline; return when all of them are in the sinks or dead letters.

    Args:
        config: Where the pipeline stands; its addresses are real ones.
        pipeline: The pipeline.
        provisioned: What `provision` found out about it.
        records: Read as fast as the engine takes them.
        progress: Told when the engine has to be built first.
        table: Another table than the pipeline's, with the same columns.
        per_second: How many records at most; None does not limit them.
        on_fed: Told how many have been handed over so far.

    Raises:
        ConfigError: The pipeline cannot be rendered, its template has no place for this, or the engine refuses it.
        EngineError: The engine ended before it had acknowledged everything; those records can be fed again.
        MissingToolError: The engine cannot be built or started.

    """
    if table is not None and pipeline.postgres is not None:
        pipeline = pipeline.model_copy(update={"postgres": pipeline.postgres.model_copy(update={"table": table})})
    text = rendered(config, pipeline, sections_again)
    if PROCESSOR not in text:
        msg = f"the template of pipeline {pipeline.name} has an input or a capture of its own: nothing can be fed to it"
        raise ConfigError(msg, hint="use the sections input, and pipeline or origin, in app.pipeline_template")
    binary = engine_binary.locate(pipeline.engine.binary, progress)
    with tempfile.TemporaryDirectory(prefix="ddpm-again-") as folder:
        path = Path(folder) / "engine.yaml"
        write_and_lint(binary, path, text, pipeline)
        env = {
            environment.SOURCES: provisioned.sources_json,
            environment.CONFIG_HASH: config_hash(text),
            **handed_to_parser(pipeline.source),
        }
        if pipeline.postgres is not None:
            env[environment.POSTGRES_DSN] = pipeline.postgres.url
        spec = launcher.EngineSpec(binary, path, env, pipeline.engine.drain, pipeline.engine.memory_limit)
        return _Feeding(spec, pipeline.name, Masker(config.secrets)).run(records, per_second, on_fed)


class _Feeding:
    """One engine, from its start to its end."""

    def __init__(self, spec: launcher.EngineSpec, name: str, masker: Masker) -> None:
        self._log = EngineLog(name, 0)
        self._masker = masker
        self._said: dict[str, int] = {}
        self._process = launcher.launch(spec, self._heard, fed=True)
        structlog.get_logger().bind(pipeline=name).debug("engine for replay started", pid=self._process.pid)

    def run(self, records: Iterable[Again], per_second: float | None, on_fed: Callable[[int], None]) -> Fed:
        fed = 0
        try:
            stream = self._process.stdin
            assert stream is not None  # noqa: S101 -- launched to be fed
            begin = time.monotonic()
            try:
                for record in records:
                    if per_second is not None:
                        time.sleep(max(0.0, begin + fed / per_second - time.monotonic()))
                    stream.write(_line(record))
                    fed += 1
                    on_fed(fed)
                stream.close()
            except BrokenPipeError:
                # The engine has ended; how, is told below.
                pass
            code = self._await_end()
        finally:
            self._process.kill()
        if code != 0:
            said = "".join(f"\n  {self._masker.text(line)}" for line in self._process.last_lines()) or " nothing"
            raise EngineError(f"the engine ended with {code} before all was done; the last that it said:{said}")
        self._process.last_lines()  # all of its last words are heard now
        return Fed(fed, *(self._said.get(name, 0) for name in ("committed", "duplicates", "dead_letters")))

    def _await_end(self) -> int:
        while True:
            try:
                return self._process.wait(_KILL_SECONDS)
            except subprocess.TimeoutExpired:
                continue  # a sink is away, or there is much left to write

    def _heard(self, line: launcher.LogLine) -> None:
        for name in ("committed", "duplicates", "dead_letters"):
            value = line.fields.get(name)
            if isinstance(value, int | str) and str(value).isdigit():
                self._said[name] = self._said.get(name, 0) + int(value)
        self._log(line.level, line.message, line.fields)


def _line(record: Again) -> bytes:
    def text(data: bytes | None) -> str | None:
        return None if data is None else base64.b64encode(data).decode()

    fields = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "key": text(record.key),
        "value": text(record.value),
        "headers": [{"name": name, "value": text(value)} for name, value in record.headers],
        "source": record.source,
        "attempt": record.attempt,
    }
    return json.dumps(fields).encode() + b"\n"
