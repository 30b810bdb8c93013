"""The API under `/v1`: what each pipeline does, and the requests that a person or a tool may make of it.

It reads statuses and leaves notes for the supervisor; it decides nothing.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Response
from fastapi import Request as Http
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field

from ddpm.deadletters.service import DeadLetterService
from ddpm.names import whole_of
from ddpm.observability.audit_log import AuditLog
from ddpm.observability.recent import Line, Trouble
from ddpm.server import auditing, dead_letters, looking, reloading
from ddpm.server import pipelines as pipelines_api
from ddpm.server.refusal import RequestRefusedError, check_known, get_status, require_managed
from ddpm.server.reloading import Nothing
from ddpm.server.views import (
    AcceptedView,
    ConfigurationView,
    Description,
    ErrorView,
    EventView,
    LogLinesView,
    LogLineView,
    PipelineDetailView,
    PipelinesView,
    TroubleView,
    detail_view,
    event_view,
    from_epoch,
    pipeline_view,
)
from ddpm.supervisor.runner import Supervisor
from ddpm.supervisor.states import State
from ddpm.supervisor.status import Status

STREAM_POLL_SECONDS = 0.25
MOST_LINES = 2_000
KEPT_EVENTS = 50
MOST_STREAMS = 64

Request = Literal["restart", "pause", "resume", "drain", "scale"]


class Lines(Protocol):
    """The newest lines of the log, as they were shown."""

    def since(self, last: int = 0, pipeline: str | None = None) -> list[Line]:
        """The kept lines with a greater id than `last`, oldest first."""

    def troubles(self, pipeline: str) -> tuple[Trouble, ...]:
        """The newest warnings and errors of a pipeline, newest first."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the API has its answers from.

    `closing` ends streams, `config_changed` says that files have changed, `reloads` reads them again, `audit` records
    who changes what, `looks` looks at records.
    """

    supervisor: Supervisor
    descriptions: Mapping[str, Description]
    lines: Lines
    closing: Callable[[], bool]
    letters: DeadLetterService
    config_changed: Callable[[], str | None] = lambda: None
    reloads: reloading.Reloads | None = None
    audit: AuditLog | None = None
    looks: looking.Looks | None = None


class Replicas(BaseModel):
    """How many replicas; null: as the configuration says."""

    model_config = ConfigDict(extra="forbid", strict=True)

    replicas: Annotated[int, Field(ge=1, le=64)] | None


_REFUSED = {
    400: "The body is not JSON.",
    401: "A token is needed.",
    403: "This name or origin may not call, or the token's role is not enough (then `role_needed` names the one).",
    404: "There is no such pipeline.",
    409: "The pipeline's state does not allow it.",
    412: "The pipeline is not as the request expects.",
    413: "The body is too long.",
    415: "The body is not said to be JSON.",
    422: "The request does not say what is needed; of a configuration, `problems` says what is wrong.",
    428: "The request does not say which version it is about (If-Match).",
}
_Responses = dict[int | str, dict[str, Any]]
_REFUSALS: _Responses = {code: {"model": ErrorView, "description": text} for code, text in _REFUSED.items()}
# Spelled out, because a route of a stream would document its refusals as a stream too.
_JSON_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorView"}}}
_STREAM_REFUSED = _REFUSED | {503: "Too many streams are open."}
_STREAM_REFUSALS: _Responses = {
    code: {"description": text, "content": _JSON_ERROR} for code, text in _STREAM_REFUSED.items()
}

Name = Annotated[str, Path(description="the pipeline's name")]
OnlyPipeline = Annotated[str | None, Query(description="only this pipeline's")]
LastEventId = Annotated[str | None, Header(description="go on after this event")]


def router(sources: Sources) -> APIRouter:
    """The routes under `/v1`."""
    plain, streams = APIRouter(responses=_REFUSALS), APIRouter(responses=_STREAM_REFUSALS)
    _reading(plain, sources)
    _requests(plain, sources.supervisor, sources.config_changed)
    reloading.add_routes(plain, sources.supervisor, sources.reloads)
    pipelines_api.add_routes(plain, sources.supervisor, sources.reloads)
    auditing.add_routes(plain, sources.audit)
    _streams(streams, sources)
    letters = APIRouter(responses=_REFUSALS | {503: {"model": ErrorView, "description": "Kafka does not answer."}})
    dead_letters.add_routes(letters, sources.supervisor, sources.letters)
    looking.add_routes(letters, sources.supervisor, sources.looks)
    api = APIRouter(prefix="/v1")
    api.include_router(plain)
    api.include_router(letters)
    api.include_router(streams)
    return api


def _reading(api: APIRouter, sources: Sources) -> None:
    supervisor = sources.supervisor

    @api.get("/pipelines")
    def pipelines() -> PipelinesView:
        """Every pipeline: state, reason, lag, rates, replicas, probes."""
        now = time.time()
        views = tuple(pipeline_view(each, now) for each in supervisor.statuses())
        running = sources.reloads.configuration() if sources.reloads is not None else None
        configuration = ConfigurationView(hash=running.hash, since=from_epoch(running.since)) if running else None
        return PipelinesView(pipelines=views, config_changed=sources.config_changed(), configuration=configuration)

    @api.get("/pipelines/{name}")
    def pipeline(name: Name, response: Response) -> PipelineDetailView:
        """One pipeline with its flow, partitions, errors, events and rendered configuration."""
        status = get_status(supervisor, name)
        if sources.reloads is not None and (stored := sources.reloads.stored(whole_of(name))):
            response.headers["ETag"] = pipelines_api.etag(stored)
        errors = tuple(
            TroubleView(at=from_epoch(each.at), message=each.message, count=each.count)
            for each in sources.lines.troubles(name)
        )
        events = supervisor.events.since(pipeline=name)[: -KEPT_EVENTS - 1 : -1]
        changed = sources.config_changed()
        return detail_view(status, sources.descriptions[name], errors, events, time.time(), config_changed=changed)

    @api.get("/logs")
    def logs(
        pipeline: OnlyPipeline = None,
        lines: Annotated[int, Query(ge=0, le=MOST_LINES, description="at most so many")] = 100,
    ) -> LogLinesView:
        """The newest lines of ddpm's log, oldest first."""
        check_known(supervisor, pipeline)
        kept = sources.lines.since(0, pipeline)
        return LogLinesView(lines=tuple(_line_view(line) for line in kept[max(0, len(kept) - lines) :]))


