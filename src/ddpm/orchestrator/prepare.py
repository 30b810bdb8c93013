"""From a pipeline to an engine configuration on disk: find the template, render, write, lint."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from ddpm.component import Value
from ddpm.config import paths
from ddpm.config.model import Config, Pipeline
from ddpm.config.paths import from_here
from ddpm.config.skeleton import Skeleton
from ddpm.errors import ConfigError, MissingToolError
from ddpm.files import write_atomically
from ddpm.render import Rendered, render

DATA_DIR = paths.DATA_DIR


def rendered(config: Config, pipeline: Pipeline, made: Mapping[str, Value] | None = None) -> Rendered:
    """The engine configuration of one pipeline, of these sections if given; raises ConfigError as `render` does."""
    skeleton = skeleton_of(pipeline)
    return render(pipeline, skeleton, origin=config.path.name, made=made, secrets=config.secrets)


def skeleton_of(pipeline: Pipeline) -> Skeleton:
    """The template of a pipeline; raises ConfigError when it cannot be read."""
    path = pipeline.pipeline_template or default_template()
    try:
        return Skeleton(from_here(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the pipeline template {path} cannot be read: {error}"
        raise ConfigError(msg, hint="correct app.pipeline_template") from error


def default_template() -> Path:
    """The skeleton that ships with ddpm: inside the package when installed, in the checkout otherwise."""
    for folder in (Path(str(files("ddpm"))) / "_pipelines", Path(__file__).parents[3] / "pipelines"):
        path = folder / "benthos" / "pipeline.yaml"
        if path.is_file():
            return path
    msg = "the pipeline template that ships with ddpm is missing"
    raise MissingToolError(msg, hint="reinstall ddpm, or name a template in app.pipeline_template")


def generated_path(pipeline: Pipeline) -> Path:
    """Where the engine configuration of a pipeline is written."""
    return pipeline.generated_pipeline_config or DATA_DIR / "generated" / f"{pipeline.name}.yaml"


def write(text: str, path: Path) -> None:
    """Write atomically, for this user only; raises MissingToolError."""
    try:
        write_atomically(path, text)
    except OSError as error:
        msg = f"the engine configuration {path} cannot be written: {error.strerror}"
        raise MissingToolError(
            msg, hint="correct app.generated_pipeline_config, or make the folder writable"
        ) from error
