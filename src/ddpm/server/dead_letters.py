"""The part of the API that is about dead letters: reasons, letters, what to do with them. Asks the service."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from ddpm.deadletters.index import summarize
from ddpm.deadletters.letter import LetterId
from ddpm.deadletters.selection import Selection, moment
from ddpm.deadletters.service import BusyError, DeadLetterService, Job, NotReadyError
from ddpm.errors import ConfigError, ServiceError
from ddpm.server.letters import DeadLettersView, LetterView, ReplayView, letter_view, letters_view, line_view
from ddpm.server.refusal import RequestRefusedError, get_status, require_accepting
from ddpm.server.views import View, from_epoch
from ddpm.supervisor.runner import Supervisor

MOST_LETTERS = 200
# What a person looks at; the command line shows all of it.
SHOWN_BYTES = 64 * 1024

_ID = r"^([0-9]{1,9}|table):[0-9]{1,18}$"
Id = Annotated[str, Field(pattern=_ID)]
When = Annotated[str | None, Field(max_length=40, description="ISO 8601, or for example 2h for two hours ago")]
Name = Annotated[str, Path(description="the pipeline's name")]


class Wanted(BaseModel):
    """Which open letters are meant: all that fit all that is said."""

    model_config = ConfigDict(extra="forbid")

    reasons: tuple[Annotated[str, Field(max_length=300)], ...] = Field(
        (), max_length=100, description="codes, stages or STAGE/CODE; one of them must fit"
    )
    message: Annotated[str | None, Field(max_length=300, description="as the reasons show it")] = None
    since: When = None
    until: When = None
    ids: Annotated[tuple[Id, ...] | None, Field(max_length=10_000)] = None
    sinks: tuple[Annotated[str, Field(max_length=300)], ...] = Field(
        (), max_length=100, description="names of sinks; only what one of them did not get"
    )


class WantedReplay(Wanted):
    """Which letters to replay, and how."""

    force: bool = Field(False, description="also letters that failed in three attempts or more")
    rate: Annotated[float, Field(gt=0, le=1_000_000)] | None = Field(None, description="letters a second at most")


class DiscardedView(View):
    """How many letters were discarded, and the name of this request in what is remembered of them."""

    pipeline: str
    accepted: Literal["discard"] = "discard"
    message: str
    run: str
    discarded: int


class ReplayedView(View):
    """A replay that has begun; those `left_out` were tried too often, or are of no known sink or origin."""

    pipeline: str
    accepted: Literal["replay"] = "replay"
    message: str
    left_out: int
    replay: ReplayView


def add_routes(api: APIRouter, supervisor: Supervisor, service: DeadLetterService) -> None:
    """Add the routes to the API."""
    _reading(api, supervisor, service)
    _requests(api, supervisor, service)


def _reading(api: APIRouter, supervisor: Supervisor, service: DeadLetterService) -> None:
    @api.get("/pipelines/{name}/dead-letters")
    def dead_letters(
        name: Name,
        *,
        reason: Annotated[list[str] | None, Query(description="only with this code, stage or STAGE/CODE")] = None,
        message: Annotated[str | None, Query(description="only with this message, as the reasons show it")] = None,
        since: Annotated[str | None, Query(description="only what failed then or later")] = None,
        until: Annotated[str | None, Query(description="only what failed before then")] = None,
        sink: Annotated[list[str] | None, Query(description="only what this sink did not get")] = None,
        handled: Annotated[bool, Query(description="also those that were replayed or discarded")] = False,
        letters: Annotated[int, Query(ge=0, le=MOST_LETTERS, description="so many of the newest, one by one")] = 0,
    ) -> DeadLettersView:
        """The dead letters of a pipeline by reason, and how its replay is getting on."""
        status = get_status(supervisor, name)
        with _translated():
            selection = Selection(
                tuple(reason or ()),
                _moment(since),
                _moment(until),
                patterns=() if message is None else (message,),
                sinks=tuple(sink or ()),
            )
            entries = service.entries(name, selection, handled=handled)
            newest = sorted(entries, key=lambda entry: (entry.failed_at_ms, entry.id), reverse=True)[:letters]
            lines = [line_view(letter, entry) for letter, entry in service.letters(name, newest)]
            return letters_view(
                name,
                service.topic(name),
                service.depth(name),
                summarize(entries),
                lines,
                complete=status.dead_letters is not None,
                replay=_replay_view(service.job(name)),
            )

    @api.get("/pipelines/{name}/dead-letters/{letter_id}")
    def dead_letter(
        name: Name,
        letter_id: Annotated[str, Path(pattern=_ID, description="PARTITION:OFFSET in its topic, or table:ID")],
    ) -> LetterView:
        """A dead letter with its record; of long values the beginning."""
        get_status(supervisor, name)
        with _translated():
            letter = service.letter(name, LetterId.parse(letter_id))
        if letter is None:
            msg = f"{name} has no dead letter {letter_id}"
            raise RequestRefusedError(404, msg, "Kafka may have let it go")
        return letter_view(*letter, SHOWN_BYTES)


def _requests(api: APIRouter, supervisor: Supervisor, service: DeadLetterService) -> None:
    @api.post("/pipelines/{name}/dead-letters/discard")
    def discard(name: Name, body: Annotated[Wanted, Body()]) -> DiscardedView:
        """Count open letters as dealt with; their records stay in the topic."""
        require_accepting(supervisor, name)
        with _translated():
            run, count = service.discard(name, _selection(body))
        message = f"{count} dead letter{'' if count == 1 else 's'} discarded"
        return DiscardedView(pipeline=name, message=message, run=run, discarded=count)

    @api.post("/pipelines/{name}/dead-letters/replay", status_code=202)
    def replay(name: Name, body: Annotated[WantedReplay, Body()]) -> ReplayedView:
        """Feed open letters to an engine again, in the background; one replay at a time."""
        require_accepting(supervisor, name)
        with _translated():
            job, chosen = service.replay(name, _selection(body), force=body.force, rate=body.rate)
        count, left_out = len(chosen.taken), chosen.left_out
        message = f"{count} dead letter{' is' if count == 1 else 's are'} replayed"
        if left_out:
            why = "they failed too often, lack headers, their sink is gone, or where they came from is unknown"
            message += f", {left_out} left out: {why}"
        view = _replay_view(job)
        assert view is not None  # noqa: S101 -- there is a job
        return ReplayedView(pipeline=name, message=message, left_out=left_out, replay=view)


def _selection(wanted: Wanted) -> Selection:
    return Selection(
        reasons=wanted.reasons,
        since_ms=_moment(wanted.since),
        until_ms=_moment(wanted.until),
        ids=None if wanted.ids is None else frozenset(map(LetterId.parse, wanted.ids)),
        patterns=() if wanted.message is None else (wanted.message,),
        sinks=wanted.sinks,
    )


def _moment(text: str | None) -> int | None:
    return None if text is None else moment(text, datetime.now(UTC))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise RequestRefusedError(422, error.message, error.hint) from error
    except BusyError as error:
        raise RequestRefusedError(409, error.message, error.hint) from error
    except (NotReadyError, ServiceError) as error:
        raise RequestRefusedError(503, error.message, error.hint) from error


def _replay_view(job: Job | None) -> ReplayView | None:
    if job is None:
        return None
    progress = job.progress
    return ReplayView(
        id=job.id,
        state=job.state,
        started=from_epoch(job.started),
        ended=None if job.ended is None else from_epoch(job.ended),
        total=progress.total,
        done=progress.done,
        landed=progress.landed,
        failed_again=progress.failed_again,
        waiting=progress.waiting,
        message=job.message,
    )
