"""TLS of the HTTP server: certificates that may be renewed while it runs, and the handshake before any request.

The handshake is made here and not by asyncio's server, which would let a client that begins none keep its connection
uncounted for a minute, and keep the certificates that there were at the start.
"""

import asyncio
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from ddpm.config.model import ServerTls
from ddpm.errors import MissingToolError

_Print = tuple[tuple[str, int, int, int] | None, ...]
Protocols = Callable[[], asyncio.Protocol]


class Certificates:
    """What the server shows its clients, as its files are at each handshake; safe to use from any thread.

    Args:
        tls: The files.
        renewed: Called after other files were taken up, with the names of the files.

    Raises:
        MissingToolError: They cannot be used.

    """

    def __init__(self, tls: ServerTls, renewed: Callable[[str], object] = lambda _: None) -> None:
        self._tls = tls
        self._renewed = renewed
        self._paths = tuple(path for name in tls.files if (path := getattr(tls, name)) is not None)
        self._lock = threading.Lock()
        self._seen = self._print()
        try:
            self._context = self._made()
        except (OSError, ValueError) as error:
            msg = f"the certificate of the HTTP server cannot be used: {_why(error)}"
            raise MissingToolError(msg, hint="correct app.server.tls; `ddpm validate` looks at its files") from error

    def current(self) -> ssl.SSLContext:
        """What the next handshake is made with; renewed files that cannot be used leave the former ones in place."""
        with self._lock:
            found = self._print()
            if found == self._seen:
                return self._context
            self._seen = found
            names = ", ".join(path.name for path in self._paths)
            try:
                self._context = self._made()
            except (OSError, ValueError) as error:
                # Of two files one is written first: the next handshake looks again.
                message = "the renewed certificate of the HTTP server cannot be used, the former one is shown"
                structlog.get_logger().warning(message, files=names, error=_why(error))
                return self._context
        structlog.get_logger().info("the certificate of the HTTP server was renewed", files=names)
        self._renewed(names)
        return self._context

    def _made(self) -> ssl.SSLContext:
        tls = self._tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        # A callable even without a password: OpenSSL would ask for one at the terminal.
        password = tls.key_password.revealed if tls.key_password is not None else ""
        context.load_cert_chain(tls.cert, tls.key, password=lambda: password)
        if tls.client_ca is not None:
            # Who sends none is answered by the guard, in words, and may ask how ddpm is.
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(tls.client_ca)
        return context

    def _print(self) -> _Print:
        """What changes when a file is written or another one is put, or linked to, in its place."""
        return tuple(map(_stamp, self._paths))


def subject_of(certificate: Mapping[str, Any]) -> str:
    """The subject of a certificate, as `SSLSocket.getpeercert` gives it, in one line."""
    return ", ".join(f"{name}={value}" for part in certificate.get("subject", ()) for name, value in part)


def _stamp(path: Path) -> tuple[str, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_ino, found.st_mtime_ns, found.st_size


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)


class Handshake(asyncio.Protocol):
    """A connection until its handshake is over; then the protocol of its requests takes it over.

    Args:
        within: Makes the protocol.
        certificates: What the server shows.
        seconds: How long a client may take.
        entered, left: Told when it begins and ends to count as a connection.

    """

    # It is always the client's turn.
    keeps_waiting = True

    def __init__(
        self,
        within: Protocols,
        certificates: Certificates,
        seconds: float,
        *,
        entered: Callable[["Handshake"], object],
        left: Callable[["Handshake"], object],
    ) -> None:
        self._within = within
        self._certificates = certificates
        self._seconds = seconds
        self._entered, self._left = entered, left

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the handshake."""
        self._transport = transport
        # What the client sends is for the handshake alone.
        transport.pause_reading()
        self._entered(self)
        self._task = asyncio.get_running_loop().create_task(self._shake_hands())

    def drop(self) -> None:
        """End the connection."""
        self._task.cancel()
        self._transport.abort()

    async def _shake_hands(self) -> None:
        loop = asyncio.get_running_loop()
        early = _Early()
        secured: asyncio.Transport | None = None
        # A client that is refused reads why in the alert of TLS.
        with suppress(OSError):
            context = self._certificates.current()
            secured = await loop.start_tls(
                self._transport, early, context, server_side=True, ssl_handshake_timeout=self._seconds
            )
        self._left(self)
        if secured is None or early.lost:
            self._transport.abort()
        else:
            early.hand_over(self._within(), secured)


class _Early(asyncio.Protocol):
    """Keeps what a client sends together with the end of its handshake, before anyone can take it."""

    def __init__(self) -> None:
        self._received: list[bytes] = []
        self._ended = False
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self._received.append(data)

    def eof_received(self) -> None:
        self._ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def hand_over(self, protocol: asyncio.Protocol, transport: asyncio.Transport) -> None:
        """Let a protocol go on with what came so far."""
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        for data in self._received:
            protocol.data_received(data)
        if self._ended:
            protocol.eof_received()
