"""`ddpm doctor`: look at everything that a run depends on, and say what is wrong and what to do about it."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from ddpm.cli.address import TokenFileOption, UrlOption, resolve
from ddpm.cli.client import AwayError, Client, SlowError
from ddpm.cli.configuration import ConfigOption, load_config
from ddpm.cli.options import JsonOption
from ddpm.cli.output import Terminal, show, write_line
from ddpm.cli.picture import is_well
from ddpm.cli.servers import with_servers
from ddpm.cli.sources import Given
from ddpm.cli.text import dumped, plain
from ddpm.config import ConfigProblems
from ddpm.config.model import Config
from ddpm.errors import ConfigError, ExitCode, MissingToolError
from ddpm.observability.masking import Masker
from ddpm.orchestrator.doctor.findings import Check, Finding, examine
from ddpm.server.views import PipelinesView
from ddpm.words import counted

_ASK_SECONDS = 3.0
_MARKS = {"pass": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "bold red")}
# What is wrong with the configuration, as opposed to the machine and the services.
_OF_CONFIGURATION = ("configuration", "mappings", "table.fits")


def doctor_command(
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Look at everything that a run depends on, and say what to correct; exits with 2 or 3 when something is wrong."""
    found, loaded = _configuration(config)
    # What is imported for brokers and databases is not needed to say that there is no configuration.
    from ddpm.orchestrator.doctor.machine import machine_checks

    checks = machine_checks(loaded)
    if loaded is not None:
        from ddpm.orchestrator.doctor.brokers import broker_checks
        from ddpm.orchestrator.doctor.databases import database_checks
        from ddpm.orchestrator.doctor.registries import registry_checks

        checks += broker_checks(loaded.pipelines)
        checks += database_checks(loaded.pipelines)
        checks += registry_checks(loaded.pipelines)
    if loaded is not None or url is not None:
        checks.append(Check("running", "", lambda: _running(url, token_file, config)))
    masker = Masker(loaded.secrets if loaded else ())
    found += [replace(each, text=masker.text(each.text), hint=masker.text(each.hint)) for each in examine(checks)]
    if as_json:
        write_line(dumped({"findings": [asdict(each) for each in found]}, indent=2))
    else:
        show(Terminal(), _picture(found))
    _exit(found)


def _exit(found: list[Finding]) -> None:
    failed = [each for each in found if each.verdict == "fail"]
    if failed:
        of_file = any(each.check in _OF_CONFIGURATION for each in failed)
        raise typer.Exit(ExitCode.CONFIG if of_file else ExitCode.ENVIRONMENT)


def _configuration(option: Given | None) -> tuple[list[Finding], Config | None]:
    try:
        config = load_config(option)
    except ConfigProblems as problems:
        return [Finding("configuration", "", "fail", str(problems), "`ddpm validate` shows the same")], None
    except ConfigError as error:
        return [Finding("configuration", "", "fail", error.message, error.hint or "")], None
    # Embedded servers that do not run are made by a run.
    with suppress(MissingToolError):
        config = with_servers(config)
    names = ", ".join(each.name for each in config.pipelines)
    return [Finding("configuration", config.path.name, "pass", f"the configuration is well-formed: {names}")], config


def _running(url: str | None, token_file: Path | None, config: Given | None) -> Iterator[Finding]:
    """What the ddpm that runs says of its pipelines; that none does is fine."""
    try:
        with Client(resolve(url, token_file, config, os.environ)) as client:
            seen = client.read(PipelinesView, client.pipelines(_ASK_SECONDS))
    except SlowError as error:
        # Whether that is a ddpm is not known: a stranger on its port is told by another check.
        yield Finding("running", "", "warn", plain(error.message), "look at its log, and what the machine is busy with")
        return
    except AwayError as error:
        yield Finding("running", "", "pass", f"no ddpm runs: {plain(error.message)}")
        return
    except ConfigError as error:
        # Where it answers is not known, and whether one runs is no matter of the configuration.
        yield Finding("running", "", "pass", f"not asked: {plain(error.message)}")
        return
    if seen.config_changed:
        yield Finding("running.configuration", client.url, "warn", plain(seen.config_changed), "`ddpm plan` shows how")
    for each in seen.pipelines:
        well = is_well(each)
        hint = "" if well else f"`ddpm status {plain(each.name)}` and `ddpm logs {plain(each.name)}` show more"
        text = f"{plain(each.state)}: {plain(each.reason)}"
        yield Finding("running", plain(each.name), "pass" if well else "fail", text, hint)


def _picture(found: list[Finding]) -> RenderableType:
    lines = [line for each in found for line in _lines(each, hint=each.verdict == "warn")]
    failed = [each for each in found if each.verdict == "fail"]
    if failed:
        lines += [Text(), Text(f"{counted(len(failed), 'thing')} to correct:", style="bold")]
        lines += [line for each in failed for line in _lines(each, hint=True)]
    else:
        warned = sum(each.verdict == "warn" for each in found)
        lines += [Text(), Text("nothing is wrong" + (f", {counted(warned, 'warning')}" if warned else ""))]
    return Group(*lines)


def _lines(finding: Finding, *, hint: bool) -> Iterator[Text]:
    mark, style = _MARKS[finding.verdict]
    first, *more = finding.text.split("\n")
    about = f" ({plain(finding.about)})" if finding.about else ""
    yield Text.assemble((mark, style), f"  {plain(finding.check)}{about}: {plain(first)}")
    for line in more if hint else ():
        yield Text(f"        {plain(line)}")
    for line in finding.hint.split("\n") if hint and finding.hint else ():
        yield Text(f"      → {plain(line)}")
