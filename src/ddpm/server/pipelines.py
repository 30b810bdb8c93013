"""The API of single pipelines' configurations: what one says; to make, change and delete those of the API itself."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from pydantic import Field, TypeAdapter, ValidationError

from ddpm.config import tree
from ddpm.config.document import Document
from ddpm.config.model.values import PipelineName
from ddpm.config.problems import ConfigProblems, Problem, to_json
from ddpm.config.stored import (
    MOST_BYTES,
    Edit,
    Expected,
    NotAsExpectedError,
    NotOursError,
    StoredPipeline,
    UnknownPipelineError,
    require,
)
from ddpm.errors import ConfigError, DdpmError, MissingToolError
from ddpm.names import whole_of
from ddpm.observability.audit_log import Actor, this_user
from ddpm.server.auditing import caller_of
from ddpm.server.guard import JSON, content_type
from ddpm.server.refusal import RequestRefusedError
from ddpm.server.reloading import Reload, Reloads
from ddpm.server.views import View
from ddpm.supervisor.runner import Supervisor

WAIT_SECONDS = 120.0
MOST_PROBLEMS = 100
_POLL_SECONDS = 0.05
_TAG = re.compile(r'(?P<weak>W/)?"(?P<version>[^"]*)"')
_STATUSES: Mapping[type[DdpmError], int] = {UnknownPipelineError: 404, NotOursError: 409, MissingToolError: 503}
_NAME: TypeAdapter[str] = TypeAdapter(PipelineName)

Name = Annotated[str, Path(description="the pipeline's name")]
IfMatch = Annotated[str | None, Header(description="only if its ETag is one of these; * is any")]
IfNoneMatch = Annotated[str | None, Header(description="* : only if there is none yet")]


class PipelineConfigView(View):
    """The configuration of a pipeline, without secrets: what differs from the defaults, app's keys among it."""

    name: str
    file: str = Field(description="where it stands")
    editable: bool = Field(description="whether it was made through the API, which alone may be changed through it")
    configuration: dict[str, Any]


class PipelineChangeView(View):
    """That a pipeline was made, changed or deleted, and which ones that was about."""

    name: str
    message: str
    reload: int = Field(description="`GET /v1/reload?number=` says how it went")
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


async def _body(request: Request) -> bytes:
    return await request.body()


Body = Annotated[bytes, Depends(_body)]
_IN_WORDS = {"type": "object", "description": "the keys of a pipeline, as below `pipelines.NAME`"}
_CREATED = {
    "type": "object",
    "required": ["name", "pipeline"],
    "properties": {"name": {"type": "string"}, "pipeline": _IN_WORDS},
}


def _takes(schema: dict[str, Any]) -> dict[str, Any]:
    content = {kind: {"schema": schema} for kind in (JSON, "application/yaml")}
    return {"requestBody": {"required": True, "content": content}}


def etag(stored: StoredPipeline) -> str:
    """What names this version of a pipeline in headers."""
    return f'"{stored.version}"'


