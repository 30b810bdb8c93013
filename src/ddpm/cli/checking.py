"""`ddpm validate` and `ddpm render`: what is said of a configuration, and what becomes of it; nothing is started."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from ddpm.cli.configuration import ConfigOption, load_config


def validate_command(config: ConfigOption = None) -> None:
    """Check a configuration and report every problem at once."""
    loaded = load_config(config)
    names = ", ".join(pipeline.name for pipeline in loaded.pipelines)
    # Behind the loading, since a configuration with mistakes needs no engine.
    from ddpm.orchestrator.dryrun.checking import check_if_built

    checked = check_if_built(loaded)
    Console().print(f"{loaded.path}: ok ({names})", highlight=False, markup=False)
    if not checked:
        unseen = "the engine is not built yet: mappings and schema files were not looked at (ddpm engine install)"
        Console(stderr=True).print(unseen, highlight=False, markup=False)


def render_command(
    config: ConfigOption = None,
    pipeline: Annotated[str | None, typer.Option(help="Only this pipeline.")] = None,
) -> None:
    """Print the engine configuration of each pipeline; nothing is written or started."""
    from ddpm.config.parts import named
    from ddpm.orchestrator.prepare import rendered

    loaded = load_config(config)
    chosen = loaded.pipelines if pipeline is None else named(loaded.pipelines, pipeline)
    if not chosen:
        known = ", ".join(each.name for each in loaded.pipelines)
        raise typer.BadParameter(f"no pipeline is called {pipeline}; there are: {known}", param_hint="--pipeline")
    sys.stdout.write("---\n".join(rendered(loaded, each).text for each in chosen))
