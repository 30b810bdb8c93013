"""`ddpm plan` and `ddpm apply`: what a changed configuration would do, and to have exactly that done."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from ddpm.cli.address import TokenFileOption, UrlOption, resolve
from ddpm.cli.client import AwayError, Client, SlowError
from ddpm.cli.configuration import ConfigOption, load_config
from ddpm.cli.control import TimeoutOption
from ddpm.cli.messages import print_note, progress
from ddpm.cli.options import JsonOption, YesOption, agreed
from ddpm.cli.output import Terminal, show, write_line
from ddpm.cli.reload import DEFAULT_TIMEOUT, carry_out
from ddpm.cli.servers import with_servers
from ddpm.cli.sources import Given
from ddpm.cli.text import dumped, plain
from ddpm.errors import DdpmError, MissingToolError
from ddpm.server.reloading import PipelinePlanView, PlanView, StepView, plan_view

PATH = "/v1/plan"
_MARKS = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}
# How much of the way a step stands out.
_EFFECTS = dict.fromkeys(("holds up writes", "restart", "stop", "key order changes"), "yellow") | {
    "needs a person": "bold red"
}
_HASH = re.compile("[0-9a-f]{12}")
_LINES = {"+": "green", "-": "red", "@": "dim"}


class ObstructedError(DdpmError):
    """The plan cannot be carried out while this ddpm runs."""


def plan_command(
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Show what a configuration would make and change, and what that does to what runs; nothing is made or changed."""
    try:
        with Client(resolve(url, token_file, config, os.environ)) as client:
            plan = _asked(client)
    except AwayError as error:
        if url is not None or isinstance(error, SlowError):
            raise
        print_note(f"{plain(error.message)}: this is what `ddpm run` would make")
        plan = _of_a_start(config)
    _show(plan, as_json=as_json)
    if plan.changes and plan.running and not plan.obstacles and not as_json:
        write_line(f"\n`ddpm apply --plan {plain(plan.hash)}` carries out exactly this.")


def apply_command(
    *,
    plan: Annotated[
        str | None,
        typer.Option(
            metavar="HASH",
            help="Carry out the plan of this hash, or nothing when it is stale; otherwise a new one is shown first.",
            show_default=False,
        ),
    ] = None,
    yes: YesOption = False,
    timeout: TimeoutOption = DEFAULT_TIMEOUT,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Have the running ddpm carry out a plan: what differs is run as the configuration says, the rest runs on."""
    if plan is not None and not _HASH.fullmatch(plan):
        raise typer.BadParameter("a hash has 12 hexadecimal digits, as `ddpm plan` prints it", param_hint="--plan")
    with Client(resolve(url, token_file, config, os.environ)) as client:
        if plan is None:
            made = _asked(client)
            if not as_json:
                _show(made, as_json=False)
            if not made.changes and not as_json:
                return
            if made.obstacles:
                raise ObstructedError("this ddpm cannot carry that out", hint=plain(made.obstacles[0].detail))
            # Nothing at all needs no consent; a tool gets an answer of the usual form.
            if made.changes:
                agreed("Carry that out?", yes, "`ddpm plan`")
            plan = made.hash
        carry_out(client, {"plan": plan}, timeout, as_json=as_json)


def _asked(client: Client) -> PlanView:
    # It looks at brokers and databases, and has the engine check what is new.
    return client.read(PlanView, client.get(PATH, patience=DEFAULT_TIMEOUT))


def _of_a_start(option: Given | None) -> PlanView:
    # What plans imports brokers and databases, which a ddpm that runs does without.
    from ddpm.orchestrator.launching.linting import Linter
    from ddpm.orchestrator.run.plan import make_plan

    config = load_config(option)
    # Embedded servers that do not run yet are told in the plan.
    with suppress(MissingToolError):
        config = with_servers(config)
    return plan_view(make_plan(config, None, Linter(), progress()))


def _show(plan: PlanView, *, as_json: bool) -> None:
    if as_json:
        write_line(dumped(plan.model_dump(mode="json"), indent=2))
        return
    if not plan.changes:
        write_line("nothing would change")
        return
    console = Terminal()
    show(console, _picture(plan))


def _picture(plan: PlanView) -> RenderableType:
    lines = [line for each in plan.pipelines if each.steps for line in _pipeline(each)]
    for each in plan.process:
        lines.append(Text.assemble(("~ ", "yellow"), ("ddpm", "bold"), f": {plain(each.text)} [{plain(each.effect)}]"))
    for each in plan.obstacles:
        lines += [Text.assemble(("! ", "bold red"), plain(each.text)), *_details(each)]
    same = [each.name for each in plan.pipelines if not each.steps]
    if same:
        lines.append(Text(f"  {plain(', '.join(same))}: unchanged", style="dim"))
    return Group(*lines)


def _pipeline(plan: PipelinePlanView) -> Iterator[Text]:
    mark, style = _MARKS.get(plan.change, (" ", ""))
    yield Text.assemble((f"{mark} ", style), (plain(plan.name), "bold"), f": {plain(plan.change)}")
    for each in plan.steps:
        effect = "" if each.effect == "none" else plain(f" [{each.effect}]")
        yield Text.assemble(f"    {plain(each.about)}: {plain(each.text)}", (effect, _EFFECTS.get(each.effect, "")))
        yield from _details(each)


def _details(step: StepView) -> Iterator[Text]:
    for line in step.detail.split("\n") if step.detail else ():
        style = _LINES.get(line[:1], "") if step.about == "configuration" else "dim"
        yield Text(f"      {plain(line)}", style=style)
