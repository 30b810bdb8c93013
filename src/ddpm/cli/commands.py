"""Which commands there are, and where each of them is: a command is imported when it is called, and not before.

To say which commands there are takes their names and summaries alone; all of them together take a second to import.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from ddpm.cli.examples import add_examples
from ddpm.cli.sources import accept_sources


class Place(NamedTuple):
    """Where a command is.

    Attributes:
        name: The command's name.
        module: The module that has it.
        attribute: What it is called there: a function, or a `typer.Typer` for a group of commands.
        summary: The first paragraph of its help.

    """

    name: str
    module: str
    attribute: str
    summary: str


PLACES: tuple[Place, ...] = (
    Place(
        "init",
        "ddpm.cli.init",
        "init_command",
        "Write a configuration to begin with, records and cases for it, its JSON Schema; existing files are left "
        "alone.",
    ),
    Place(
        "run",
        "ddpm.cli.running",
        "run_command",
        "Run all pipelines of a configuration until Ctrl-C; a second Ctrl-C does not wait for the drain.",
    ),
    Place(
        "reload",
        "ddpm.cli.reload",
        "reload_command",
        "Have the running ddpm read its configuration again: what differs is run as it says by then, the rest runs on.",
    ),
    Place(
        "plan",
        "ddpm.cli.plan",
        "plan_command",
        "Show what a configuration would make and change, and what that does to what runs; nothing is made or changed.",
    ),
    Place(
        "apply",
        "ddpm.cli.plan",
        "apply_command",
        "Have the running ddpm carry out a plan: what differs is run as the configuration says, the rest runs on.",
    ),
    Place(
        "provision",
        "ddpm.cli.provisioning",
        "provision_command",
        "Make the topics, partitions and tables of a configuration exist, and end; safe to repeat, and beside a run.",
    ),
    Place(
        "reset",
        "ddpm.cli.running",
        "reset_command",
        "Stop what is left of the embedded servers and remove their data and generated files.",
    ),
    Place(
        "schema",
        "ddpm.cli.init",
        "schema_command",
        "Print the JSON Schema of a configuration, for editors that complete and check while one types.",
    ),
    Place(
        "produce",
        "ddpm.cli.produce",
        "produce_command",
        "Produce records into a topic, one a line; empty lines are left out.",
    ),
    Place(
        "parse",
        "ddpm.cli.parse",
        "parse_command",
        "Show what becomes of records, step by step; exits with 1 when one would be a dead letter.",
    ),
    Place(
        "test",
        "ddpm.cli.testing",
        "run_cases_command",
        "Run a pipeline's cases offline through the engine; exits with 1 when one fails.",
    ),
    Place(
        "replay",
        "ddpm.cli.reprocess",
        "replay_command",
        "Read a window of the source again and replace the table's rows of it, in one transaction a partition.",
    ),
    Place(
        "peek",
        "ddpm.cli.peek",
        "peek_command",
        "Show records of a topic: key, headers, bytes, and what becomes of them step by step.",
    ),
    Place(
        "trace",
        "ddpm.cli.trace",
        "trace_command",
        "Say what became of a record: row, dead letter, in flight, filtered, expired, or never written.",
    ),
    Place(
        "status",
        "ddpm.cli.status",
        "status_command",
        "Show what each pipeline does and why; exits with 1 when one is neither running nor paused on request.",
    ),
    Place(
        "logs",
        "ddpm.cli.following",
        "logs_command",
        "Show the newest lines of ddpm's log, its engines' among them.",
    ),
    Place(
        "events",
        "ddpm.cli.following",
        "events_command",
        "Show what happened to the pipelines: states, exits, requests, changes of scale.",
    ),
    Place(
        "audit",
        "ddpm.cli.audit",
        "audit_command",
        "Show who changed what, from where, and with what outcome; without a running ddpm, from the files in .ddpm.",
    ),
    Place(
        "pause",
        "ddpm.cli.control",
        "pause_command",
        "Drain a pipeline and keep it paused until it is resumed, over restarts of ddpm too.",
    ),
    Place("resume", "ddpm.cli.control", "resume_command", "Run a pipeline that is paused, stopped or failed."),
    Place("restart", "ddpm.cli.control", "restart_command", "Drain a pipeline's engines and start them again."),
    Place(
        "drain",
        "ddpm.cli.control",
        "drain_command",
        "Finish what is in flight and stop a pipeline, until it is resumed or ddpm starts again.",
    ),
    Place(
        "scale",
        "ddpm.cli.control",
        "scale_command",
        "Run so many replicas of a pipeline, or give the decision back to the configuration.",
    ),
    Place(
        "top",
        "ddpm.cli.top",
        "top_command",
        "Show all pipelines live: state, rates, lag, dead letters, CPU and memory of their engines; q ends.",
    ),
    Place(
        "tap",
        "ddpm.cli.tap",
        "tap_command",
        "Show records of a pipeline as they come, until Ctrl-C; the pipeline is not touched.",
    ),
    Place("rows", "ddpm.cli.rows", "rows_command", "Show the newest rows of a pipeline's table."),
    Place(
        "validate",
        "ddpm.cli.checking",
        "validate_command",
        "Check a configuration and report every problem at once.",
    ),
    Place(
        "explain",
        "ddpm.cli.checking",
        "explain_command",
        "Say what the code of a problem means, and what to do; without a code list them.",
    ),
    Place(
        "doctor",
        "ddpm.cli.doctor",
        "doctor_command",
        "Look at everything that a run depends on, and say what to correct; exits with 2 or 3 when something is wrong.",
    ),
    Place(
        "render",
        "ddpm.cli.checking",
        "render_command",
        "Print the engine configuration of each pipeline; nothing is written or started.",
    ),
    Place("version", "ddpm.cli.version", "version_command", "Print the version of ddpm."),
    Place("offsets", "ddpm.cli.offsets", "app", "How far consumer groups have read."),
    Place("dlq", "ddpm.cli.redrive", "app", "Dead letters: records that could not be written, with the reason."),
    Place("engine", "ddpm.cli.engine", "app", "The engine that moves the records."),
    Place("plugins", "ddpm.cli.plugins", "app", "The parsers, sinks and sources that a configuration can name."),
)


class Commands(TyperGroup):
    """All commands by their names and summaries; the one that is called takes the place of its summary."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 -- typer's signature
        super().__init__(**attributes)
        for place in PLACES:
            self.add_command(TyperCommand(place.name, help=place.summary))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401 -- typer has no public names for these types
        """Find the command that is called, or completed, and import it."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and load(found.name or ""), rest


def load(name: str) -> Any:  # noqa: ANN401 -- typer has no public name for the type of a command
    """Import a command or a group of commands; raises KeyError for a name that there is not."""
    place = {each.name: each for each in PLACES}[name]
    try:
        found: Callable[..., object] | typer.Typer = getattr(import_module(place.module), place.attribute)
    except KeyboardInterrupt:
        # Importing takes most of a short command's time: Ctrl-C ends it as quietly here as it does later.
        sys.exit(130)
    app = typer.Typer(add_completion=False)
    # So that it stays a group, whose only command it is.
    app.callback()(lambda: None)
    if isinstance(found, typer.Typer):
        app.add_typer(found, name=name)
    else:
        app.command(name)(found)
    add_examples(app)
    accept_sources(app)
    group: Any = typer.main.get_command(app)
    return group.commands[name]
