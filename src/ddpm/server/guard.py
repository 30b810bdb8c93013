"""Who may talk to ddpm: checks the Host, the Origin, the token and its role before anything else sees a request.

A web page that a user has open must not be able to steer the ddpm on the same machine. Its requests carry its own
Origin; and where it lets a name of its own point to 127.0.0.1 (DNS rebinding), they carry that name as Host.
"""

import base64
import hmac
import ipaddress
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ddpm.config.model import Role, Server
from ddpm.errors import ConfigError
from ddpm.observability.audit_log import Actor, AuditLog, Record
from ddpm.server.auditing import CALLER, STILL_ADMITTED, audited
from ddpm.server.peers import local_user
from ddpm.server.refusal import ProblemResponse
from ddpm.server.roles import READING, Asked, asked

_API = "/v1/"
_METRICS = "/metrics"
_WHOAMI = "/v1/whoami"
# A day: a ddpm that gives up TLS must not be out of reach for longer.
_STRICT_SECONDS = 86_400
_PROBES = ("/livez", "/readyz", "/health")
# What `app.server.token` is called; no token of `tokens` can have this name.
SINGLE = "app.server.token"

JSON = "application/json"
YAML = ("application/yaml", "application/x-yaml", "text/yaml")
"""The types of bodies; a page of another origin can send none of them without asking first."""

MOST_OF_BODY = 1 << 20
"""Bytes that the body of a request may have; the longest that make sense are lists of dead letters."""


@dataclass(frozen=True, slots=True)
class Key:
    """A token: whose it is, and what it opens."""

    name: str
    role: Role
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """What is asked of a request.

    Attributes:
        token: What a client of the API may send to do everything.
        names: Names besides addresses and `localhost` by which clients may call.
        loopback: Whether only this machine can reach the port; then the name is checked on every page.
        keys: Other tokens, each with a role; without any, and without `token`, nothing is asked for.
        metrics: Whether a token is asked for at `/metrics`, too.
        certificates: Whether a client needs a certificate, for everything but probes.
        tls: Whether browsers are told to come back in TLS alone.

    """

    token: str | None = field(default=None, repr=False)
    names: frozenset[str] = frozenset()
    loopback: bool = True
    keys: Sequence[Key] = ()
    metrics: bool = False
    certificates: bool = False
    tls: bool = False

    @property
    def every_key(self) -> tuple[Key, ...]:
        """All tokens."""
        single = () if self.token is None else (Key(SINGLE, Role.ADMIN, self.token),)
        return (*single, *self.keys)

    def key_of(self, given: str) -> Key | None:
        """The token that was given; in a time that says nothing of how much of it is right."""
        sent, found = given.encode("utf-8", "surrogateescape"), None
        for key in self.every_key:
            if hmac.compare_digest(sent, key.token.encode()):
                found = key
        return found


def access_policy(server: Server) -> AccessPolicy:
    """The access policy of a server.

    Raises:
        ConfigError: It would let anyone on the network in.

    """
    loopback = is_loopback(server.host)
    if not loopback and not server.asks and not server.insecure:
        msg = f"app.server.host is {server.host}: anyone who reaches it could stop and restart pipelines"
        raise ConfigError(
            msg,
            hint="set app.server.token, for example to ${DDPM_TOKEN}; keep 127.0.0.1; or say --insecure if a proxy "
            "in front of it asks who is there",
        )
    names = frozenset(name.lower() for name in (server.host, *server.allowed_hosts))
    keys = tuple(Key(each.name, each.role, each.token.revealed) for each in server.tokens)
    single = server.token.revealed if server.token else None
    certificates = server.tls is not None and server.tls.client_ca is not None
    # On loopback other programs have ports under the same name, of which a browser would be told the same.
    strict = server.tls is not None and not loopback
    return AccessPolicy(single, names, loopback, keys, server.protect_metrics, certificates, strict)


def is_loopback(host: str) -> bool:
    """Whether a host's every address is reachable from this machine alone."""
    try:
        addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses)


class Guard:
    """ASGI middleware that refuses what may not come in, before any of the body is read, and records what changes.

    Args:
        app: What stands behind it.
        policy: What is asked of a request; a function where that changes.
        most_bytes: How long a body may be. One that does not say how long it is, is read here up to that.
        log: Where changes and attempts are recorded.

    """

    def __init__(
        self,
        app: ASGIApp,
        policy: AccessPolicy | Callable[[], AccessPolicy],
        most_bytes: int = MOST_OF_BODY,
        log: AuditLog | None = None,
    ) -> None:
        self._app = app
        self._in_force = policy if callable(policy) else lambda: policy
        self._most_bytes = most_bytes
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it with a refusal."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        policy, path, method = self._in_force(), scope["path"], scope["method"]
        send = _strictly(send) if policy.tls else send
        api = path.startswith(_API)
        key, wanted = _key(policy, headers), asked(method, path)
        refusal = _refusal(policy, scope, headers, key, wanted)
        if refusal is not None or (api and (method not in READING or path == _WHOAMI)):
            actor = await run_in_threadpool(_actor, policy, key, scope, headers)
        else:
            actor = _actor_of(policy, key, scope, headers)
        if refusal is not None and refusal.status_code in (401, 403) and self._log is not None:
            attempt = Record(actor, wanted.action, "refused", wanted.pipeline, reason=refusal.said)
            await run_in_threadpool(self._log.add_attempt, attempt)
        refusal = refusal or self._too_long(headers)
        if refusal is None and "transfer-encoding" in headers:
            first = await self._read(receive)
            refusal = self._too_long_body() if first is None else None
            receive = receive if first is None else _given_back(first, receive)
        scope.setdefault("state", {}).update({CALLER: actor, STILL_ADMITTED: lambda: self._admits(key, policy)})
        if refusal is not None:
            await refusal(scope, receive, send)
        elif api and method not in READING and self._log is not None:
            await audited(self._app, (scope, receive, send), self._log, actor, wanted)
        else:
            await self._app(scope, receive, send)

    def _admits(self, key: Key | None, policy: AccessPolicy) -> bool:
        """Whether who was let in by a policy is let in by that of now."""
        now = self._in_force()
        return now is policy or (key in now.every_key if key is not None else not now.every_key)

    def _too_long(self, headers: Headers) -> ProblemResponse | None:
        length = headers.get("content-length", "")
        return self._too_long_body() if length.isdigit() and int(length) > self._most_bytes else None

    def _too_long_body(self) -> ProblemResponse:
        return ProblemResponse(413, f"the request has more than {self._most_bytes} bytes", None)

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


