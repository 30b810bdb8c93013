"""A ddpm that only pretends: the documented HTTP API over data that a test makes and changes, with the real console."""

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from ddpm.server import console
from harness.waiting import eventually

Json = dict[str, Any]

DETAILS = ("source", "processors", "sinks", "dead_letter", "partitions", "errors", "config")


class FakeDdpm:
    """Serves what `pipelines` and `events` hold at the moment; a context manager.

    Attributes:
        pipelines: The whole answers for each pipeline, in order.
        token: What requests must carry; None asks for nothing.
        refusal: Status, message and hint for the next requests that change something; None accepts them.
        posted: The path and body of every request that was accepted.
        letters: The dead letters of the pipelines that have some, as `dead_letters` makes them.
        records: The newest records of the pipelines that have some, as `record` makes them.
        config_changed: What it says of its files.
        who: Who it says that asks, and with which role.
        audit: The records of its audit log.

    """

    def __init__(self, *pipelines: Json, token: str | None = None) -> None:
        self.pipelines = list(pipelines)
        self.events: list[Json] = []
        self.token = token
        self.refusal: tuple[int, str, str | None] | None = None
        self.posted: list[tuple[str, Any]] = []
        self.letters: dict[str, Json] = {}
        self.records: dict[str, list[Json]] = {}
        self.config_changed: str | None = None
        self.who: Json = {"name": "anyone", "kind": "anyone", "role": "admin", "address": "127.0.0.1"}
        self.audit: list[Json] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self._server: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        return self.appear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.vanish()

    def appear(self) -> Self:
        """Start to answer, at the same address as before."""
        if self._listener.fileno() == -1:
            self._listener = socket.create_server(("127.0.0.1", self._port))
        config = uvicorn.Config(
            self._app(), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, args=([self._listener],), daemon=True)
        self._thread.start()
        self._server = server
        eventually(lambda: server.started, "the pretended ddpm answers")
        return self

    def vanish(self) -> None:
        """Stop to answer."""
        if self._server is not None:
            self._server.should_exit = True
            self._thread.join(10)
            self._server = None
            self._listener.close()

    def happen(self, pipeline: str, kind: str, message: str, state: str | None = None, at: float | None = None) -> None:
        """Add an event, and let the pipeline's state follow it."""
        number = len(self.events) + 1
        self.events.append(
            {"id": number, "at": iso(at), "pipeline": pipeline, "kind": kind, "message": message, "state": state}
        )
        for each in self.pipelines:
            if each["name"] == pipeline and state is not None and at is None:
                each.update(state=state, reason=message, since=iso())

    def _app(self) -> FastAPI:
        app = FastAPI(openapi_url=None)

        @app.middleware("http")
        async def guard(request: Request, go_on: Any) -> Response:
            wanted = f"Bearer {self.token}"
            if request.url.path.startswith("/v1/") and self.token and request.headers.get("authorization") != wanted:
                return refused(401, "a token is needed", "send the header Authorization: Bearer TOKEN")
            answer: Response = await go_on(request)
            return answer

        @app.get("/v1/pipelines")
        def pipeline_type() -> Json:
            shorts = [{key: each[key] for key in each if key not in DETAILS} for each in self.pipelines]
            return {"version": "0.1.0", "pipelines": shorts, "config_changed": self.config_changed}

        @app.get("/v1/whoami")
        def whoami() -> Json:
            return self.who

        @app.get("/v1/audit")
        def audit() -> Response:
            if self.who["role"] != "admin":
                return refused(403, '"read the audit log" needs the role admin', None)
            return JSONResponse({"records": self.audit, "trouble": None})

        @app.get("/v1/pipelines/{name}")
        def pipeline(name: str) -> Response:
            found = [each for each in self.pipelines if each["name"] == name]
            if not found:
                known = ", ".join(each["name"] for each in self.pipelines)
                return refused(404, "there is no pipeline of this name", f"there are: {known}")
            events = [event for event in reversed(self.events) if event["pipeline"] == name]
            return JSONResponse(found[0] | {"events": events[:50], "config_changed": self.config_changed})

        @app.get("/v1/pipelines/{name}/dead-letters")
        def dead_letters(name: str, letters: int = 0, reason: str = "", message: str = "") -> Response:
            if name not in [each["name"] for each in self.pipelines]:
                return refused(404, "there is no pipeline of this name", None)
            found = self.letters.get(name, NO_LETTERS)
            lines = [
                each
                for each in found["letters"]
                if f"{each['stage']}/{each['code']}" == reason and message in (each["pattern"], "")
            ]
            return JSONResponse(found | {"letters": lines[:letters]})

        @app.get("/v1/pipelines/{name}/dead-letters/{letter_id}")
        def dead_letter(name: str, letter_id: str) -> Response:
            found = [each for each in self.letters[name]["letters"] if each["id"] == letter_id]
            return JSONResponse(found[0]) if found else refused(404, f"{name} has no dead letter {letter_id}", None)

        @app.get("/v1/pipelines/{name}/records")
        def records(name: str, count: int) -> Response:
            if self.refusal is not None:
                return refused(*self.refusal)
            return JSONResponse({"pipeline": name, "records": self.records.get(name, [])[:count]})

        @app.post("/v1/pipelines/{name}/dead-letters/{deed}")
        async def handle(name: str, deed: str, request: Request) -> Response:
            if self.refusal is not None:
                return refused(*self.refusal)
            self.posted.append((f"{name}/dead-letters/{deed}", await request.json()))
            if deed == "discard":
                self.letters[name] = NO_LETTERS | {"discarded": self.letters[name]["open"]}
            return JSONResponse({"pipeline": name, "accepted": deed, "message": f"{deed} it is"}, status_code=202)

        @app.get("/v1/logs")
        def logs(pipeline: str) -> Json:
            line = {"id": 1, "at": iso(), "level": "warning", "pipeline": pipeline, "replica": 0}
            return {"lines": [line | {"message": f"{NASTY} from the log", "fields": {"offset": 7, "topic": "orders"}}]}

        @app.get("/v1/events")
        def events() -> StreamingResponse:
            return StreamingResponse(self._stream(), media_type="text/event-stream")

        @app.post("/v1/pipelines/{name}/{action}", status_code=202)
        async def change(name: str, action: str, request: Request) -> Response:
            if self.refusal is not None:
                return refused(*self.refusal)
            body = await request.json()
            self.posted.append((f"{name}/{action}", body))
            state = {"pause": "paused", "drain": "stopped", "resume": "running", "restart": "starting"}.get(action)
            for each in self.pipelines:
                if each["name"] == name and state is not None:
                    each["wish"] = {"pause": "pause", "drain": "stop"}.get(action, "run")
            self.happen(name, "control", f"{action} on request", state)
            answer = {"pipeline": name, "accepted": action, "message": f"{action} it is"}
            return JSONResponse(answer, status_code=202)

        console.mount(app)
        return app

    async def _stream(self) -> AsyncIterator[str]:
        sent = 0
        server = self._server
        while server is self._server and not (server and server.should_exit):
            for event in self.events[sent:]:
                yield f"event: {event['kind']}\nid: {event['id']}\ndata: {json.dumps(event)}\n\n"
            sent = len(self.events)
            await asyncio.sleep(0.05)


