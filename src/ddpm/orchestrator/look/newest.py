"""The newest records of the pipelines that run, for the API."""

import threading
from collections.abc import Callable
from contextlib import suppress

from ddpm.broker.dump import RawRecord, newest
from ddpm.config.model import Config, Pipeline
from ddpm.engine import binary as engine_binary
from ddpm.engine.progress import Silent
from ddpm.errors import ServiceError
from ddpm.orchestrator.dryrun import TooDeepError, Trials, configured, shown
from ddpm.orchestrator.dryrun.consumed import consumed
from ddpm.orchestrator.look.tap import seen_of
from ddpm.privacy import PrivacyFilter, privacy_of
from ddpm.server.looking import LookedAt

# Each starts an engine for a moment.
_AT_ONCE = 2


class NewestRecords:
    """Looks for whoever asks; for any thread."""

    def __init__(self) -> None:
        self._config: Callable[[], Config] | None = None
        self._free = threading.BoundedSemaphore(_AT_ONCE)

    def open(self, config: Callable[[], Config]) -> None:
        """Begin to answer; `config` gives the configuration that runs, with real addresses."""
        self._config = config

    def newest(self, name: str, count: int) -> list[LookedAt]:
        """The newest records of a pipeline, the newest last.

        Raises:
            ServiceError: Kafka does not answer, or too many look already.
            DdpmError: They cannot be tried.

        """
        if self._config is None:
            raise ServiceError("ddpm starts: no records can be looked at", hint="try again in a moment")
        if not self._free.acquire(blocking=False):
            raise ServiceError("others look at records now", hint="try again in a moment")
        try:
            return self._newest(self._config(), name, count)
        finally:
            self._free.release()

    def _newest(self, config: Config, name: str, count: int) -> list[LookedAt]:
        pipeline = next((each for each in config.pipelines if each.name == name), None)
        if pipeline is None:
            raise ServiceError(f"{name} does not run any more")
        records = newest(pipeline.kafka.cluster, pipeline.kafka.topics, count)
        privacy = privacy_of(pipeline)
        if not records or not _can_try(pipeline):
            return [LookedAt(seen_of(each, privacy), None) for each in records]
        with Trials(configured(config, name), Silent()) as trials:
            return [LookedAt(seen_of(each, privacy), _answer(trials, each, privacy)) for each in records]


def _answer(trials: Trials, record: RawRecord, privacy: PrivacyFilter) -> str | None:
    # One record that cannot be shown does not hide the others.
    with suppress(TooDeepError):
        return shown(trials.answer(consumed(record)), privacy)
    return None


def _can_try(pipeline: Pipeline) -> bool:
    """Whether there is an engine on this machine; to build one takes longer than anybody waits for a page."""
    return pipeline.engine.binary is not None or engine_binary.installed() is not None
