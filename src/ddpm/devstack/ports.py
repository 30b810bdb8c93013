"""Choosing TCP ports on the loopback interface."""

import socket
from contextlib import ExitStack

HOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether nothing listens on `port`, on this interface or on all of them."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        if probe.connect_ex((HOST, port)) == 0:
            return False
    with socket.socket() as candidate:
        # The way servers bind: connections of an earlier run that still linger do not count.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((HOST, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Return `count` different ports that were free a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for candidate in sockets:
            candidate.bind((HOST, 0))
        return [int(candidate.getsockname()[1]) for candidate in sockets]


def choose(preferred: int | None) -> int:
    """Return `preferred` when it is free, otherwise any free port."""
    return preferred if preferred is not None and is_free(preferred) else free_ports(1)[0]
