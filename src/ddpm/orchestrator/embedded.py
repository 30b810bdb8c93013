"""Starts the embedded servers that a configuration asks for, and puts their addresses in its place."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from ddpm.config.model import Config, Pipeline
from ddpm.devstack import DevStack, check_installed
from ddpm.engine.progress import Progress
from ddpm.orchestrator.prepare import DATA_DIR


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the embedded servers answer; None for a server that was not asked for."""

    bootstrap: str | None = None
    dsn: str | None = None
    psql_command: str | None = None

    def resolve(self, config: Config) -> Config:
        """The same configuration with real addresses instead of `embedded`, and with their secrets known."""
        secrets = (*config.secrets, *((_password(self.dsn),) if self.dsn else ()))
        pipelines = tuple(self._resolve(pipeline) for pipeline in config.pipelines)
        return config.model_copy(update={"pipelines": pipelines, "secrets": secrets})

    def _resolve(self, pipeline: Pipeline) -> Pipeline:
        update: dict[str, object] = {}
        if pipeline.kafka.embedded and self.bootstrap:
            update["kafka"] = pipeline.kafka.model_copy(update={"brokers": (self.bootstrap,)})
        pipeline = pipeline.model_copy(update=update)
        dsn = self.dsn
        return pipeline.with_sinks(lambda sink: sink.resolved(dsn)) if dsn else pipeline


def check_embedded(config: Config) -> None:
    """Return if the embedded servers that a configuration asks for are installed; raises MissingToolError."""
    check_installed(**_wanted(config))


def embedded_servers_of(config: Config) -> tuple[str, ...]:
    """The embedded servers that a configuration still asks for."""
    return tuple(name for name, wanted in _wanted(config).items() if wanted)


@contextmanager
def embedded_servers(config: Config, progress: Progress) -> Iterator[Endpoints]:
    """Run the embedded servers that any of the pipelines asks for while the block runs.

    Raises:
        MissingToolError: They cannot run here, or another ddpm uses their data.
        ServiceError: They did not come up.

    """
    wanted = _wanted(config)
    if not any(wanted.values()):
        yield Endpoints()
        return
    with DevStack(DATA_DIR, **wanted, progress=progress) as stack:
        yield Endpoints(
            bootstrap=stack.kafka.bootstrap if stack.kafka else None,
            dsn=stack.postgres.dsn if stack.postgres else None,
            psql_command=stack.postgres.psql_command if stack.postgres else None,
        )


def _wanted(config: Config) -> dict[str, bool]:
    return {
        "kafka": any(pipeline.kafka.embedded for pipeline in config.pipelines),
        "postgres": any(sink.embedded for pipeline in config.pipelines for sink in pipeline.configured),
    }


def _password(dsn: str) -> str:
    return urlsplit(dsn).password or ""
