"""`ddpm run` and `ddpm reset`."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ddpm.cli.address import TOKEN_VARIABLE
from ddpm.cli.configuration import ConfigOption, load_config, reread_config
from ddpm.cli.recording import recorded
from ddpm.config.model import Config
from ddpm.config.paths import STORED_PIPELINES
from ddpm.config.sources import files_in
from ddpm.config.stored import PipelineStore
from ddpm.devstack import remove_data, stop_leftovers
from ddpm.errors import DdpmError
from ddpm.observability.audit_log import FOLDER as AUDIT_FOLDER
from ddpm.orchestrator.prepare import DATA_DIR
from ddpm.orchestrator.run.datafolder import check_free


def run_command(
    config: ConfigOption = None,
    *,
    seed: Annotated[
        Path | None,
        typer.Option(
            help="Produce this file into the first topic when that is still empty.", exists=True, dir_okay=False
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(envvar="DDPM_HOST", help="The address to serve on, instead of the configuration's server.host."),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(envvar="DDPM_ALLOWED_HOSTS", help="A name besides addresses that ddpm answers to; repeatable."),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve beyond loopback without a token: anyone may steer the pipelines.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Reload whenever the configuration, or a file that it names, has changed.")
    ] = False,
) -> None:
    """Run all pipelines of a configuration until Ctrl-C; a second Ctrl-C does not wait for the drain."""

    def served(loaded: Config) -> Config:
        # A container's address is none of the business of what is carried from where to where.
        token = os.environ.get(TOKEN_VARIABLE) or None
        loaded = loaded.served_at(host, token, allowed_host or ()) if host or allowed_host else loaded
        return loaded.served_insecurely() if insecure else loaded

    with suppress(DdpmError):
        # Not while another ddpm runs here, whose business they are.
        check_free(DATA_DIR)
        PipelineStore(STORED_PIPELINES).revert()
    loaded = served(load_config(config))
    from ddpm.cli.session import run_session

    run_session(loaded, seed, reload=lambda: served(reread_config(config)), watch=watch)


def reset_command(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Stop what is left of the embedded servers and remove their data and generated files."""
    check_free(DATA_DIR, "end that one first: its servers use what would be removed")
    for leftover in stop_leftovers(DATA_DIR):
        typer.echo(f"stopped {leftover}")
    own = [each for each in DATA_DIR.iterdir() if each.name != AUDIT_FOLDER] if DATA_DIR.exists() else []
    if not own:
        typer.echo("there is no embedded data")
        return
    if not yes:
        made = ", and the pipelines that were made through the API" if files_in(STORED_PIPELINES) else ""
        question = f"Remove what is in {DATA_DIR}, with all topics and tables of the embedded servers{made}?"
        typer.confirm(question, abort=True)
    with recorded(None, "reset", None):
        remove_data(DATA_DIR)
        for each in own:
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            else:
                # What belongs to an embedded server is gone by now.
                each.unlink(missing_ok=True)
    typer.echo(f"removed what was in {DATA_DIR}, but for the audit log")