def _streams(api: APIRouter, sources: Sources) -> None:
    supervisor = sources.supervisor
    open_streams: set[object] = set()

    def known(pipeline: OnlyPipeline = None) -> str | None:
        # Asked before the stream begins, when a refusal can still be reported.
        check_known(supervisor, pipeline)
        if len(open_streams) >= MOST_STREAMS:
            raise RequestRefusedError(503, f"{MOST_STREAMS} streams are open already", "close some and try again")
        return pipeline

    @contextmanager
    def streaming() -> Iterator[None]:
        me = object()
        open_streams.add(me)
        try:
            yield
        finally:
            open_streams.discard(me)

    known_pipeline = Depends(known)

    @api.get("/events", response_class=EventSourceResponse)
    async def events(
        request: Http, pipeline: Annotated[str | None, known_pipeline], last_event_id: LastEventId = None
    ) -> AsyncIterator[ServerSentEvent]:
        """Everything that happens, as server-sent events; the kept past first, or what follows Last-Event-ID."""
        last = _number(last_event_id)
        with streaming():
            while not sources.closing() and auditing.still_admitted(request):
                for event in supervisor.events.since(last, pipeline):
                    last = event.id
                    view: EventView = event_view(event)
                    yield ServerSentEvent(data=view.model_dump(mode="json"), event=event.kind, id=str(event.id))
                await asyncio.sleep(STREAM_POLL_SECONDS)

    @api.get("/logs/stream", response_class=EventSourceResponse)
    async def log_stream(
        request: Http,
        pipeline: Annotated[str | None, known_pipeline],
        lines: Annotated[int, Query(ge=0, le=MOST_LINES, description="so many of the past first")] = 0,
        last_event_id: LastEventId = None,
    ) -> AsyncIterator[ServerSentEvent]:
        """The log as it is written, as server-sent events."""
        past = sources.lines.since(0, pipeline)
        last = _number(last_event_id)
        if not last:
            first = past[max(0, len(past) - lines) :]
            last = first[0].id - 1 if first else (past[-1].id if past else 0)
        with streaming():
            while not sources.closing() and auditing.still_admitted(request):
                for line in sources.lines.since(last, pipeline):
                    last = line.id
                    yield ServerSentEvent(data=_line_view(line).model_dump(mode="json"), id=str(line.id))
                await asyncio.sleep(STREAM_POLL_SECONDS)


