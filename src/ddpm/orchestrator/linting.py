"""Engine configurations on disk, and what the engine says of them before it runs one."""

from pathlib import Path

from ddpm.config.model import Pipeline
from ddpm.engine import binary as engine_binary
from ddpm.errors import ConfigError
from ddpm.observability.masking import Masker
from ddpm.orchestrator.mistakes import reads_files, refuse_mistakes
from ddpm.orchestrator.prepare import write
from ddpm.render import Rendered


def write_and_lint(binary: Path, path: Path, made: Rendered, pipeline: Pipeline, masker: Masker) -> None:
    """Write a pipeline's engine configuration and let the engine check it.

    Raises:
        ConfigProblems: A mapping has a mistake; with its place in the file that the user wrote.
        ConfigError: The engine does not accept the configuration for another reason; with what it says.

    """
    write(made.text, path)
    problems = [masker.text(problem) for problem in engine_binary.lint(binary, path, made.env)]
    if problems or reads_files(pipeline):
        refuse_mistakes(binary, [pipeline], masker)
    if problems:
        msg = f"the engine does not accept {path}:\n  " + "\n  ".join(problems)
        raise ConfigError(msg, hint="look at app.source.plugin_path and app.pipeline_template")
