"""Whether the engine can do what a configuration says, found out without a server and before one is touched."""

from ddpm.config.model import Config, Pipeline
from ddpm.engine.progress import Progress
from ddpm.orchestrator.dryrun.choice import configured
from ddpm.orchestrator.dryrun.trials import Trials


def check(config: Config, pipeline: Pipeline, progress: Progress) -> None:
    """Let an engine read a pipeline's mappings, schemas and plugin.

    Raises:
        ConfigError: It cannot use one of them.
        MissingToolError: The engine cannot be built or started.
        EngineError: The engine ended for another reason.

    """
    with Trials(configured(config, pipeline.name), progress) as trials:
        trials.check()
