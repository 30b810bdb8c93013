"""The API of a change of the configuration: what it would do, to have it done, and what became of that."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Body, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ddpm.config.stored import Edit, StoredPipeline
from ddpm.errors import DdpmError
from ddpm.observability.audit_log import Actor
from ddpm.server.auditing import caller_of
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

    @property
    def error(self) -> DdpmError | None:
        """Why it failed."""


class ShownPipeline(Protocol):
    """The configuration of a pipeline, without secrets."""

    @property
    def file(self) -> str:
        """Where it stands."""

    @property
    def keys(self) -> Mapping[str, Any]:
        """What differs from the defaults."""

    @property
    def stored(self) -> bool:
        """Whether it was made through the API."""


class Step(Protocol):
    """One thing that would be made or changed."""

    @property
    def about(self) -> str:
        """What it is about."""

    @property
    def text(self) -> str:
        """What would be done."""

    @property
    def effect(self) -> str:
        """What that does to what runs."""

    @property
    def detail(self) -> str:
        """The statement, the difference, or the way out; may be empty."""


class PipelinePlan(Protocol):
    """What happens to one pipeline."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def change(self) -> str:
        """`added`, `changed`, `removed` or `unchanged`."""

    @property
    def steps(self) -> Sequence[Step]:
        """What would be done."""


class Plan(Protocol):
    """What applying the configuration would do."""

    @property
    def hash(self) -> str:
        """Names it."""

    @property
    def running(self) -> str:
        """Names what runs."""

    @property
    def wanted(self) -> str:
        """Names what would run."""

    @property
    def pipelines(self) -> Sequence[PipelinePlan]:
        """All of them."""

    @property
    def obstacles(self) -> Sequence[Step]:
        """Why it cannot be applied to what runs."""

    @property
    def process(self) -> Sequence[Step]:
        """What changes of ddpm itself."""

    @property
    def changes(self) -> bool:
        """Whether it does anything."""


class Configuration(Protocol):
    """What runs."""

    @property
    def hash(self) -> str:
        """Names it."""

    @property
    def since(self) -> float:
        """Since when, in seconds since 1970."""


class Reloads(Protocol):
    """Plans changes of the configuration, and carries them out."""

    def plan(self) -> Plan:
        """What a reload would do now; raises DdpmError."""

    def configuration(self) -> Configuration:
        """What runs."""

    @property
    def last(self) -> Reload | None:
        """The one that runs, or ended last."""

    def of_number(self, number: int) -> Reload | None:
        """The one that was asked for under a number, or which did the same for it; None while it has not begun."""

    def request(self, actor: Actor) -> int:
        """Ask for one on behalf of someone; returns its number."""

    def request_edit(self, edit: Edit, actor: Actor) -> int:
        """Ask for a change of one pipeline that was made through the API, or of its own; returns its number."""

    def stored(self, name: str) -> StoredPipeline | None:
        """What is kept of a pipeline that was made through the API; None for any other."""

    def shown(self, name: str) -> ShownPipeline | None:
        """The configuration of a pipeline that runs, without secrets; None when there is none of this name."""

    def request_plan(self, plan: str, actor: Actor) -> int:
        """Ask for one that carries out a plan and nothing else, on behalf of someone; returns its number."""


class Nothing(BaseModel):
    """The body of a request that needs none."""

    model_config = ConfigDict(extra="forbid")


class Wanted(BaseModel):
    """What is to be done: whatever differs, or a plan that was made, named by its hash."""

    model_config = ConfigDict(extra="forbid", strict=True)

    plan: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$", examples=["0c2a9ff41d02"])] | None = None


class StepView(View):
    """One thing that would be made or changed; `detail` is a statement, a difference or the way out, or empty."""

    about: Annotated[str, one_of("topic", "table", "configuration", "engine", "process")]
    text: str
    effect: Annotated[
        str,
        one_of("none", "in place", "holds up writes", "restart", "stop", "key order changes", "needs a person"),
    ]
    detail: str


class PipelinePlanView(View):
    """What happens to one pipeline."""

    name: str
    change: Annotated[str, one_of("added", "changed", "removed", "unchanged")]
    steps: tuple[StepView, ...]


class PlanView(View):
    """What applying the configuration would do; one with obstacles cannot be applied while this ddpm runs."""

    hash: str
    running: str = Field(description="names the configuration that runs; empty while nothing does")
    wanted: str = Field(description="names that which would run")
    changes: bool
    pipelines: tuple[PipelinePlanView, ...]
    obstacles: tuple[StepView, ...]
    process: tuple[StepView, ...] = Field(description="what changes of ddpm itself")


def plan_view(plan: Plan) -> PlanView:
    """A plan as it is shown."""
    return PlanView(
        hash=plan.hash,
        running=plan.running,
        wanted=plan.wanted,
        changes=plan.changes,
        pipelines=tuple(
            PipelinePlanView(name=each.name, change=each.change, steps=tuple(map(_step_view, each.steps)))
            for each in plan.pipelines
        ),
        obstacles=tuple(map(_step_view, plan.obstacles)),
        process=tuple(map(_step_view, plan.process)),
    )


def _step_view(step: Step) -> StepView:
    return StepView(about=step.about, text=step.text, effect=step.effect, detail=step.detail)


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

    def open_for_changes() -> Reloads:
        if reloads is None or supervisor.draining:
            raise RequestRefusedError(409, "ddpm ends", "start it again")
        return reloads

    @api.get("/plan")
    def plan() -> PlanView:
        """What a reload would make and change, and what that does to what runs; makes and changes nothing."""
        try:
            return plan_view(open_for_changes().plan())
        except DdpmError as error:
            raise RequestRefusedError(409, error.message, error.hint) from error

    @api.post("/reload", status_code=202)
    def reload(request: Request, body: Annotated[Wanted, Body()]) -> ReloadAcceptedView:
        """Read the configuration again, and run what differs as it says by then, or as planned; in the background."""
        changes, caller = open_for_changes(), caller_of(request)
        return ReloadAcceptedView(
            number=changes.request_plan(body.plan, caller) if body.plan else changes.request(caller)
        )

    @api.get("/reload")
    def last(
        number: Annotated[int | None, Query(ge=1, description="the one of this number, or what did the same")] = None,
    ) -> ReloadView:
        """The reload that runs, or ended last, or that of a number."""
        found = None if reloads is None else reloads.last if number is None else reloads.of_number(number)
        if found is None and number is not None:
            raise RequestRefusedError(404, f"the reload {number} has not begun", "ask again in a moment")
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
