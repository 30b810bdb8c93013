"""`ddpm validate` and `ddpm render`: what is said of a configuration, and what becomes of it; nothing is started."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from ddpm.cli.configuration import ConfigOption, load_config, read_config
from ddpm.cli.options import JsonOption
from ddpm.cli.output import write_line
from ddpm.cli.sources import Given
from ddpm.cli.text import dumped, plain
from ddpm.config import ConfigProblems, Problem
from ddpm.config.codes import CODES
from ddpm.config.known import did_you_mean
from ddpm.config.problems import Severity, to_json
from ddpm.errors import ConfigError, ExitCode
from ddpm.plugins.inspecting import inspect_plugin


def validate_command(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Check a configuration and report every problem at once."""
    if as_json:
        _validate_for_tools(config)
        return
    loaded = load_config(config)
    names = ", ".join(pipeline.name for pipeline in loaded.pipelines)
    # Behind the loading, since a configuration with mistakes needs no engine.
    from ddpm.orchestrator.run.checking import check_if_built

    checked = check_if_built(loaded)
    Console().print(f"{loaded.path}: ok ({names})", highlight=False, markup=False)
    if not checked:
        unseen = "the engine is not built yet and has not looked at mappings, templates and schema files"
        unseen = f"{unseen} (ddpm engine install)"
        Console(stderr=True).print(unseen, highlight=False, markup=False)


def _validate_for_tools(config: Given | None) -> None:
    """Print problems and warnings as JSON, in the order of the file; the exit code is as ever."""
    from ddpm.orchestrator.run.checking import check_if_built

    problems: tuple[Problem, ...] = ()
    checked = False
    try:
        result = read_config(config, inspect_plugin)
        problems = result.warnings
        checked = check_if_built(result.config)
    except ConfigProblems as error:
        problems += error.problems
    failed = any(each.severity is Severity.ERROR for each in problems)
    write_line(dumped({"valid": not failed, "mappings_checked": checked, "problems": to_json(problems)}, indent=2))
    if failed:
        raise typer.Exit(ExitCode.CONFIG)


def explain_command(
    code: Annotated[str | None, typer.Argument(help="The code, as it stands in brackets.", show_default=False)] = None,
) -> None:
    """Say what the code of a problem means, and what to do; without a code list them."""
    if code is None:
        for name, each in CODES.items():
            write_line(f"{name:<24}{each.cause}")
        return
    about = {str(name): each for name, each in CODES.items()}.get(code)
    if about is None:
        hint = did_you_mean(code, CODES) or "`ddpm explain` lists them"
        raise ConfigError(f'there is no problem of the code "{plain(code)}"', hint=hint)
    write_line(f"{about.cause}\n\n{about.cure}")
    if about.example:
        write_line("\nFor example:\n\n" + "\n".join(f"    {line}" for line in about.example.splitlines()))


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
