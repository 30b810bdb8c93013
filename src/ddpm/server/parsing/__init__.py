"""A page to paste a record into, and the API behind it: what becomes of one record, step by step.

It knows neither engines nor configurations: anyone who makes the application hands it a function that answers.
"""

import base64
import binascii
import threading
from collections.abc import Callable
from typing import Annotated

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

import ddpm
from ddpm.errors import DdpmError, EngineError
from ddpm.server import console
from ddpm.server.app import refusals
from ddpm.server.guard import AccessPolicy, Guard
from ddpm.server.refusal import RequestRefusedError


class About(BaseModel):
    """What records are tried on."""

    pipeline: str
    parser: str
    table: str | None


def _decoded(payload: object) -> object:
    try:
        return base64.b64decode(payload, validate=True) if isinstance(payload, str) else payload
    except binascii.Error as error:
        msg = "this is not base64"
        raise ValueError(msg) from error


class Question(BaseModel):
    """A record as it would be consumed; a payload of null is a tombstone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    payload: Annotated[bytes, BeforeValidator(_decoded), WithJsonSchema({"type": "string", "format": "base64"})] | None
    key: str = ""
    headers: dict[str, list[str]] = Field(default_factory=dict)
    topic: str | None = None
    timestamp_ms: Annotated[int, Field(ge=0)] | None = None


def create(about: About, answer: Callable[[Question], str], most_bytes: int) -> FastAPI:
    """Build the application.

    Args:
        about: What the page says that it tries records on.
        answer: Gives the JSON for a record; called by one thread at a time, and may raise DdpmError.
        most_bytes: How large a request may be.

    """
    app = FastAPI(title="ddpm parse", version=ddpm.__version__, docs_url=None, redoc_url=None)
    alone = threading.Lock()

    def answered(question: Question) -> str:
        with alone:
            return answer(question)

    @app.get("/v1/parse")
    def what() -> About:
        """What records are tried on."""
        return about

    @app.post("/v1/parse", openapi_extra=_body())
    async def parse(request: Request) -> Response:
        """What becomes of a record: the same JSON as that of `ddpm parse --json`."""
        question = _question(await request.body())
        try:
            # As the engine wrote it: numbers keep their digits.
            return Response(await run_in_threadpool(answered, question), media_type="application/json")
        except DdpmError as error:
            raise RequestRefusedError(
                502 if isinstance(error, EngineError) else 400, error.message, error.hint
            ) from error

    static = console.files_in(__name__)
    console.serve_page(app, static[console.PAGE])
    console.serve_files(app, "/parsing", static)
    console.mount_files(app)
    refusals(app)
    app.add_middleware(Guard, policy=AccessPolicy(), most_bytes=most_bytes)
    return app


def _question(body: bytes) -> Question:
    try:
        return Question.model_validate_json(body)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors(include_url=False)
        ]
        raise RequestRefusedError(400, "; ".join(problems), 'send {"payload": BASE64}') from error


def _body() -> dict[str, object]:
    schema = Question.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
