"""Which launcher starts the engines of which pipeline, and what has to be in order before any of them does."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import structlog

from ddpm.components import parsers
from ddpm.components.processors import files_of_steps
from ddpm.config.model import Config, Container, Pipeline
from ddpm.engine.container import ContainerContext, ContainerLauncher, check, end_leftovers
from ddpm.engine.external import ExternalLauncher
from ddpm.engine.launching import Launcher
from ddpm.engine.process import ProcessLauncher
from ddpm.errors import ConfigError
from ddpm.orchestrator.prepare import DATA_DIR
from ddpm.orchestrator.run.owner import owner
from ddpm.supervisor.policy import KILL_MARGIN

OWNER_FILE = DATA_DIR / "state" / "owner"


def check_launchers(config: Config) -> None:
    """Raise an error that says what is missing for engines to be started; makes nothing."""
    for pipeline in config.pipelines:
        if pipeline.engine.container is not None:
            _environment(pipeline.engine.container)
            check(pipeline.engine.container)


@contextmanager
def launchers(config: Config) -> Iterator[dict[str, Launcher]]:
    """The launcher of every pipeline, by name, while the block runs; ends what they started.

    Before, engines in containers that an earlier run has left behind are drained and removed.

    Raises:
        DdpmError: Docker does not answer, or refuses; ddpm's folder cannot be written.

    """
    with ExitStack() as stack:
        in_containers = [each for each in config.pipelines if each.engine.container is not None]
        name = stack.enter_context(owner(OWNER_FILE)) if in_containers else ""
        for address in dict.fromkeys(each.engine.container.docker for each in in_containers if each.engine.container):
            grace = max(each.engine.drain for each in in_containers) + KILL_MARGIN
            if left := end_leftovers(address, name, grace):
                structlog.get_logger().warning("engines of an earlier run were left and are ended", containers=left)
        made = {each.name: _launcher(each, name) for each in config.pipelines}
        for launcher in made.values():
            stack.enter_context(closing(launcher))
        yield made


def _launcher(pipeline: Pipeline, name: str) -> Launcher:
    engine = pipeline.engine
    if engine.container is not None:
        settings = engine.container
        of_sinks = (path for sink in pipeline.configured for path in sink.engine_files)
        of_servers = (*pipeline.kafka.cluster.security.files, *of_sinks)
        named = (*parsers.files(pipeline.source), *files_of_steps(pipeline), *of_servers, *settings.files)
        files = dict.fromkeys(named)
        return ContainerLauncher(ContainerContext(settings, name, pipeline.name, _environment(settings), tuple(files)))
    if engine.url is not None:
        return ExternalLauncher(engine.url)
    return ProcessLauncher()


def _environment(settings: Container) -> dict[str, str]:
    missing = [name for name in settings.env if name not in os.environ]
    if missing:
        msg = f"app.engine.container.env names {missing[0]}, which is not set"
        raise ConfigError(msg, hint="set it in the environment of ddpm, or remove it")
    return {name: os.environ[name] for name in settings.env}
