"""Choosing TCP ports on the loopback interface."""

import random
import socket
from itertools import islice

from ddpm.errors import MissingToolError

HOST = "127.0.0.1"

# Below the ports that systems give to outgoing connections. Among those, a client that keeps trying to reach a server
# that is being restarted can be given the server's own port, and then holds it.
_RANGE = range(20_000, 32_000)


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
    """Return `count` different ports that were free a moment ago; raises MissingToolError when there are too few."""
    candidates = random.sample(_RANGE, len(_RANGE))
    free = list(islice((port for port in candidates if is_free(port)), count))
    if len(free) < count:
        msg = f"fewer than {count} of the ports {_RANGE.start} to {_RANGE.stop - 1} are free"
        raise MissingToolError(msg)
    return free


def choose(preferred: int | None) -> int:
    """Return `preferred` when it is free, otherwise any free port."""
    return preferred if preferred is not None and is_free(preferred) else free_ports(1)[0]
