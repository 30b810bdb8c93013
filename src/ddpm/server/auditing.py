"""The audit log as the API keeps and shows it: a record for every request that changes something, and who one is."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ddpm.config.model import Role
from ddpm.observability.audit_log import Actor, AuditLog, Outcome, Record
from ddpm.server.refusal import RequestRefusedError
from ddpm.server.roles import Asked
from ddpm.server.views import Time, View, from_epoch, one_of

CALLER = "caller"
"""Where a request's state has who makes it."""

STILL_ADMITTED = "still_admitted"
"""Where it has a function that says whether that one would be let in again."""

MOST_RECORDS = 1_000
# Answers to changes are small; of a longer one the rest is passed on as it comes.
_HELD_BYTES = 64 * 1024


class AuditRecordView(View):
    """One change, or one attempt of someone who may not."""

    id: int
    at: Time
    who: str = Field(description="the name of a token, or of a user of the machine")
    kind: Annotated[str, one_of("token", "local user", "anyone", "signal", "file watcher", "ddpm")]
    role: str | None
    address: str | None = Field(description="where the request came from")
    certificate: str | None = Field(description="the subject of the client's certificate")
    forwarded: str | None = Field(description="what a proxy says of where it came from")
    action: str
    pipeline: str | None
    parameters: dict[str, Any]
    outcome: Annotated[str, one_of("ok", "refused", "failed")]
    reason: str | None
    omitted: int = Field(description="how many refused attempts before it were too many to record")


class AuditView(View):
    """The newest records, oldest first; `trouble` says why new ones cannot be written."""

    records: tuple[AuditRecordView, ...]
    trouble: str | None


class WhoView(View):
    """Who asks, as the audit log would name it, and what that one may do."""

    name: str
    kind: str
    role: Annotated[str, one_of(*Role)]
    address: str | None


def record_view(record: Record) -> AuditRecordView:
    """A record as answers show it."""
    actor = record.actor
    return AuditRecordView(
        id=record.id,
        at=from_epoch(record.at),
        who=actor.name,
        kind=actor.kind,
        role=actor.role,
        address=actor.address,
        certificate=actor.certificate,
        forwarded=actor.forwarded,
        action=record.action,
        pipeline=record.pipeline,
        parameters=dict(record.parameters),
        outcome=record.outcome,
        reason=record.reason,
        omitted=record.omitted,
    )


def caller_of(request: Request) -> Actor:
    """Who makes a request, as the guard found out."""
    found = getattr(request.state, CALLER, None)
    return found if isinstance(found, Actor) else Actor("anyone", "anyone")


def still_admitted(request: Request) -> bool:
    """Whether who makes a request would be let in again: a token may have been taken away since."""
    found: Callable[[], bool] = getattr(request.state, STILL_ADMITTED, lambda: True)
    return found()


def add_routes(api: APIRouter, log: AuditLog | None) -> None:
    """Add the routes to the API."""

    @api.get("/whoami")
    def whoami(request: Request) -> WhoView:
        """Who asks, and what that one may do."""
        caller = caller_of(request)
        return WhoView(name=caller.name, kind=caller.kind, role=caller.role or Role.ADMIN, address=caller.address)

    @api.get("/audit")
    def audit(
        lines: Annotated[int, Query(ge=0, le=MOST_RECORDS, description="at most so many, the newest")] = 100,
        after: Annotated[int, Query(ge=0, description="only what follows the record of this id")] = 0,
        since: Annotated[float, Query(ge=0, description="only from then on, in seconds since 1970")] = 0.0,
    ) -> AuditView:
        """Who changed what, from where, and with what outcome; refused attempts among them."""
        if log is None:
            return AuditView(records=(), trouble=None)
        try:
            found = log.newest(lines, after=after, since=since)
        except OSError as error:
            raise RequestRefusedError(503, f"the audit log cannot be read: {error.strerror}") from error
        return AuditView(records=tuple(map(record_view, found)), trouble=log.trouble)


async def audited(
    app: ASGIApp, request: tuple[Scope, Receive, Send], log: AuditLog, actor: Actor, wanted: Asked
) -> None:
    """Let an application answer a request that changes something, and record it before the answer goes out."""
    scope, receive, send = request
    exchange = _Exchange(receive, send, configures=wanted.configures)
    record = Record(actor, wanted.action, pipeline=wanted.pipeline)

    async def write() -> None:
        await run_in_threadpool(log.add, exchange.described(record))

    try:
        await app(scope, exchange.receive, exchange.holding(write))
    except Exception:
        await run_in_threadpool(log.add, replace(record, outcome="failed", reason="an error within ddpm"))
        raise


class _Exchange:
    """What is sent in both directions, as much of it as a record needs."""

    def __init__(self, receive: Receive, send: Send, *, configures: bool = False) -> None:
        self._configures = configures
        self._receive, self._send = receive, send
        self._body = b""
        self._answer = b""
        self._status = 0
        self._held: list[Message] | None = []

    async def receive(self) -> Message:
        """The next message of the client."""
        message = await self._receive()
        self._body += message.get("body", b"")
        return message

    def holding(self, write: Any) -> Send:  # noqa: ANN401 -- a coroutine function
        """Send an answer after `write` has been awaited."""

        async def send(message: Message) -> None:
            if self._held is None:
                await self._send(message)
                return
            self._held.append(message)
            self._status = message.get("status", self._status)
            self._answer += message.get("body", b"")
            over = message["type"] == "http.response.body" and not message.get("more_body", False)
            if over or len(self._answer) > _HELD_BYTES:
                held, self._held = self._held, None
                await write()
                for each in held:
                    await self._send(each)

        return send

    def described(self, record: Record) -> Record:
        """A record with what was said in both directions."""
        answer = _object(self._answer)
        error = answer.get("error")
        told = error.get("message") if isinstance(error, Mapping) else answer.get("message")
        reason = str(told) if told is not None else None
        refused = self._status >= 400  # noqa: PLR2004 -- HTTP's refusals
        outcome: Outcome = ("failed" if self._status >= 500 else "refused") if refused else "ok"  # noqa: PLR2004
        if self._configures:
            named = _object(self._body).get("name", answer.get("name"))
            name = named if isinstance(named, str) else None
            return replace(record, pipeline=record.pipeline or name, outcome=outcome, reason=reason)
        return replace(record, parameters=_object(self._body), outcome=outcome, reason=reason)


def _object(text: bytes) -> dict[str, Any]:
    try:
        # Not-a-number is no JSON, though Python takes it for that.
        found = json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
