"""The API of a reload: to have the configuration read again, and what became of that."""

from collections.abc import Sequence
from typing import Annotated, Protocol

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from ddpm.server.refusal import RequestRefusedError
from ddpm.server.views import Time, View, from_epoch, one_of
from ddpm.supervisor.runner import Supervisor


class Changed(Protocol):
    """Which pipelines a reload was about."""

    @property
    def added(self) -> Sequence[str]:
        """Those that were not there before."""

    @property
    def changed(self) -> Sequence[str]:
        """Those that are run otherwise."""

    @property
    def removed(self) -> Sequence[str]:
        """Those that are gone."""

    @property
    def unchanged(self) -> Sequence[str]:
        """Those that were left alone."""


class Reload(Protocol):
    """A reload: times in seconds since 1970."""

    @property
    def number(self) -> int:
        """Counts them."""

    @property
    def state(self) -> str:
        """`running`, `done` or `failed`."""

    @property
    def began(self) -> float:
        """When it began."""

    @property
    def ended(self) -> float | None:
        """When it ended; None while it runs."""

    @property
    def message(self) -> str:
        """What it did, or why it failed."""

    @property
    def hint(self) -> str | None:
        """The way out."""

    @property
    def changes(self) -> Changed:
        """Which pipelines it was about."""


class Reloads(Protocol):
    """Carries reloads out."""

    @property
    def last(self) -> Reload | None:
        """The one that runs, or ended last."""

    def request(self) -> int:
        """Ask for one; returns its number."""


class Nothing(BaseModel):
    """The body of a request that needs none."""

    model_config = ConfigDict(extra="forbid")


class ReloadAcceptedView(View):
    """That a reload was asked for; its number is that of the answer which says how it ended."""

    accepted: Annotated[str, one_of("reload")] = "reload"
    message: str = "the configuration is read again; what differs is run as it says by then"
    number: int


class ReloadView(View):
    """A reload, and which pipelines it was about: one that failed has changed nothing."""

    number: int
    state: Annotated[str, one_of("running", "done", "failed")]
    began: Time
    ended: Time | None
    message: str
    hint: str | None
    added: tuple[str, ...] = Field(description="pipelines that were not there before")
    changed: tuple[str, ...] = Field(description="pipelines that are run otherwise")
    removed: tuple[str, ...] = Field(description="pipelines that are gone")
    unchanged: tuple[str, ...] = Field(description="pipelines that were left alone")


def add_routes(api: APIRouter, supervisor: Supervisor, reloads: Reloads | None) -> None:
    """Add the routes to the API."""

    @api.post("/reload", status_code=202)
    def reload(_body: Annotated[Nothing, Body()]) -> ReloadAcceptedView:
        """Read the configuration again, and run what differs as it says by then; in the background."""
        if reloads is None or supervisor.draining:
            raise RequestRefusedError(409, "ddpm ends", "start it again")
        return ReloadAcceptedView(number=reloads.request())

    @api.get("/reload")
    def last() -> ReloadView:
        """The reload that runs, or ended last."""
        found = reloads.last if reloads is not None else None
        if found is None:
            raise RequestRefusedError(404, "there was no reload since ddpm started", "POST /v1/reload asks for one")
        return ReloadView(
            number=found.number,
            state=found.state,
            began=from_epoch(found.began),
            ended=None if found.ended is None else from_epoch(found.ended),
            message=found.message,
            hint=found.hint,
            added=tuple(found.changes.added),
            changed=tuple(found.changes.changed),
            removed=tuple(found.changes.removed),
            unchanged=tuple(found.changes.unchanged),
        )
