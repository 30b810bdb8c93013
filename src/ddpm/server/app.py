"""The HTTP application: probes, metrics, the API and the console, behind one guard."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

import ddpm
from ddpm.server import console
from ddpm.server.api import Sources, router
from ddpm.server.guard import AccessPolicy, Guard
from ddpm.server.metrics import EnginePage, page, process_registry
from ddpm.server.refusal import ProblemResponse, RequestRefusedError
from ddpm.server.roles import asked
from ddpm.server.views import HealthView, LiveView, health_view

EnginePages = Callable[[], Iterable[EnginePage]]


def create(sources: Sources, engine_pages: EnginePages, policy: AccessPolicy | Callable[[], AccessPolicy]) -> FastAPI:
    """Build the application.

    Args:
        sources: The supervisor and what is known around it.
        engine_pages: Gives the metrics of every engine that answers.
        policy: Who may come in; a function where that changes.

    """
    app = _Application(title="ddpm", version=ddpm.__version__, docs_url=None, redoc_url=None)
    _probes(app, sources)
    own = process_registry()

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def metrics() -> Response:
        """Everything that ddpm and its engines count, in Prometheus' text format."""
        changed, fails = sources.config_changed() is not None, _audit_trouble(sources) is not None
        text = page(sources.supervisor.statuses(), engine_pages(), own, config_changed=changed, audit_fails=fails)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    app.include_router(router(sources))
    console.mount(app)
    refusals(app)
    app.add_middleware(Guard, policy=policy, log=sources.audit)
    return app


class _Application(FastAPI):
    """An application whose OpenAPI document says which token, and which role, each request of the API needs."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is not None:
            return self.openapi_schema
        document = super().openapi()
        about = "app.server.token, or one of app.server.tokens with the role that is needed; none where none is set"
        basic = "the same as a password, with its name as the user"
        schemes = {
            "token": {"type": "http", "scheme": "bearer", "description": about},
            "basic": {"type": "http", "scheme": "basic", "description": basic},
        }
        document.setdefault("components", {})["securitySchemes"] = schemes
        for path, operations in document["paths"].items():
            if path.startswith(("/v1/", "/metrics")):
                for method, operation in operations.items():
                    # Either is enough: without a token where none is set.
                    operation["security"] = [{"token": []}, {"basic": []}, {}]
                    operation["x-ddpm-role"] = asked(method.upper(), path).role.value
                    _as_problems(operation["responses"])
        return document


def _audit_trouble(sources: Sources) -> str | None:
    return sources.audit.trouble if sources.audit is not None else None


def _as_problems(responses: dict[str, Any]) -> None:
    """Refusals are documented with the type that they are sent with."""
    for status, response in responses.items():
        content = response.get("content", {})
        if status >= "400" and "application/json" in content:
            content[ProblemResponse.media_type] = content.pop("application/json")


def _probes(app: FastAPI, sources: Sources) -> None:
    supervisor = sources.supervisor

    # Coroutines, so that no slow scrape in the pool of threads keeps them waiting.
    async def health(response: Response) -> HealthView:
        trouble = _audit_trouble(sources)
        warnings = () if trouble is None else (trouble,)
        view = health_view(supervisor.statuses(), alive=supervisor.alive, now=time.time(), warnings=warnings)
        if view.culprits:
            response.status_code = 503
        return view

    unavailable: dict[int | str, dict[str, object]] = {503: {"model": HealthView, "description": "Names the culprits."}}
    for path in ("/health", "/readyz"):
        app.get(path, responses=unavailable, summary="Whether every pipeline works, and who is to blame if not")(health)

    @app.get("/livez", responses={503: {"model": LiveView, "description": "The loop does not tick."}})
    async def livez(response: Response) -> LiveView:
        """Whether ddpm's own loop ticks; depends on nothing else."""
        if supervisor.alive:
            return LiveView(status="ok")
        response.status_code = 503
        return LiveView(status="stuck")


def refusals(app: FastAPI) -> None:
    """Give every refusal of an application the same shape: problem details (RFC 9457)."""

    @app.exception_handler(RequestRefusedError)
    def refused(_request: Request, error: RequestRefusedError) -> ProblemResponse:
        more = {"problems": list(error.problems)} if error.problems else {}
        return ProblemResponse(error.status, error.message, error.hint, **more)

    @app.exception_handler(HTTPException)
    def http(_request: Request, error: HTTPException) -> ProblemResponse:
        answer = ProblemResponse(error.status_code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, error: RequestValidationError) -> ProblemResponse:
        problems = [f"{'.'.join(str(step) for step in each['loc'])}: {each['msg']}" for each in error.errors()]
        broken = any(each["type"] == "json_invalid" for each in error.errors())
        return ProblemResponse(400 if broken else 422, "; ".join(problems), "look at /openapi.json")