NASTY = """<img src=x onerror="document.title='owned'"></script><b>bold</b> & "quoted" 'too' ${x}"""


def record(offset: int, value: str | None, *documents: Json, key: str = "k") -> Json:
    """A record as the API shows it."""
    return {
        "topic": "orders", "partition": 0, "offset": offset, "timestamp_ms": int(time.time() * 1000), "key": shown(key),
        "value": None if value is None else shown(value), "headers": [{"name": "trace", "value": shown(NASTY)}],
        "documents": list(documents), "left_out": 0,
    }  # fmt: skip


def steps(outcome: str, parsed: Json | None, document: Json | None = None, reason: str | None = None) -> Json:
    """What becomes of a document, as the API shows it; its fields are columns."""
    columns = [{"column": name, "type": "text", "value": str(value)} for name, value in (document or {}).items()]
    return {
        "outcome": outcome, "index": None, "parsed": parsed and json.dumps(parsed),
        "document": document and json.dumps(document), "columns": columns if outcome == "written" else [],
        "reason": reason and {"stage": "parse", "code": "not_json", "message": reason, "column": None},
    }  # fmt: skip


def shown(text: str) -> Json:
    """Bytes as the API shows them."""
    data = text.encode()
    return {"size": len(data), "text": text, "base64": base64.b64encode(data).decode(), "cut": False}


def refused(status: int, message: str, hint: str | None) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "hint": hint}}, status_code=status)


