"""`ddpm audit`: who changed what, from where, and with what outcome."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from ddpm.cli.address import TokenFileOption, UrlOption, resolve
from ddpm.cli.client import AwayError, Client
from ddpm.cli.configuration import ConfigOption
from ddpm.cli.following import RECONNECT_SECONDS, Entry, FollowOption, JsonOption, Printer, show_feed
from ddpm.cli.messages import print_note
from ddpm.cli.text import dumped, plain
from ddpm.deadletters.selection import moment
from ddpm.errors import MissingToolError
from ddpm.observability.audit_log import FOLDER, AuditLog
from ddpm.orchestrator.prepare import DATA_DIR
from ddpm.server.auditing import MOST_RECORDS, AuditRecordView, AuditView, record_view
from ddpm.server.views import iso

_STYLES = {"refused": "yellow", "failed": "red"}


def audit_command(
    *,
    follow: FollowOption = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=MOST_RECORDS, help="How many of the newest.")] = 50,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only from then on: 2026-11-23T08:00:00Z, or 2h for two hours ago."),
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Show who changed what, from where, and with what outcome; without a running ddpm, from the files in .ddpm."""
    beginning = moment(since, datetime.now(UTC)) / 1000 if since else 0.0
    printer = Printer(as_json)
    with Client(resolve(url, token_file, config, os.environ)) as client:
        try:
            show_feed(_Audit(client, beginning), client, printer, follow=follow, count=lines)
        except AwayError:
            if url is not None or follow or not (DATA_DIR / FOLDER).is_dir():
                raise
            print_note(f"no ddpm answers at {client.url}: this is what stands in {DATA_DIR / FOLDER}")
            for entry in _kept_here(lines, beginning):
                printer(entry)


def _kept_here(count: int, since: float) -> list[Entry]:
    try:
        found = AuditLog(DATA_DIR).newest(count, since=since)
    except OSError as error:
        msg = f"the audit log in {DATA_DIR / FOLDER} cannot be read: {error.strerror}"
        raise MissingToolError(msg, hint="it belongs to the user that ddpm runs as") from error
    views = map(record_view, found)
    return [_entry(view, view.model_dump(mode="json")) for view in views]


class _Audit:
    def __init__(self, client: Client, since: float) -> None:
        self._client = client
        self._since = since

    def kept(self) -> list[Entry]:
        """See `Feed`."""
        return self._asked(0)

    def after(self, last: int | None) -> Iterator[Entry]:
        """See `Feed`; asked again and again, as changes are few."""
        while True:
            for entry in self._asked(last or 0):
                last = entry.id
                yield entry
            time.sleep(RECONNECT_SECONDS)

    def _asked(self, after: int) -> list[Entry]:
        params: dict[str, str | int] = {"lines": MOST_RECORDS, "after": after, "since": str(self._since)}
        answer = self._client.get("/v1/audit", params)
        found = self._client.read(AuditView, answer)
        if found.trouble is not None:
            print_note(plain(found.trouble))
        return [_entry(each, raw) for each, raw in zip(found.records, answer["records"], strict=True)]


def _entry(view: AuditRecordView, raw: Any) -> Entry:  # noqa: ANN401 -- JSON
    return Entry(view.id, raw["at"], record_text(view), raw)


def record_text(view: AuditRecordView) -> Text:
    """A record on one line: when, the outcome, who from where, and what."""
    text = Text().append(iso(view.at), style="bright_black")
    text.append(f" {plain(view.outcome):<7} ", style=_STYLES.get(view.outcome))
    role = f", {plain(view.role)}" if view.role is not None and view.kind == "token" else ""
    text.append(plain(view.who), style="cyan").append(f" ({plain(view.kind)}{role})")
    if view.address is not None:
        text.append(f" from {plain(view.address)}")
    text.append(f": {plain(view.action)}", style="bold")
    if view.pipeline is not None:
        text.append(f" {plain(view.pipeline)}", style="cyan")
    for name, value in view.parameters.items():
        text.append(f" {plain(name)}=", style="bright_black")
        text.append(plain(value if isinstance(value, str) else dumped(value)))
    if view.reason is not None:
        text.append(f" -- {plain(view.reason)}")
    if view.omitted:
        text.append(f" (and {view.omitted} more before it)", style="yellow")
    return text
