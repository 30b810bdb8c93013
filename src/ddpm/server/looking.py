"""The newest records of a pipeline in the API: as they lie in their topics, and what the pipeline makes of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Path, Query
from pydantic import Field

from ddpm.broker.dump import RawRecord
from ddpm.errors import DdpmError
from ddpm.exact import loads, pretty
from ddpm.server.letters import BytesView, HeaderView, bytes_view
from ddpm.server.refusal import RequestRefusedError, get_status
from ddpm.server.views import View
from ddpm.supervisor.runner import Supervisor

MOST_RECORDS = 50
# What a person looks at; the command line shows all of it.
_SHOWN_BYTES = 64 * 1024
_SHOWN_DOCUMENTS = 20
_SHOWN_CHARACTERS = 64 * 1024


@dataclass(frozen=True, slots=True)
class LookedAt:
    """A record as people may see it, and what the pipeline makes of it on one line of JSON, None if not known."""

    record: RawRecord
    answer: str | None


class Looks(Protocol):
    """Looks at records of pipelines."""

    def newest(self, name: str, count: int) -> list[LookedAt]:
        """The newest records of a pipeline, the newest last; raises DdpmError."""


class ReasonOfView(View):
    """Why a document would be a dead letter."""

    stage: str
    code: str
    message: str
    column: str | None


class CellView(View):
    """What would be written into a column; null is NULL."""

    column: str
    type: str
    value: str | None


class StepsView(View):
    """What becomes of one document of a record; the texts are JSON, null where it is not known or no JSON."""

    outcome: Literal["written", "filtered", "dead_letter"]
    index: int | None
    parsed: str | None
    document: str | None
    columns: tuple[CellView, ...]
    reason: ReasonOfView | None


class RecordView(View):
    """A record; `documents` is null where no engine on this machine could say what becomes of it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None = Field(description="the record's own time in milliseconds since 1970, true or not")
    key: BytesView | None
    value: BytesView | None
    headers: tuple[HeaderView, ...]
    documents: tuple[StepsView, ...] | None
    left_out: int = Field(description="so many documents more have become of it")


class RecordsView(View):
    """The newest records of a pipeline's topics, the newest first."""

    pipeline: str
    records: tuple[RecordView, ...]


def add_routes(api: APIRouter, supervisor: Supervisor, looks: Looks | None) -> None:
    """Add the route to the API."""

    @api.get("/pipelines/{name}/records")
    def records(
        name: Annotated[str, Path(description="the pipeline's name")],
        count: Annotated[int, Query(ge=1, le=MOST_RECORDS, description="so many of the newest")] = 10,
    ) -> RecordsView:
        """The newest records of a pipeline, and what becomes of each; its group has no part in it."""
        get_status(supervisor, name)
        if looks is None:
            raise RequestRefusedError(503, "this ddpm does not look at records")
        try:
            found = looks.newest(name, count)
        except DdpmError as error:
            raise RequestRefusedError(503, error.message, error.hint) from error
        return RecordsView(pipeline=name, records=tuple(record_view(each) for each in reversed(found)))


def record_view(seen: LookedAt) -> RecordView:
    """A record as the API shows it; what becomes of one that is nested too deeply is not told."""
    try:
        return _record_view(seen.record, None if seen.answer is None else loads(seen.answer))
    except RecursionError:
        return _record_view(seen.record, None)


def _record_view(record: RawRecord, answer: Mapping[str, Any] | None) -> RecordView:
    documents = () if answer is None else tuple(answer["documents"])
    return RecordView(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp if record.timestamp >= 0 else None,
        key=bytes_view(record.key, _SHOWN_BYTES),
        value=bytes_view(record.value, _SHOWN_BYTES),
        headers=tuple(HeaderView(name=name, value=bytes_view(value, _SHOWN_BYTES)) for name, value in record.headers),
        documents=None if answer is None else tuple(map(_steps, documents[:_SHOWN_DOCUMENTS])),
        left_out=max(0, len(documents) - _SHOWN_DOCUMENTS) + int((answer or {}).get("left_out", 0)),
    )


def _steps(said: Mapping[str, Any]) -> StepsView:
    reason = said.get("reason")
    return StepsView(
        outcome=said["outcome"],
        index=int(said["index"]) if "index" in said else None,
        parsed=_text(said, "parsed"),
        document=_text(said, "document"),
        columns=tuple(
            CellView(column=each["column"], type=each["type"], value=_cut(each["value"]))
            for each in said.get("columns", ())
        ),
        reason=ReasonOfView(
            stage=reason["stage"], code=reason["code"], message=_cut(reason["message"]), column=reason.get("column")
        )
        if reason
        else None,
    )


def _text(said: Mapping[str, Any], name: str) -> str | None:
    return _cut(pretty(said[name])) if name in said else None


def _cut(text: str | None) -> Any:  # noqa: ANN401 -- as it came
    return f"{text[:_SHOWN_CHARACTERS]}…" if text is not None and len(text) > _SHOWN_CHARACTERS else text