def iso(at: float | None = None) -> str:
    """An instant, now by default, as the API writes it."""
    moment = datetime.fromtimestamp(time.time() if at is None else at, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ago(seconds: float) -> str:
    return iso(time.time() - seconds)


def pipeline(name: str, **changes: Any) -> Json:
    """A pipeline that runs well; `changes` replace top-level fields."""
    waves = [1200 + 160 * ((index * 7) % 5) - 90 * (index % 3) for index in range(120)]
    good: Json = {
        "name": name,
        "part_of": None,
        "sink": None,
        "state": "running",
        "reason": "records flow",
        "since": ago(7_512),
        "wish": "run",
        "restarts": 0,
        "next_retry": None,
        "last_error": None,
        "last_exit": None,
        "config_hash": "sha256:1f0c9a5b",
        "scaling": {"desired": 1, "minimum": 1, "maximum": 1, "mode": "fixed", "reason": "as configured"},
        "replicas": [replica(0)],
        "probes": [probe("engine 0", "engine"), probe("kafka", "broker"), probe("postgres", "sink")],
        "lag": {"records": 12, "seconds": 0.4},
        "rates": {"read": 1284.2, "written": 1283.9, "dead": 0.0},
        "totals": {"read": 9_184_220, "written": 9_184_009, "dead": 211, "duplicates": 0},
        "dead_letters": {"open": 211, "oldest": None, "replayed": 0, "failed_again": 0, "discarded": 0},
        "history": {
            "step": 5.0,
            "lag": [(index * 37) % 60 for index in range(120)],
            "rate": waves,
            "dead": [0.0] * 120,
        },
        "source": {
            "parser": "json",
            "brokers": ["kafka-1:9092", "kafka-2:9092"],
            "topics": [f"{name}-events"],
            "consumer_group": f"ddpm-{name}",
        },
        "processors": [{"kind": "mapping"}],
        "sinks": [{"kind": "postgres", "name": f"sales.{name}"}],
        "dead_letter": {"topic": "failed-messages"},
        "partitions": [
            {
                "topic": f"{name}-events",
                "partition": number,
                "committed": 3_061_000 + number * 411,
                "end": 3_061_004 + number * 411,
                "lag": 4,
                "seconds": 0.2 + number / 10,
            }
            for number in range(3)
        ],
        "errors": [],
        "config": CONFIG,
    }
    return good | changes


NO_LETTERS: Json = {
    "topic": "failed-messages",
    "complete": True,
    "open": 0,
    "oldest": None,
    "replayed": 0,
    "failed_again": 0,
    "discarded": 0,
    "reasons": [],
    "letters": [],
    "replay": None,
}


def dead_letters(*letters: Json, **changes: Any) -> Json:
    """What the API says of dead letters; `changes` replace top-level fields."""
    reasons: dict[tuple[str, str, str], Json] = {}
    for each in letters:
        key = (each["stage"], each["code"], each["pattern"])
        named = {"stage": key[0], "code": key[1], "message": key[2], "example": each["id"], "count": 0}
        reason = reasons.setdefault(key, named | {"first": each["failed_at"], "last": each["failed_at"]})
        reason["count"] += 1
        reason["first"] = min(reason["first"], each["failed_at"])
        reason["last"] = max(reason["last"], each["failed_at"])
    told = {"open": len(letters), "reasons": list(reasons.values()), "letters": list(letters)}
    return NO_LETTERS | told | changes


def letter(offset: int, value: bytes | None = b'{"id": 1', **changes: Any) -> Json:
    """One dead letter, with everything in it and the `pattern` that its reason is counted under."""
    good: Json = {
        "id": f"0:{offset}",
        "stage": "parse",
        "code": "not_json",
        "message": f"not JSON: the document ends early at byte {offset}",
        "pattern": "not JSON: the document ends early at byte N",
        "failed_at": ago(900 - offset),
        "attempt": 1,
        "copies": 1,
        "origin": {"topic": "orders-events", "partition": 2, "offset": 3_061_000 + offset, "index": None, "source": 4},
        "handled": None,
        "pipeline": "orders",
        "sqlstate": None,
        "column": None,
        "recorded_at_ms": 1_763_000_000_000,
        "config_hash": "1f0c9a5b77aa",
        "key": content(b"order-17"),
        "value": None if value is None else content(value),
        "headers": [{"name": "trace", "value": content(b"4bf92f3577b34da6")}],
    }
    return good | changes


def content(value: bytes) -> Json:
    try:
        text: str | None = value.decode()
    except UnicodeDecodeError:
        text = None
    return {"size": len(value), "text": text, "base64": base64.b64encode(value).decode(), "cut": False}


def replica(index: int, **changes: Any) -> Json:
    good: Json = {
        "index": index,
        "state": "running",
        "reason": "connected to input and output",
        "since": ago(7_500),
        "restarts": 0,
        "ready": True,
        "pid": 4_211 + index,
        "next_retry": None,
    }
    return good | changes


def probe(name: str, kind: str, message: str = "", age: float | None = 1.2) -> Json:
    return {"name": name, "kind": kind, "ok": not message, "message": message, "age_seconds": age}


CONFIG = """# Generated by ddpm from app-config.yaml: changes made here are lost at the next start.
input:
  kafka:
    addresses:
      - kafka-1:9092
    topics:
      - orders-events
    consumer_group: ddpm-orders
    sasl:
      mechanism: SCRAM-SHA-512
      user: ddpm
      password: '***'

pipeline:
  processors:
    - ddpm_origin: {}
    - mapping: 'root = this.without("internal")'

output:
  fallback:
    - reject_errored:
        postgres_copy:
          dsn_env: DDPM_POSTGRES_DSN
          table: orders
"""
