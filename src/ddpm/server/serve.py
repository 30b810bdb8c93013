"""Runs the HTTP application in a thread, on a socket that was bound before anything else was started."""

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from ddpm.errors import MissingToolError
from ddpm.server.connections import BACKLOG, most_connections, protocol
from ddpm.server.tls import Certificates

_OTHER_PORT = "is another ddpm running? End it, or set app.server.port to another port (0 picks a free one)"


def listen(host: str, port: int, *, hint: str = _OTHER_PORT) -> socket.socket:
    """Bind the server's socket; `hint` is the way out when that fails.

    Raises:
        MissingToolError: The port is in use, or the address is not this machine's.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, because asyncio switches the delay of small answers (Nagle) off only for TCP by name.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = "the port is in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
        msg = f"cannot listen on {host}:{port}: {reason}"
        raise MissingToolError(msg, hint=hint) from error
    return listener


def address_of(listener: socket.socket, *, tls: bool = False) -> str:
    """The URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


@contextmanager
def serving(
    app: FastAPI, listener: socket.socket, closing: threading.Event, certificates: Certificates | None = None
) -> Iterator[str]:
    """Serve on a bound socket while the block runs, in TLS with certificates; yields the server's address as a URL.

    `closing` is set before the server ends, so that streams end by themselves.
    """
    config = uvicorn.Config(
        app,
        http=protocol(most_connections(), certificates),
        # Who asks is the one who is connected: headers that say otherwise would go into the audit log unproven.
        proxy_headers=False,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        backlog=BACKLOG,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="http-server", daemon=True)
    thread.start()
    try:
        yield address_of(listener, tls=certificates is not None)
    finally:
        closing.set()
        server.should_exit = True
        thread.join(5)
        listener.close()