def _strictly(send: Send) -> Send:
    async def strict(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["Strict-Transport-Security"] = f"max-age={_STRICT_SECONDS}"
        await send(message)

    return strict


def _refusal(
    policy: AccessPolicy, scope: Scope, headers: Headers, key: Key | None, wanted: Asked
) -> ProblemResponse | None:
    path, method = scope["path"], scope["method"]
    api = path.startswith(_API)
    refusal = _of_strangers(policy, scope, headers)
    if refusal is None and policy.every_key and (api or (path == _METRICS and policy.metrics)):
        refusal = _of_keys(key, wanted)
    if refusal is not None:
        return refusal
    if api and (method == "POST" or wanted.configures):
        types = (JSON, *YAML) if wanted.configures else (JSON,)
        if content_type(headers) not in types:
            what = "JSON or YAML" if wanted.configures else "JSON"
            hint = f"send the header Content-Type: {' or '.join(types[:2])}"
            return ProblemResponse(415, f"the body must be {what}", hint)
    return None


def content_type(headers: Headers) -> str:
    """The type of a body, without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _of_strangers(policy: AccessPolicy, scope: Scope, headers: Headers) -> ProblemResponse | None:
    """Refuse other names, pages of others, and clients without the certificate that they need."""
    api = scope["path"].startswith(_API)
    host, origin = headers.get("host", ""), headers.get("origin")
    if (api or policy.loopback) and not _knows(policy, host):
        hint = "call it by its address, or add the name to app.server.allowed_hosts"
        return ProblemResponse(403, f"this ddpm is not called {_name_of(host) or 'nothing'}", hint)
    # Where a page of others only asks, a browser names no origin, and the answer costs work all the same.
    foreign = headers.get("sec-fetch-site") == "cross-site"
    if api and (foreign or (origin is not None and _netloc(origin) != host.lower())):
        return ProblemResponse(403, "requests from pages of other origins are refused", None)
    if policy.certificates and scope["path"] not in _PROBES and _subject(scope) is None:
        hint = "send one that an authority of app.server.tls.client_ca signed; ddpm's commands take it from DDPM_CERT"
        return ProblemResponse(403, "this ddpm wants a certificate of the client", f"{hint} and DDPM_KEY")
    return None


def _of_keys(key: Key | None, wanted: Asked) -> ProblemResponse | None:
    """Refuse who has no token, or one whose role is not enough."""
    if key is None:
        answer = ProblemResponse(401, "a token is needed", "send the header Authorization: Bearer TOKEN")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    return None if key.role.covers(wanted.role) else _forbidden(key, wanted)


def _knows(policy: AccessPolicy, host: str) -> bool:
    name = _name_of(host)
    if name == "localhost" or name in policy.names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _key(policy: AccessPolicy, headers: Headers) -> Key | None:
    kind, _, given = headers.get("authorization", "").partition(" ")
    match kind.lower():
        case "bearer":
            return policy.key_of(given.strip())
        case "basic":
            return _key_of_user(policy, given.strip())
    return None


def _key_of_user(policy: AccessPolicy, given: str) -> Key | None:
    """The token that was given as a password (RFC 7617), with its name as the user; the single token has any user."""
    try:
        user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except ValueError:
        return None
    key = policy.key_of(password)
    return key if key is not None and key.name in (user, SINGLE) else None


def _actor(policy: AccessPolicy, key: Key | None, scope: Scope, headers: Headers) -> Actor:
    """Who asks, with the user of this machine where no token says who it is."""
    actor = _actor_of(policy, key, scope, headers)
    client = scope.get("client")
    user = local_user(*client) if key is None and client else None
    return actor if user is None else replace(actor, name=user, kind="local user")


def _actor_of(policy: AccessPolicy, key: Key | None, scope: Scope, headers: Headers) -> Actor:
    client = scope.get("client")
    address = client[0] if client else None
    forwarded = headers.get("x-forwarded-for")
    subject = _subject(scope)
    if key is not None:
        return Actor(key.name, "token", address, key.role, subject, forwarded)
    # Where nothing is asked for, everyone may do everything.
    return Actor("anyone", "anyone", address, None if policy.every_key else Role.ADMIN, subject, forwarded)


def _subject(scope: Scope) -> str | None:
    """The subject of the client's certificate, as the connection says."""
    found = scope.get("extensions", {}).get("tls", {}).get("client_cert_name")
    return None if found is None else str(found)


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


def _forbidden(key: Key, wanted: Asked) -> ProblemResponse:
    """A problem that names the role that is needed."""
    message = f'"{wanted.action}" needs the role {wanted.role}; the token "{key.name}" has {key.role}'
    hint = f"use a token with the role {wanted.role}: app.server.tokens"
    return ProblemResponse(403, message, hint, role_needed=wanted.role.value, role=key.role.value)
