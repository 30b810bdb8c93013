"""Whether the engine can do what a configuration says, found out without a server and before one is touched."""

from ddpm.components import parsers
from ddpm.config.model import Config, Pipeline
from ddpm.engine import binary as engine_binary
from ddpm.engine.progress import Progress, Silent
from ddpm.observability.masking import Masker
from ddpm.orchestrator.dryrun.choice import configured
from ddpm.orchestrator.dryrun.trials import Trials
from ddpm.orchestrator.launching.mistakes import refuse_mistakes


def check(config: Config, pipeline: Pipeline, progress: Progress) -> None:
    """Let an engine read a pipeline's mappings, schemas and plugin.

    Raises:
        ConfigError: It cannot use one of them.
        MissingToolError: The engine cannot be built or started.
        EngineError: The engine ended for another reason.

    """
    with Trials(configured(config, pipeline.name), progress) as trials:
        if parsers.reads_files(pipeline.source):
            trials.check()


def check_if_built(config: Config) -> bool:
    """Check all pipelines whose engine is there; False when one must be built first. Raises as `check` does."""
    ready = engine_binary.installed() is not None
    known = [each for each in config.pipelines if ready or each.engine.binary]
    # The mistakes of all pipelines together, before any is looked at closely.
    for wanted in dict.fromkeys(each.engine.binary for each in known):
        binary = engine_binary.locate(wanted, Silent())
        refuse_mistakes(binary, [each for each in known if each.engine.binary == wanted], Masker(config.secrets))
    for pipeline in config.pipelines:
        if ready or pipeline.engine.binary:
            check(config, pipeline, Silent())
    return ready or all(pipeline.engine.binary for pipeline in config.pipelines)
