"""Who may talk to ddpm: checks the Host, the Origin and the token of every request before anything else sees it.

A web page that a user has open must not be able to steer the ddpm on the same machine. Its requests carry its own
Origin; and where it lets a name of its own point to 127.0.0.1 (DNS rebinding), they carry that name as Host.
"""

import hmac
import ipaddress
import socket
from collections import deque
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ddpm.config.model import Server
from ddpm.errors import ConfigError

_API = "/v1/"

MOST_OF_BODY = 1 << 20
"""Bytes that the body of a request may have; the longest that make sense are lists of dead letters."""


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """What is asked of a request.

    Attributes:
        token: What a client of the API must send; None asks for nothing.
        names: Names besides addresses and `localhost` by which clients may call.
        loopback: Whether only this machine can reach the port; then the name is checked on every page.

    """

    token: str | None = field(default=None, repr=False)
    names: frozenset[str] = frozenset()
    loopback: bool = True


def access_policy(server: Server) -> AccessPolicy:
    """The access policy of a server.

    Raises:
        ConfigError: It would let anyone on the network in.

    """
    loopback = is_loopback(server.host)
    if not loopback and server.token is None and not server.insecure:
        msg = f"app.server.host is {server.host}: anyone who reaches it could stop and restart pipelines"
        raise ConfigError(
            msg,
            hint="set app.server.token, for example to ${DDPM_TOKEN}; keep 127.0.0.1; or say --insecure if a proxy "
            "in front of it asks who is there",
        )
    names = frozenset(name.lower() for name in (server.host, *server.allowed_hosts))
    return AccessPolicy(server.token.revealed if server.token else None, names, loopback)


def is_loopback(host: str) -> bool:
    """Whether a host's every address is reachable from this machine alone."""
    try:
        addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses)


class Guard:
    """ASGI middleware that refuses what may not come in, before any of the body is read.

    Args:
        app: What stands behind it.
        policy: What is asked of a request.
        most_bytes: How long a body may be. One that does not say how long it is, is read here up to that.

    """

    def __init__(self, app: ASGIApp, policy: AccessPolicy, most_bytes: int = MOST_OF_BODY) -> None:
        self._app = app
        self._policy = policy
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it with a refusal."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope["path"], scope["method"], headers) or self._too_long(headers)
        if refusal is None and "transfer-encoding" in headers:
            first = await self._read(receive)
            refusal = self._too_long_body() if first is None else None
            receive = receive if first is None else _given_back(first, receive)
        await (refusal or self._app)(scope, receive, send)

    def _too_long(self, headers: Headers) -> JSONResponse | None:
        length = headers.get("content-length", "")
        return self._too_long_body() if length.isdigit() and int(length) > self._most_bytes else None

    def _too_long_body(self) -> JSONResponse:
        return _refused(413, f"the request has more than {self._most_bytes} bytes", None)

    async def _read(self, receive: Receive) -> list[Message] | None:
        """All of a body; None when it is too long."""
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self._most_bytes:
                return None
            if message["type"] != "http.request" or not message.get("more_body", False):
                return messages

    def _refusal(self, path: str, method: str, headers: Headers) -> JSONResponse | None:
        api = path.startswith(_API)
        host = headers.get("host", "")
        if (api or self._policy.loopback) and not self._knows(host):
            hint = "call it by its address, or add the name to app.server.allowed_hosts"
            return _refused(403, f"this ddpm is not called {_name_of(host) or 'nothing'}", hint)
        origin = headers.get("origin")
        if api and origin is not None and _netloc(origin) != host.lower():
            return _refused(403, "requests from pages of other origins are refused", None)
        if api and self._policy.token is not None and not self._has_token(headers):
            answer = _refused(401, "a token is needed", "send the header Authorization: Bearer TOKEN")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        if api and method == "POST" and headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _refused(415, "the body must be JSON", "send the header Content-Type: application/json")
        return None

    def _knows(self, host: str) -> bool:
        name = _name_of(host)
        if name == "localhost" or name in self._policy.names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _has_token(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        wanted = self._policy.token or ""
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), wanted.encode())


def _given_back(messages: list[Message], receive: Receive) -> Receive:
    waiting = deque(messages)

    async def again() -> Message:
        return waiting.popleft() if waiting else await receive()

    return again


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _name_of(host: str) -> str:
    """The name in a Host header, without its port and brackets, in lower case."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _refused(status: int, message: str, hint: str | None) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "hint": hint}}, status_code=status)
