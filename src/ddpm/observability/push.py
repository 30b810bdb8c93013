"""Hands a page of metrics to a Prometheus PushGateway, for runs that end before anyone could scrape them.

Metrics are never worth a run: what goes wrong here is a warning in the log. The interface:
https://github.com/prometheus/pushgateway#api
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from urllib.parse import unquote, urlsplit

import httpx2 as httpx
import structlog
from prometheus_client import CollectorRegistry, push_to_gateway

TIMEOUT_SECONDS = 10.0
PAUSES_SECONDS = (0.5, 1.0, 2.0)


def push(
    url: str,
    page: bytes,
    grouping: Mapping[str, str],
    timeout: float = TIMEOUT_SECONDS,
    *,
    pauses: Sequence[float] = PAUSES_SECONDS,
) -> None:
    """Replace a group's metrics by a page; a failure is logged and nothing else.

    Args:
        url: The gateway's address. User and password in it are used and never shown.
        page: Prometheus' text format, without times of measurement.
        grouping: The labels of the group, `job` among them (`ddpm` by default); they overwrite the page's own labels
            of the same names.
        timeout: Seconds for each attempt.
        pauses: Seconds between the attempts; there is one attempt more than pauses.

    """
    parts = urlsplit(url)
    credentials, _, host = parts.netloc.rpartition("@")
    shown = parts._replace(netloc=host).geturl()
    log = structlog.get_logger().bind(gateway=shown)
    group = dict(grouping)
    job = group.pop("job", "ddpm")
    send = partial(
        # The library knows how a group is written in a URL; what it would send is replaced by the page.
        push_to_gateway,
        shown,
        job,
        CollectorRegistry(),
        group,
        timeout,
        handler=partial(_request, page=page, auth=_auth(credentials)),
    )
    error = ""
    for pause in (*pauses, None):
        try:
            send()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as failure:
            error = _reason(failure)
            if pause is None or not _may_pass(failure):
                break
            time.sleep(pause)
        else:
            log.info("metrics pushed")
            return
    log.warning("the metrics could not be pushed", error=error)


def _request(
    url: str,
    method: str,
    timeout: float | None,
    headers: Sequence[tuple[str, str]],
    data: bytes,
    *,
    page: bytes,
    auth: tuple[str, str] | None,
) -> Callable[[], None]:
    def send() -> None:
        httpx.request(method, url, content=page, headers=dict(headers), auth=auth, timeout=timeout).raise_for_status()

    return send


def _auth(credentials: str) -> tuple[str, str] | None:
    if not credentials:
        return None
    user, _, password = credentials.partition(":")
    return unquote(user), unquote(password)


def _may_pass(failure: Exception) -> bool:
    """Whether another attempt can end differently: not after the gateway refused, nor with a broken address."""
    if isinstance(failure, httpx.HTTPStatusError):
        return failure.response.is_server_error
    return isinstance(failure, httpx.TransportError) and not isinstance(failure, httpx.UnsupportedProtocol)


def _reason(failure: Exception) -> str:
    if isinstance(failure, httpx.HTTPStatusError):
        said = failure.response.text.strip()[:300]
        return f"it answered {failure.response.status_code}" + (f": {said}" if said else "")
    return str(failure) or type(failure).__name__
