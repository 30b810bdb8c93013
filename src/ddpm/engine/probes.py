"""Asks a running engine how it is, over its own HTTP server on loopback."""

import httpx2 as httpx

PROBE_TIMEOUT_SECONDS = 2.0


def ready(port: int) -> bool:
    """Whether the engine on this port says that its input and outputs are connected."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=PROBE_TIMEOUT_SECONDS, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def metrics(port: int) -> str | None:
    """The engine's metrics in Prometheus' text format, or None when it does not answer."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=PROBE_TIMEOUT_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return None
    return answer.text if answer.is_success else None
