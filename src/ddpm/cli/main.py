"""The commands of `ddpm`, and the one place where an error becomes a message and an exit code."""

import os
import sys
from typing import Annotated

import typer
from rich.console import Console

import ddpm
from ddpm.cli import (
    control,
    dlq,
    engine,
    following,
    init,
    offsets,
    parse,
    plugins,
    produce,
    provisioning,
    replaying,
    rereading,
    rows,
    running,
    status,
    testing,
    trace,
)
from ddpm.cli.common import ConfigOption, load_config, print_error, print_problems
from ddpm.cli.examples import WELCOME, add_examples
from ddpm.config.problems import ConfigProblems
from ddpm.errors import DdpmError, ExitCode
from ddpm.orchestrator.offline import check_if_built
from ddpm.orchestrator.prepare import rendered
from ddpm.orchestrator.signals import Interrupted

app = typer.Typer(
    name="ddpm",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"ddpm {ddpm.__version__}")
        raise typer.Exit


@app.callback()
def welcome(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version of ddpm and exit.")
    ] = False,
) -> None:
    """Distributed Data Pipeline Manager: one YAML file becomes a supervised Kafka to Postgres pipeline."""
    if context.invoked_subcommand is None:
        typer.echo(WELCOME, nl=False)


app.command("init")(init.init_command)
app.command("run")(running.run_command)
app.command("provision")(provisioning.provision_command)
app.command("reset")(running.reset_command)
app.command("schema")(init.schema_command)
app.command("produce")(produce.produce_command)
app.command("parse")(parse.parse_command)
app.command("test")(testing.run_cases_command)
app.add_typer(offsets.app, name="offsets")
app.command("replay")(rereading.replay_command)
app.command("trace")(trace.trace_command)
app.command("status")(status.status_command)
app.command("logs")(following.logs_command)
app.command("events")(following.events_command)
app.command("pause")(control.pause_command())
app.command("resume")(control.resume_command())
app.command("restart")(control.restart_command())
app.command("drain")(control.drain_command())
app.command("scale")(control.scale_command)
dlq.app.command("replay")(replaying.replay_command)
app.add_typer(dlq.app, name="dlq")
app.add_typer(engine.app, name="engine")
app.add_typer(plugins.app, name="plugins")
app.command("rows")(rows.rows_command)


@app.command("validate")
def validate(config: ConfigOption = None) -> None:
    """Check a configuration and report every problem at once."""
    loaded = load_config(config)
    names = ", ".join(pipeline.name for pipeline in loaded.pipelines)
    checked = check_if_built(loaded)
    Console().print(f"{loaded.path}: ok ({names})", highlight=False, markup=False)
    if not checked:
        unseen = "the engine is not built yet: mappings and schema files were not looked at (ddpm engine install)"
        Console(stderr=True).print(unseen, highlight=False, markup=False)


@app.command("render")
def render(
    config: ConfigOption = None,
    pipeline: Annotated[str | None, typer.Option(help="Only this pipeline.")] = None,
) -> None:
    """Print the engine configuration of each pipeline; nothing is written or started."""
    loaded = load_config(config)
    chosen = [each for each in loaded.pipelines if pipeline in (None, each.name)]
    if not chosen:
        known = ", ".join(each.name for each in loaded.pipelines)
        raise typer.BadParameter(f"no pipeline is called {pipeline}; there are: {known}", param_hint="--pipeline")
    sys.stdout.write("---\n".join(rendered(loaded, each).text for each in chosen))


@app.command("version")
def version() -> None:
    """Print the version of ddpm."""
    typer.echo(ddpm.__version__)


add_examples(app)


def main() -> None:
    """Run the command line and end the process with the exit code that the README lists."""
    try:
        app()
    except ConfigProblems as problems:
        print_problems(problems)
        sys.exit(problems.exit_code)
    except DdpmError as error:
        print_error(str(error))
        sys.exit(error.exit_code)
    except Interrupted as interrupted:
        sys.exit(interrupted.exit_code)
    except BrokenPipeError:
        # The reader has gone (`ddpm render | head`); Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.OK)
