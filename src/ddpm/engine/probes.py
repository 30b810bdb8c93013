"""Asks a running engine how it is, over its own HTTP server."""

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

PROBE_TIMEOUT_SECONDS = 4.0
_OK = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine said: its status code and its text."""

    status: int
    text: str

    @property
    def ok(self) -> bool:
        """Whether it said yes."""
        return self.status == _OK


class EngineClient:
    """Asks one engine again and again over one connection; for one thread.

    The standard library's client, because it is asked every second for as long as ddpm runs.
    """

    def __init__(self, url: str, timeout: float = PROBE_TIMEOUT_SECONDS) -> None:
        self.url = url
        parts = urlsplit(url)
        self._path = parts.path
        scheme = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = scheme(parts.hostname or "", parts.port, timeout=timeout)

    def ready(self) -> bool | None:
        """Whether input and outputs are connected; None when the engine does not answer."""
        answer = self._get("/ready")
        return None if answer is None else answer.ok

    def metrics(self) -> str | None:
        """Its metrics in Prometheus' text format, or None when it does not answer."""
        answer = self._get("/metrics")
        return answer.text if answer is not None and answer.ok else None

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def _get(self, path: str) -> Answer | None:
        try:
            self._connection.request("GET", self._path + path)
            response = self._connection.getresponse()
            return Answer(response.status, response.read().decode("utf-8", "replace"))
        except (OSError, http.client.HTTPException):
            # The next question opens a new connection.
            self._connection.close()
            return None
