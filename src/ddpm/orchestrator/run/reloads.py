"""Requests to read the configuration again while it runs: whether one is under way, and how the last one ended."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count, takewhile
from queue import Empty, SimpleQueue
from typing import Any, Literal

import structlog

from ddpm.config.model import Config
from ddpm.config.paths import STORED_PIPELINES
from ddpm.config.stored import Edit, NotOursError, PipelineStore, StoredPipeline
from ddpm.errors import DdpmError, ServiceError
from ddpm.observability.audit_log import Actor, AuditLog, Record
from ddpm.orchestrator.run.changes import ConfigFiles
from ddpm.orchestrator.run.comparing import Changes
from ddpm.orchestrator.run.fleet import Fleet, HalfWayError
from ddpm.orchestrator.run.plan import Plan, keys_of
from ddpm.supervisor.runner import Supervisor

# Someone who saves a file may save the next one a moment later.
SETTLED_SECONDS = 1.0
LOOK_SECONDS = 0.5
# A secret is a file of its own, and pipelines may be at a stand without it: two looks alike are enough.
SETTLED_SECRET_SECONDS = 0.3
_END_SECONDS = 60.0
_NOTHING = Changes()
_FORMER = "the former configuration runs on"
BY_SIGNAL = Actor("SIGHUP", "signal")
_TOKENS = "other tokens of the API are in force"
BY_FILES = Actor("file watcher", "file watcher")
# So many can be asked about by their numbers.
_KEPT = 32


@dataclass(frozen=True, slots=True)
class Reload:
    """One time that the configuration was read again; times in seconds since 1970.

    Attributes:
        number: Counts them in this run.
        state: Whether it goes on, has been done, or has failed and changed nothing.
        message: What it did, or why it failed, and `hint` the way out.
        changes: Which pipelines it was about.
        plan: The hash of the plan that it carries out; None where nobody asked for one.
        numbers: Those of all requests that it carries out.
        error: Why it failed, if it did on purpose.

    """

    number: int
    state: Literal["running", "done", "failed"]
    began: float
    ended: float | None = None
    message: str = ""
    hint: str | None = None
    changes: Changes = _NOTHING
    plan: str | None = None
    numbers: frozenset[int] = frozenset()
    error: DdpmError | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """What runs: its name, empty before it does, and since when in seconds since 1970."""

    hash: str
    since: float


@dataclass(frozen=True, slots=True)
class ShownPipeline:
    """The configuration of a pipeline, without secrets.

    Attributes:
        file: Where it stands.
        keys: What differs from the defaults, app's keys among them.
        stored: Whether it was made through the API.

    """

    file: str
    keys: dict[str, Any]
    stored: bool


@dataclass(frozen=True, slots=True)
class _Request:
    number: int
    actor: Actor
    plan: str | None
    edit: Edit | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it asks for whatever there is to do."""
        return self.plan is None and self.edit is None


