"""Notifies systemd that ddpm has started, still ticks, stops, and how it is; where no systemd asks, nothing.

The protocol is sd_notify(3): a datagram of lines `NAME=value` to the socket that NOTIFY_SOCKET names.
"""

import os
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Self

import structlog

_SOCKET = "NOTIFY_SOCKET"
_WATCHDOG_MICROSECONDS = "WATCHDOG_USEC"
_WATCHDOG_PID = "WATCHDOG_PID"
_LONGEST_STATUS = 500
# The supervisor's loop must not stand still because systemd does.
_SEND_SECONDS = 1.0


class Notifier:
    """The line to systemd.

    Args:
        address: The socket's path, or a name in the abstract namespace, written with @; None for nobody.
        watchdog: Within how many seconds systemd wants a sign of life; None when it does not.
        clock: Seconds that only go forward.

    """

    def __init__(
        self,
        address: str | None = None,
        watchdog: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        # Twice as often as is asked for, as sd_watchdog_enabled(3) has it.
        self._pause = watchdog / 2 if watchdog else None
        self._clock = clock
        self._alive_at: float | None = None
        self._sent: set[str] = set()
        self._status = ""
        self._complained = False

    @classmethod
    def taken(cls, environment: MutableMapping[str, str]) -> Self:
        """The one that the environment names; its variables are taken out, they are no business of child processes."""
        address, microseconds, pid = (
            environment.pop(name, "") for name in (_SOCKET, _WATCHDOG_MICROSECONDS, _WATCHDOG_PID)
        )
        mine = pid in ("", str(os.getpid())) and microseconds.isdecimal()
        return cls(address or None, int(microseconds) / 1e6 if mine else None)

    def ready(self) -> None:
        """Say, once, that the start is over."""
        self._once("READY=1")

    def stopping(self) -> None:
        """Say, once, that the end has begun."""
        self._once("STOPPING=1")

    def status(self, text: str) -> None:
        """Say how it is, in one line; nothing when that was said last."""
        line = " ".join(text.split())[:_LONGEST_STATUS]
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def alive(self) -> None:
        """Give a sign of life, if one is wanted and due."""
        now = self._clock()
        if self._pause is not None and (self._alive_at is None or now - self._alive_at >= self._pause):
            self._alive_at = now
            self._send("WATCHDOG=1")

    def _once(self, message: str) -> None:
        if message not in self._sent:
            self._sent.add(message)
            self._send(message)

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
                line.settimeout(_SEND_SECONDS)
                line.connect(self._address)
                line.sendall(message.encode("utf-8", "replace"))
        except OSError as error:
            if not self._complained:
                self._complained = True
                structlog.get_logger().warning("systemd cannot be notified", reason=error.strerror or str(error))
