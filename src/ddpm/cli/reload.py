"""`ddpm reload`: have a running ddpm read its configuration again, and wait until it runs so."""

import os
import time
from collections.abc import Mapping

import typer

from ddpm.cli.address import TokenFileOption, UrlOption, resolve
from ddpm.cli.client import Client, NotFoundError
from ddpm.cli.configuration import ConfigOption
from ddpm.cli.control import POLL_SECONDS, NotReachedError, NoWaitOption, TimeoutOption
from ddpm.cli.options import JsonOption
from ddpm.cli.output import write_line
from ddpm.cli.text import dumped, duration, plain
from ddpm.errors import DdpmError, ExitCode
from ddpm.server.reloading import ReloadAcceptedView, ReloadView

PATH = "/v1/reload"
DEFAULT_TIMEOUT = 120.0


class NotTakenError(DdpmError):
    """The configuration was not taken: what ran before runs on."""


def reload_command(
    *,
    timeout: TimeoutOption = DEFAULT_TIMEOUT,
    no_wait: NoWaitOption = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Have the running ddpm read its configuration again: what differs is run as it says by then, the rest runs on."""
    with Client(resolve(url, token_file, config, os.environ)) as client:
        if no_wait:
            write_line(plain(client.read(ReloadAcceptedView, client.post(PATH)).message))
        else:
            carry_out(client, {}, timeout, as_json=as_json)


def carry_out(client: Client, wanted: Mapping[str, str], timeout: float, *, as_json: bool) -> None:
    """Ask for a reload, wait until it has ended and say how.

    Args:
        client: Who is asked.
        wanted: What is asked for, as the API takes it.
        timeout: How long to wait, in seconds.
        as_json: Whether the API's answer is printed.

    Raises:
        NotTakenError: The configuration was not taken.
        NotReachedError: It has not been taken in time.

    """
    asked = client.read(ReloadAcceptedView, client.post(PATH, wanted))
    ended = _ended(client, asked.number, timeout)
    if as_json:
        write_line(dumped(ended.model_dump(mode="json"), indent=2))
    elif ended.state == "done":
        write_line(plain(ended.message))
    if ended.state == "failed" and as_json:
        raise typer.Exit(ExitCode.RUNTIME)
    if ended.state == "failed":
        raise NotTakenError("\n".join(map(plain, ended.message.split("\n"))), hint=ended.hint)


def _ended(client: Client, number: int, timeout: float) -> ReloadView:
    deadline = time.monotonic() + timeout
    while True:
        try:
            found = client.read(ReloadView, client.get(PATH, {"number": number}))
        except NotFoundError:
            found = None
        if found is not None and found.state != "running":
            return found
        if time.monotonic() > deadline:
            msg = f"the configuration has not been taken after {duration(timeout)}"
            raise NotReachedError(msg, hint="`ddpm events` and `ddpm logs` show how far it is")
        time.sleep(POLL_SECONDS)