class Reloads:
    """Carries them out one after the other, in a thread of its own; any thread, and any signal handler, may ask.

    Args:
        config: What runs at first.
        load: Loads the configuration as it is now; None when that is not possible.
        supervisor: Who is told what has happened.
        log_as: Logs as a configuration says, and masks its secrets.
        admit: Checks who may come in by a configuration; what it returns lets them in.
        audit: Where it is recorded that another configuration was taken, or refused.
        by_itself: Whether a change of its files is a request.
        store: The pipelines that were made through the API.

    """

    def __init__(
        self,
        config: Config,
        load: Callable[[], Config] | None,
        *,
        supervisor: Supervisor,
        log_as: Callable[[Config], object],
        admit: Callable[[Config], Callable[[], bool]],
        audit: AuditLog,
        by_itself: bool,
        store: PipelineStore | None = None,
    ) -> None:
        self._load = load
        self._store = store or PipelineStore(STORED_PIPELINES)
        self._admit = admit
        self._audit = audit
        self._log_as = log_as
        self._supervisor = supervisor
        self._by_itself = by_itself
        self._files = ConfigFiles(config)
        self._tried = self._files.read
        self._seen, self._seen_at = self._tried, 0.0
        self._looked_at = 0.0
        self._fleet: Fleet | None = None
        # Any thread may use them, and a signal handler in the middle of that.
        self._numbers = count(1)
        self._requests: SimpleQueue[_Request] = SimpleQueue()
        self._waiting: list[_Request] = []
        self._ended: deque[Reload] = deque(maxlen=_KEPT)
        self._last: Reload | None = None
        self._since = time.time()
        self._thread: threading.Thread | None = None

    @property
    def last(self) -> Reload | None:
        """The one that is under way, or ended last; None while there was none."""
        return self._last

    def changed(self) -> str | None:
        """Which files have changed since they were read, and what to do; None while none has."""
        return self._files.changed()

    def configuration(self) -> Configuration:
        """What runs, and since when."""
        fleet = self._fleet
        return Configuration(fleet.config_hash if fleet else "", self._since)

    def of_number(self, number: int) -> Reload | None:
        """The one that was asked for under a number, or that which did the same for it; None while it has not begun."""
        return next((each for each in (self._last, *self._ended) if each is not None and number in each.numbers), None)

    def request(self, actor: Actor = BY_SIGNAL) -> int:
        """Ask for one on behalf of someone; returns its number."""
        return self._ask(actor, None)

    def request_plan(self, plan: str, actor: Actor) -> int:
        """Ask for one that carries out a plan and nothing else, on behalf of someone; returns its number."""
        return self._ask(actor, plan)

    def request_edit(self, edit: Edit, actor: Actor) -> int:
        """Ask for a change of one pipeline that was made through the API, or of its own; returns its number."""
        return self._ask(actor, None, edit)

    def shown(self, name: str) -> ShownPipeline | None:
        """The configuration of a pipeline that runs, without secrets; None when there is none of this name."""
        config = self._fleet.config if self._fleet else None
        keys = None if config is None else keys_of(config, name)
        if config is None or keys is None:
            return None
        home = config.homes.get(name, config.path)
        return ShownPipeline(str(home), keys, home == self._store.path(name))

    def stored(self, name: str) -> StoredPipeline | None:
        """What is kept of a pipeline that was made through the API; None for any other."""
        return self._store.get(name)

    def _ask(self, actor: Actor, plan: str | None, edit: Edit | None = None) -> int:
        number = next(self._numbers)
        self._requests.put(_Request(number, actor, plan, edit))
        return number

    def plan(self) -> Plan:
        """What a reload would do now; raises DdpmError where it would be refused at once."""
        if self._fleet is None:
            raise ServiceError("ddpm starts, or ends: nothing can be planned", hint="try again in a moment")
        fleet = self._fleet

        def load() -> Config:
            loaded = self._loaded(fleet)
            # As the reload that carries it out would.
            self._admit(loaded)
            return loaded

        return fleet.plan(load)

    def ticked(self) -> None:
        """Called again and again by the thread that looks after the pipelines: begins what was asked for."""
        self._look()
        with suppress(Empty):
            while True:
                self._waiting.append(self._requests.get_nowait())
        busy = self._thread is not None and self._thread.is_alive()
        if self._fleet is None or busy or not self._waiting or self._supervisor.draining:
            return
        together = self._next()
        numbers = frozenset(each.number for each in together)
        self._last = Reload(max(numbers), "running", time.time(), plan=together[-1].plan, numbers=numbers)
        askers = [each.actor for each in together]
        self._thread = threading.Thread(
            target=self._carry_out, args=(self._fleet, self._last, together, askers), name="reload", daemon=True
        )
        self._thread.start()

    def _next(self) -> list[_Request]:
        """What is carried out next: all that want what the files say, together, or one that wants something else."""
        self._waiting.sort(key=lambda each: each.number)
        alike = list(takewhile(lambda each: each.is_plain, self._waiting)) or self._waiting[:1]
        del self._waiting[: len(alike)]
        return alike

    @contextmanager
    def of(self, fleet: Fleet) -> Iterator[None]:
        """Let these pipelines be exchanged while the block runs."""
        self._fleet = fleet
        try:
            yield
        finally:
            self._fleet = None
            if self._thread is not None:
                self._thread.join(_END_SECONDS)

    def _look(self) -> None:
        """Ask for one when files have changed and have been left alone for a moment.

        A secret that was rotated is taken up in any case, unless an edit that nobody asked for would come along.
        """
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        digests = self._files.digests()
        if digests != self._seen:
            self._seen, self._seen_at = digests, now
        elif digests != self._tried:
            secret = self._files.only_secrets(digests)
            if now - self._seen_at >= (SETTLED_SECRET_SECONDS if secret else SETTLED_SECONDS):
                self._tried = digests
                if self._by_itself or secret:
                    self.request(BY_FILES)

    def _carry_out(self, fleet: Fleet, reload: Reload, together: list[_Request], askers: list[Actor]) -> None:
        try:
            self._exchange(fleet, reload, together[-1].edit)
        finally:
            ended = self._last or reload
            changes = {"added": ended.changes.added, "changed": ended.changes.changed, "removed": ended.changes.removed}
            outcome: Literal["ok", "failed"] = "ok" if ended.state == "done" else "failed"
            others = [each.name for each in askers[:-1]]
            about = {"reload": reload.number, "plan": reload.plan, "asked_by_too": others, **changes}
            said = {name: value for name, value in about.items() if value}
            self._audit.add(Record(askers[-1], "take configuration", outcome, parameters=said, reason=ended.message))

    def _exchange(self, fleet: Fleet, reload: Reload, edit: Edit | None) -> None:
        log = structlog.get_logger()
        log.info("the configuration is read again")
        loaded: list[Config] = []
        read: list[ConfigFiles] = []
        admitting: list[Callable[[], bool]] = []

        def load() -> Config:
            loaded.append(self._loaded(fleet))
            # Now: an edit while pipelines are exchanged is one that nobody has read.
            read.append(ConfigFiles(loaded[0]))
            self._tried = self._files.digests()
            admitting.append(self._admit(loaded[0]))
            return loaded[0]

        try:
            with self._edited(edit, fleet):
                changes = fleet.exchange(load, reload.plan)
        except DdpmError as error:
            log.warning("the configuration was not taken", error=error.message, hint=error.hint)
            said = error.message if isinstance(error, HalfWayError) else f"{_FORMER}: {error.message}"
            self._end(replace(reload, error=error), "failed", said, error.hint)
        except Exception:
            log.exception("the configuration was not taken")
            self._end(reload, "failed", "an error within ddpm; its log says more", None)
            raise
        else:
            self._log_as(loaded[0])
            self._tried, self._files, self._since = read[0].read, read[0], time.time()
            # Only now: a configuration that cannot be run must not lock out those who would correct it.
            other_tokens = admitting[0]()
            said = _TOKENS if not changes else f"{changes}; {_TOKENS}"
            said = said if other_tokens else str(changes)
            log.info("the configuration was taken", changes=said, config=fleet.config_hash)
            self._end(reload, "done", said, None, changes)

    @contextmanager
    def _edited(self, edit: Edit | None, fleet: Fleet) -> Iterator[None]:
        """A change of a pipeline that stays when the block succeeds, and is unmade when it does not."""
        if edit is None:
            yield
            return
        self._require_ours(edit, fleet.config)
        self._store.begin(edit)
        try:
            yield
        except BaseException:
            self._store.revert()
            self._tried = self._files.digests()
            raise
        self._store.keep()

    def _require_ours(self, edit: Edit, config: Config) -> None:
        """Raise NotOursError for a pipeline of the user's, or when an edit that nobody asked for would come along."""
        home = config.homes.get(edit.name)
        if home is not None and home != self._store.path(edit.name):
            raise NotOursError.of(edit.name, home)
        if (edited := self._files.edited()) is not None:
            msg = f"a change of one pipeline would take other edits along: {edited}"
            raise NotOursError(msg, hint="`ddpm plan` shows what that would do")

    def _loaded(self, fleet: Fleet) -> Config:
        if self._load is None:
            raise DdpmError("this ddpm does not know where its configuration is")
        loaded = self._load()
        # Its secrets are masked before anything of it can be said; how it logs counts once it runs.
        self._log_as(loaded.model_copy(update={"logger": fleet.config.logger}))
        return loaded

    def _end(
        self,
        reload: Reload,
        state: Literal["done", "failed"],
        message: str,
        hint: str | None,
        changes: Changes = _NOTHING,
    ) -> None:
        self._last = replace(reload, state=state, ended=time.time(), message=message, hint=hint, changes=changes)
        self._ended.append(self._last)
