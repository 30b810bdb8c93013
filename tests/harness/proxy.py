"""A TCP proxy of our own that delays, resets, swallows, or cuts in the middle of an engine's commit."""

import contextlib
import socket
import struct
import threading
import time
from enum import Enum
from typing import Self

_CHUNK = 64 * 1024
# What a client sends when it wants rows to be durable, alone or among other messages, and before it sends them.
_COMMIT = b"COMMIT\x00"
_COPY = b"COPY "


class Mode(Enum):
    """What becomes of what passes."""

    PASS = "pass"
    DELAY = "delay"
    BLACK_HOLE = "black hole"
    CUT_COMMITS = "cut commits"


class Proxy:
    """Listens on a free port of loopback and passes connections on to one address; a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.mode = Mode.PASS
        self.cuts = 0
        self._delay = 0.2
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.reset()

    def lead_to(self, port: int) -> None:
        """Pass connections that begin from now on to another port, as a name does that gets another address."""
        self._to = (self._to[0], port)

    def reset(self) -> int:
        """End every connection with a reset, as a firewall does; returns how many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for each in pair:
                _reset(each)
        return len(pairs)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._to, timeout=5)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            pair = (client, server)
            with self._lock:
                self._pairs.add(pair)
            for source, target in (pair, pair[::-1]):
                outgoing = source is client
                threading.Thread(target=self._pump, args=(source, target, outgoing, pair), daemon=True).start()

    def _pump(
        self,
        source: socket.socket,
        target: socket.socket,
        outgoing: bool,
        pair: tuple[socket.socket, socket.socket],
    ) -> None:
        swallowed = copies = False
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if self.mode is Mode.BLACK_HOLE:
                    swallowed = True
                    continue
                if swallowed:
                    break
                if self.mode is Mode.DELAY:
                    time.sleep(self._delay)
                target.sendall(data)
                # ddpm commits, too, but an engine is what brings rows in.
                copies = copies or (outgoing and _COPY in data)
                if self.mode is Mode.CUT_COMMITS and copies and _COMMIT in data:
                    # The server has it and nobody will hear the answer.
                    self.cuts += 1
                    break
        with self._lock:
            self._pairs.discard(pair)
        for each in pair:
            _reset(each)


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
