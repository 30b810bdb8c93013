"""An engine on this machine that answers records with what a pipeline makes of them."""

import base64
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from ddpm.components.offline import PROCESSOR, configuration
from ddpm.config.problems import ConfigProblems
from ddpm.engine import binary as engine_binary
from ddpm.engine import process as engine_process
from ddpm.engine.conversation import Conversation
from ddpm.engine.launching import EngineSpec
from ddpm.engine.progress import Progress
from ddpm.errors import ConfigError, EngineError
from ddpm.observability.masking import Masker
from ddpm.orchestrator.dryrun.choice import Choice
from ddpm.orchestrator.launching.handed import handed_to_parser, handed_to_steps
from ddpm.orchestrator.launching.linting import write_and_lint
from ddpm.render import render_component

# As much as the broker would take from ddpm.
MOST_BYTES = 64_000_000
PATIENCE_SECONDS = 30.0
_UNUSABLE = re.compile(r"failed to init processor .* path \S+?\.parser\.\d+: (.*)")


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it would be consumed; a payload of None is a tombstone, a topic of None the pipeline's first."""

    payload: bytes | None = field(repr=False)
    number: int = 1
    topic: str | None = None
    key: str = ""
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    timestamp_ms: int | None = None


class Trials:
    """Tries records on one pipeline; a context manager that leaves no engine and no file behind. For one thread.

    Args:
        choice: The pipeline.
        progress: Notified when the engine has to be built first.
        patience: How many seconds a record may take.

    Raises:
        ConfigError: The pipeline cannot be rendered, or the engine does not accept it.
        MissingToolError: The engine cannot be built or started.

    """

    def __init__(self, choice: Choice, progress: Progress, *, patience: float = PATIENCE_SECONDS) -> None:
        self._pipeline = choice.pipeline
        self._masker = Masker(choice.secrets)
        self._patience = patience
        self._conversation: Conversation | None = None
        self._made = render_component(configuration(choice.pipeline), origin=choice.origin, secrets=choice.secrets)
        self._binary = engine_binary.locate(choice.pipeline.engine.binary, progress, needed={"ddpm_origin", PROCESSOR})
        self._folder = Path(tempfile.mkdtemp(prefix="ddpm-offline-"))
        try:
            self._config = self._folder / "engine.yaml"
            write_and_lint(self._binary, self._config, self._made, self._pipeline, self._masker)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hang_up()
        shutil.rmtree(self._folder, ignore_errors=True)

    def check(self) -> None:
        """Let the engine prepare the pipeline: it reads schemas and descriptors, which are only named until then.

        Raises:
            ConfigError: It cannot use what it was given.
            EngineError: It ended for another reason, or took too long.

        """
        try:
            self.answer(Record(None))
        except EngineError as error:
            found = _UNUSABLE.search(error.message)
            if found is None:
                raise
            raise self._unusable(self._masker.text(found[1])) from None

    def answer(self, record: Record) -> str:
        """What becomes of a record: one line of JSON, in which numbers keep their digits.

        Raises:
            ConfigError: The record is larger than `MOST_BYTES`.
            EngineError: The engine ended or took too long over it. The next record gets another engine.

        """
        if record.payload is not None and len(record.payload) > MOST_BYTES:
            msg = (
                f"record {record.number} has {len(record.payload)} bytes; a topic would not take more than {MOST_BYTES}"
            )
            raise ConfigError(msg)
        conversation = self._conversation or self._begin()
        try:
            return conversation.ask(self._line(record)).decode()
        except EngineError as error:
            self._hang_up()
            raise EngineError(self._masker.text(error.message), hint=error.hint) from None
        except BaseException:
            # An answer that was not waited for would be taken for that of the next record.
            self._hang_up()
            raise

    def _line(self, record: Record) -> bytes:
        payload = None if record.payload is None else base64.b64encode(record.payload).decode()
        fields = {
            "record": record.number,
            "payload": payload,
            "topic": record.topic or self._pipeline.kafka.topics[0],
            "offset": record.number - 1,
            "key": record.key,
            "headers": {name: list(values) for name, values in record.headers.items()},
            "timestamp_ms": record.timestamp_ms,
        }
        return json.dumps(fields).encode()

    def _begin(self) -> Conversation:
        engine = self._pipeline.engine
        env = {**handed_to_parser(self._pipeline.source), **handed_to_steps(self._pipeline), **self._made.env}
        folder = self._pipeline.folder
        spec = EngineSpec(self._binary, self._config, env, engine.drain, engine.memory_limit, folder=folder)
        self._conversation = Conversation(engine_process.launch(spec, lambda _: None, pipes="both"), self._patience)
        return self._conversation

    def _unusable(self, said: str) -> ConfigError:
        source = self._pipeline.source
        message = f"the parser {source.parser} cannot start: {said}"
        if source.written is None:
            return ConfigError(f"pipeline {self._pipeline.name}: {message}", hint="look at app.source.options")
        return ConfigProblems([source.written.problem("parser", 0, message)])

    def _hang_up(self) -> None:
        if self._conversation is not None:
            self._conversation.close()
            self._conversation = None