def add_routes(api: APIRouter, supervisor: Supervisor, reloads: Reloads | None) -> None:
    """Add the routes to the API."""

    def open_for_changes(request: Request) -> Reloads:
        _require_trusted(caller_of(request))
        if reloads is None or supervisor.draining:
            raise RequestRefusedError(409, "ddpm ends", "start it again")
        return reloads

    @api.get("/pipelines/{name}/config")
    def config(name: Name, response: Response) -> PipelineConfigView:
        """The configuration of a pipeline, without secrets."""
        shown = None if reloads is None else reloads.shown(whole_of(name))
        if shown is None or reloads is None:
            raise RequestRefusedError(404, "there is no pipeline of this name", "GET /v1/pipelines lists them")
        if shown.stored and (stored := reloads.stored(whole_of(name))):
            response.headers["ETag"] = etag(stored)
        return PipelineConfigView(
            name=whole_of(name), file=shown.file, editable=shown.stored, configuration=dict(shown.keys)
        )

    @api.post("/pipelines", status_code=201, openapi_extra=_takes(_CREATED))
    def create(request: Request, response: Response, body: Body) -> PipelineChangeView:
        """Make a pipeline and run it; nothing is kept of one that does not come up."""
        name, text = _named_pipeline(body, content_type(request.headers))
        changes = open_for_changes(request)
        try:
            return _changed(changes, Edit(name, text, Expected(absent=True)), request, response)
        except _PreconditionError as error:
            hint = f"PUT /v1/pipelines/{name} changes it"
            raise RequestRefusedError(409, f"there is a pipeline {name} already", hint) from error

    @api.put("/pipelines/{name}", openapi_extra=_takes(_IN_WORDS))
    def put(
        request: Request,
        response: Response,
        name: Name,
        *,
        body: Body,
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> PipelineChangeView:
        """Make a pipeline, or run one as it says from now on; what ran before runs on when it does not come up."""
        text = _pipeline(body, content_type(request.headers))
        changes, name = open_for_changes(request), _checked(name)
        stored = changes.stored(name)
        if stored is not None and if_match is None and if_none_match is None:
            hint = "send the header If-Match with the ETag that GET gave, or * for whatever is there"
            raise RequestRefusedError(428, f"there is a pipeline {name}, which others may have changed", hint)
        absent = if_none_match is not None or (stored is None and if_match is None)
        expected = Expected(_versions(if_match), absent=absent)
        if stored is None:
            response.status_code = 201
        return _changed(changes, Edit(name, text, expected), request, response)

    @api.delete("/pipelines/{name}")
    def delete(request: Request, response: Response, name: Name, if_match: IfMatch = None) -> PipelineChangeView:
        """Drain a pipeline and forget it; its topics, table, offsets and dead letters stay as they are."""
        edit = Edit(_checked(name), None, Expected(_versions(if_match)))
        return _changed(open_for_changes(request), edit, request, response)


def _require_trusted(caller: Actor) -> None:
    """Refuse who has no token, unless it is the user that ddpm runs as.

    A configuration names files and programs, which ddpm reads and starts: others must not have it do that for them.
    """
    if caller.kind != "token" and (caller.kind, caller.name) != ("local user", this_user()):
        message = "without a token, only the user that ddpm runs as may change pipelines"
        raise RequestRefusedError(403, message, "set app.server.token, or app.server.tokens")


class _PreconditionError(RequestRefusedError):
    """The pipeline is not as the request expects."""


def _changed(changes: Reloads, edit: Edit, request: Request, response: Response) -> PipelineChangeView:
    """Have a change made, and wait until it has proven itself; raises RequestRefusedError when it has not."""
    _check_at_once(changes, edit)
    number = changes.request_edit(edit, caller_of(request))
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = changes.of_number(number)
        if found is not None and found.state != "running":
            break
        if time.monotonic() > deadline:
            response.status_code = 202
            message = "it has not come up yet; GET /v1/reload says how it goes on"
            return PipelineChangeView(name=edit.name, message=message, reload=number)
        time.sleep(_POLL_SECONDS)
    if found.state == "failed":
        raise _refusal(found)
    if edit.text is not None and (stored := changes.stored(edit.name)):
        response.headers["ETag"] = etag(stored)
        response.headers["Location"] = f"/v1/pipelines/{edit.name}"
    return PipelineChangeView(
        name=edit.name,
        message=found.message,
        reload=number,
        added=tuple(found.changes.added),
        changed=tuple(found.changes.changed),
        removed=tuple(found.changes.removed),
        unchanged=tuple(found.changes.unchanged),
    )


def _check_at_once(changes: Reloads, edit: Edit) -> None:
    """Refuse what needs no reload to be refused; whether it is so still, the reload looks again."""
    shown, stored = changes.shown(edit.name), changes.stored(edit.name)
    try:
        if shown is not None and not shown.stored and stored is None:
            raise NotOursError.of(edit.name, shown.file)
        require(edit, stored)
    except DdpmError as error:
        raise _refused(error, error.message, error.hint) from error


def _refusal(failed: Reload) -> RequestRefusedError:
    """Why a change was not made, and what runs."""
    if failed.error is None:
        return RequestRefusedError(500, failed.message, failed.hint)
    return _refused(failed.error, failed.message, failed.hint)


def _refused(error: DdpmError, message: str, hint: str | None) -> RequestRefusedError:
    """A refusal for an error; `message` says what runs as well, where that is no matter of the request."""
    if isinstance(error, ConfigProblems):
        return _of_problems(error.problems, "the former configuration runs on: this one has problems")
    if isinstance(error, NotAsExpectedError):
        return _PreconditionError(412, error.message, error.hint)
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            return RequestRefusedError(status, error.message, error.hint)
    return RequestRefusedError(422 if isinstance(error, ConfigError) else 409, message, hint)


def _of_problems(problems: Sequence[Problem], message: str) -> RequestRefusedError:
    left = len(problems) - MOST_PROBLEMS
    hint = f"{left} more are not shown" if left > 0 else None
    return RequestRefusedError(422, message, hint, to_json(problems[:MOST_PROBLEMS]))


def _versions(header: str | None) -> frozenset[str] | None:
    """The strong tags of a header; `*` is any."""
    if header is None:
        return None
    if header.strip() == "*":
        return frozenset({"*"})
    return frozenset(found["version"] for found in _TAG.finditer(header) if not found["weak"])


def _checked(name: str) -> str:
    try:
        return _NAME.validate_python(name)
    except ValidationError as error:
        raise RequestRefusedError(422, error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def _pipeline(body: bytes, kind: str) -> str:
    """The body as the YAML that is kept: as it was sent, unless it is JSON."""
    text = _text(body)
    return _as_yaml(_json(text)) if kind == JSON else text


def _named_pipeline(body: bytes, kind: str) -> tuple[str, str]:
    text = _text(body)
    found = _json(text) if kind == JSON else _yaml(text)
    match found:
        case {"name": str(name), "pipeline": pipeline, **more} if not more:
            return _checked(name), _as_yaml(pipeline)
    raise RequestRefusedError(422, "the body must have name and pipeline", "the keys of the pipeline go into pipeline")


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestRefusedError(400, "the body is not UTF-8") from error


def _json(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RequestRefusedError(400, f"the body is not JSON: {error}") from error


def _no_constant(name: str) -> object:
    msg = f"{name} is no JSON"
    raise ValueError(msg)


def _yaml(text: str) -> object:
    document = Document(FilePath("body"), text)
    parsed = tree.parse(document)
    if parsed.findings:
        raise _of_problems(document.problems(parsed.findings, None), "the body has problems")
    return None if parsed.root is None else tree.to_data(parsed.root)


def _as_yaml(pipeline: object) -> str:
    """JSON is YAML as well, which keeps every text as it was."""
    text = json.dumps(pipeline, ensure_ascii=False, indent=2) + "\n"
    try:
        length = len(text.encode())
    except UnicodeEncodeError as error:
        raise RequestRefusedError(422, "a text of the pipeline holds half of a character (a lone surrogate)") from error
    if length > MOST_BYTES:
        raise RequestRefusedError(413, f"the pipeline has more than {MOST_BYTES} bytes")
    return text
