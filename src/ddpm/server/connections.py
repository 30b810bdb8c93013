"""Limits on the connections of the HTTP server: how many there are, and how long a client may keep one waiting.

Neither half a request, nor a body that does not end, nor an answer that nobody reads may use up the descriptors with
which ddpm starts engines and asks brokers. The newest one gets in: when there are too many connections, the one
that has kept the server waiting for longest is closed.
"""

import asyncio
import resource
import time
from functools import partial
from typing import Any, Protocol

import h11
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ddpm.server.tls import Certificates, Handshake, subject_of

MOST_CONNECTIONS = 256
"""At most so many, and at most a quarter of the descriptors that the process may have."""

BACKLOG = 64
"""Connections that are accepted at once; they count only after that."""

HEADER_SECONDS = 10.0
BODY_SECONDS = 30.0
READER_SECONDS = 30.0

_FEWEST = 16
_WARNED_EVERY_SECONDS = 60.0


def most_connections() -> int:
    """How many connections this process keeps open for its server."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MOST_CONNECTIONS if descriptors == resource.RLIM_INFINITY else descriptors // 4
    return max(_FEWEST, min(MOST_CONNECTIONS, allowed))


def protocol(most: int, certificates: Certificates | None = None) -> type[asyncio.Protocol]:
    """The protocol of one server with so many connections at most; in TLS when it has certificates."""
    crowd = _Crowd(most)

    class Limited(_Limited):
        _crowd = crowd

    if certificates is None:
        return Limited
    shown = certificates

    class Secured(Handshake):
        def __init__(self, **of_uvicorn: Any) -> None:  # noqa: ANN401 -- uvicorn's arguments, handed on
            requests = partial(Limited, **of_uvicorn)
            super().__init__(requests, shown, HEADER_SECONDS, entered=crowd.enter, left=crowd.leave)

    return Secured


class _Member(Protocol):
    """A connection."""

    @property
    def keeps_waiting(self) -> bool:
        """Whether it is the client's turn."""

    def drop(self) -> None:
        """Close it."""


class _Crowd:
    """All connections of a server, the oldest first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._members: dict[_Member, None] = {}
        self._warned_at = float("-inf")

    def enter(self, newcomer: _Member) -> None:
        if len(self._members) >= self._most:
            self._warn()
            oldest = next((each for each in self._members if each.keeps_waiting), next(iter(self._members)))
            self.leave(oldest)
            oldest.drop()
        self._members[newcomer] = None

    def leave(self, member: _Member) -> None:
        self._members.pop(member, None)

    def _warn(self) -> None:
        if time.monotonic() - self._warned_at > _WARNED_EVERY_SECONDS:
            self._warned_at = time.monotonic()
            message = "too many HTTP connections: those that have kept ddpm waiting for longest are closed"
            structlog.get_logger().warning(message, most=self._most)


def _certified(app: ASGIApp, subject: str) -> ASGIApp:
    """The application, which is told the subject of the client's certificate (ASGI's extension for TLS)."""

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        tls = {"tls": {"client_cert_name": subject}}
        await app({**scope, "extensions": {**scope.get("extensions", {}), **tls}}, receive, send)

    return told


class _Limited(H11Protocol):
    """A connection that is closed when its client keeps the server waiting for too long."""

    _crowd: _Crowd

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if certificate := transport.get_extra_info("peercert"):
            self.app = _certified(self.app, subject_of(certificate))
        self._waits_for: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._crowd.enter(self)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.leave(self)
        for timer in (self._timer, self._reader_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader_timer = self.loop.call_later(READER_SECONDS, self.drop)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    @property
    def keeps_waiting(self) -> bool:
        """Whether it is the client's turn."""
        return self._waits_for is not None or self._reader_timer is not None

    def drop(self) -> None:
        """Close it, and forget what has not been sent: a client that does not read would keep it open."""
        if self.transport.get_write_buffer_size() or self.transport.is_closing():
            self.transport.abort()
        else:
            self.transport.close()

    def _watch(self) -> None:
        """Give the client its time for what it has to do next; what it does meanwhile does not prolong it."""
        seconds = self._patience()
        if seconds == self._waits_for:
            return
        self._waits_for = seconds
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self.drop)

    def _patience(self) -> float | None:
        if self.transport.is_closing():
            return READER_SECONDS
        if self.conn.their_state is h11.IDLE:
            return HEADER_SECONDS
        return BODY_SECONDS if self.conn.their_state is h11.SEND_BODY else None
