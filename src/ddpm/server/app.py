"""The HTTP endpoints: `/health` for people and probes, `/metrics` for Prometheus."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from ddpm.server.metrics import page
from ddpm.supervisor.runner import Status
from ddpm.supervisor.states import State

Statuses = Callable[[], tuple[Status, ...]]
EngineMetrics = Callable[[int], str | None]


def create(statuses: Statuses, engine_metrics: EngineMetrics) -> FastAPI:
    """Build the application.

    Args:
        statuses: Gives every pipeline's present status.
        engine_metrics: Gives the metrics of the engine on a port, None when it does not answer.

    """
    app = FastAPI(title="ddpm", docs_url=None, redoc_url=None)

    @app.get("/health")
    def health() -> JSONResponse:
        seen = statuses()
        healthy = all(status.state is State.RUNNING and status.ready for status in seen)
        body = {"status": "ok" if healthy else "unavailable", "pipelines": [_described(status) for status in seen]}
        return JSONResponse(body, status_code=200 if healthy else 503)

    @app.get("/metrics")
    def metrics() -> Response:
        seen = statuses()
        answers = {status.name: engine_metrics(status.port) for status in seen if status.port is not None}
        known = {name: text for name, text in answers.items() if text is not None}
        return Response(page(seen, known), media_type=CONTENT_TYPE_LATEST)

    return app


def _described(status: Status) -> dict[str, Any]:
    return {
        "name": status.name,
        "state": status.state.value,
        "reason": status.reason,
        "since": datetime.fromtimestamp(status.since, UTC).isoformat(timespec="seconds"),
        "restarts": status.restarts,
        "engine": {"ready": status.ready, "pid": status.pid},
    }
