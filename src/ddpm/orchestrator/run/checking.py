"""What an engine says of pipelines before anything of them is made."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ddpm.components import parsers
from ddpm.config.model import Config, Pipeline
from ddpm.engine import binary as engine_binary
from ddpm.engine.progress import Progress, Silent
from ddpm.observability.masking import Masker
from ddpm.orchestrator.dryrun import check
from ddpm.orchestrator.launching.linting import Linter
from ddpm.orchestrator.launching.mistakes import refuse_mistakes
from ddpm.orchestrator.prepare import rendered


def check_engines(
    config: Config, pipelines: Sequence[Pipeline], linter: Linter, progress: Progress
) -> dict[Path | None, Path]:
    """Let the engine check pipelines of a configuration; returns the engines by how the configuration names them.

    Raises:
        ConfigError: There is a mistake in one of them, of which one in a mapping is the most common.
        MissingToolError: There is no engine, or it cannot be built.

    """
    masker = Masker(config.secrets)
    wanted = dict.fromkeys(pipeline.engine.binary for pipeline in pipelines)
    binaries = {wish: engine_binary.locate(wish, progress) for wish in wanted}
    of = {wish: [each for each in pipelines if each.engine.binary == wish] for wish in binaries}
    # First the mistakes of all pipelines together.
    for wish, binary in binaries.items():
        refuse_mistakes(binary, of[wish], masker)
    for wish, binary in binaries.items():
        linter.write_all(binary, [(each, rendered(config, each)) for each in of[wish]], masker)
    for pipeline in pipelines:
        if parsers.reads_files(pipeline.source):
            check(config, pipeline, progress)
    return binaries


def check_apart(config: Config, pipelines: Sequence[Pipeline], linter: Linter, progress: Progress) -> None:
    """The same of configurations that are written into a folder that goes; what runs keeps its own."""
    with tempfile.TemporaryDirectory(prefix="ddpm-check-") as folder:
        apart = [
            each.model_copy(update={"generated_pipeline_config": Path(folder) / f"{each.name}.yaml"})
            for each in pipelines
        ]
        check_engines(config, apart, linter, progress)


def check_if_built(config: Config) -> bool:
    """Check all pipelines whose engine is there; False when one must be built first. Raises as `check_engines` does."""
    ready = engine_binary.installed() is not None
    known = [each for each in config.pipelines if ready or each.engine.binary]
    check_apart(config, known, Linter(), Silent())
    for each in config.pipelines:
        if each not in known:
            # A mistake of the template itself needs no engine to be found.
            rendered(config, each)
    return len(known) == len(config.pipelines)