def _requests(api: APIRouter, supervisor: Supervisor, config_changed: Callable[[], str | None]) -> None:
    def noted(message: str) -> str:
        changed = config_changed()
        return f"{message}, with the configuration as it was: {changed}" if changed else message

    @api.post("/pipelines/{name}/restart", status_code=202)
    def restart(name: Name, _body: Annotated[Nothing, Body()]) -> AcceptedView:
        """Drain the engines and start them again; a paused, stopped or failed pipeline is started."""
        _not_finished(require_managed(supervisor, name))
        supervisor.restart(name, "restarted on request")
        message = noted("the engines are drained and started again")
        return AcceptedView(pipeline=name, accepted="restart", message=message)

    @api.post("/pipelines/{name}/pause", status_code=202)
    def pause(name: Name, _body: Annotated[Nothing, Body()]) -> AcceptedView:
        """Drain, and stay paused until resumed, over restarts of ddpm too."""
        require_managed(supervisor, name)
        supervisor.pause(name)
        return AcceptedView(pipeline=name, accepted="pause", message="it drains and stays paused until it is resumed")

    @api.post("/pipelines/{name}/resume", status_code=202)
    def resume(name: Name, _body: Annotated[Nothing, Body()]) -> AcceptedView:
        """Run a pipeline that is paused, stopped or failed."""
        _not_finished(require_managed(supervisor, name))
        supervisor.resume(name)
        return AcceptedView(pipeline=name, accepted="resume", message=noted("it is started"))

    @api.post("/pipelines/{name}/drain", status_code=202)
    def drain(name: Name, _body: Annotated[Nothing, Body()]) -> AcceptedView:
        """Finish what is in flight and stop, until it is resumed or ddpm starts again."""
        status = require_managed(supervisor, name)
        if status.state is State.FAILED and not any(each.pid for each in status.replicas):
            raise RequestRefusedError(409, f"{name} has failed, nothing of it runs", "correct the cause and resume it")
        supervisor.drain_one(name)
        return AcceptedView(pipeline=name, accepted="drain", message="it finishes what is in flight and stops")

    @api.post("/pipelines/{name}/scale", status_code=202)
    def scale(name: Name, body: Annotated[Replicas, Body()]) -> AcceptedView:
        """Run so many replicas; null gives the decision back to the configuration."""
        status = require_managed(supervisor, name)
        partitions = _most_partitions(status)
        if body.replicas is not None and partitions is not None and body.replicas > partitions:
            raise RequestRefusedError(
                409,
                f"{body.replicas} replicas are more than the {partitions} partitions of the topic, the rest would idle",
                "give the topic more partitions (app.kafka.min_partitions), or ask for fewer replicas",
            )
        supervisor.scale(name, body.replicas)
        replicas = "1 replica" if body.replicas == 1 else f"{body.replicas} replicas"
        said = "as configured" if body.replicas is None else replicas
        return AcceptedView(pipeline=name, accepted="scale", message=said)


def _not_finished(status: Status) -> None:
    if status.finished:
        raise RequestRefusedError(409, f"{status.name} has done its bounded work", "start ddpm again for the next run")


def _most_partitions(status: Status) -> int | None:
    if not status.partitions:
        return None
    topics = [partition.topic for partition in status.partitions]
    return max(topics.count(topic) for topic in topics)


def _number(event_id: str | None) -> int:
    return int(event_id) if event_id and re.fullmatch(r"[0-9]{1,18}", event_id) else 0


def _line_view(line: Line) -> LogLineView:
    return LogLineView(
        id=line.id,
        at=from_epoch(line.at),
        level=line.level,
        pipeline=line.pipeline,
        replica=line.replica,
        message=line.message,
        fields=dict(line.fields),
    )
