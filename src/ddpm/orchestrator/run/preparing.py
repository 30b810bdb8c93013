"""Prepares every pipeline in a thread of its own before its engines start: one that cannot be delays no other.

A pipeline whose topics and table cannot be made is tried again until they can, as `recovering` while that may pass by
itself and as `failed` while it waits for a person.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import structlog

from ddpm.config.model import Pipeline
from ddpm.errors import ConfigError, DdpmError, ExitCode, MissingToolError
from ddpm.names import whole_of
from ddpm.supervisor.runner import Supervisor
from ddpm.supervisor.states import State

RETRY_FIRST_SECONDS = 2.0
RETRY_LONGEST_SECONDS = 30.0
# How long the pipelines that are ready wait for those that are not known to fail yet.
TOGETHER_SECONDS = 5.0
# So many are prepared at a time: each has a connection to its database, which takes a hundred in all by default.
MOST_AT_ONCE = 32

_PATH = re.compile(r"\bapp\.(?=[a-z])([a-z_.]+[a-z_])")

Made = TypeVar("Made")


class Preparations(Generic[Made]):
    """What has been made of each pipeline, by name, and who waits for it.

    Args:
        pipelines: All of them, with real addresses.
        make: Prepares one; it is called in threads, again and again while it raises a DdpmError.
        supervisor: Notified of those that are not ready.

    """

    def __init__(self, pipelines: Sequence[Pipeline], make: Callable[[Pipeline], Made], supervisor: Supervisor) -> None:
        self._pipelines = pipelines
        self._make = make
        self._supervisor = supervisor
        self._stop = threading.Event()
        self._forgotten: set[str] = set()
        self._slots = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._changed = threading.Condition()
        self._made: dict[str, Made] = {}
        self._errors: dict[str, BaseException] = {}
        self._waiting: list[tuple[str, Callable[[Made], object]]] = []

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Prepare the pipelines, while the block runs."""
        for pipeline in self._pipelines:
            name = f"prepare {pipeline.name}"
            threading.Thread(target=self._prepare, args=(pipeline,), name=name, daemon=True).start()
        try:
            yield
        finally:
            self._stop.set()

    def first(self) -> dict[str, Made]:
        """Wait until it is clear whether there is anything to run, and return what is ready.

        Raises:
            DdpmError: The only pipeline cannot be prepared, or none can for a reason that does not pass by itself, or
                one that would have ended by itself.

        """
        with self._changed:
            self._changed.wait_for(self._decided)
            # A little longer for those that are as good as ready.
            self._changed.wait_for(self._all_tried, TOGETHER_SECONDS)
            made, errors = dict(self._made), dict(self._errors)
        for pipeline in self._pipelines:
            if pipeline.name in errors and (pipeline.once or len(self._pipelines) == 1):
                raise errors[pipeline.name]
        lasting = [error for error in errors.values() if not passes(error)]
        if len(lasting) == len(self._pipelines):
            raise _all_of([self._said(name, error) for name, error in errors.items()], lasting)
        return made

    def get(self, name: str) -> Made | None:
        """What was made of a pipeline; None while it is not ready."""
        with self._changed:
            return self._made.get(name)

    def when_made(self, name: str, call: Callable[[Made], object]) -> None:
        """Call with what was made of a pipeline: now, or as soon as it is ready, by the thread that made it."""
        with self._changed:
            if name not in self._made:
                self._waiting.append((name, call))
                return
            made = self._made[name]
        call(made)

    def put(self, name: str, made: Made) -> None:
        """Take what somebody else has made of a pipeline, in place of what was made of it before."""
        self._ready(name, made)

    def forget(self, name: str) -> None:
        """Make nothing of a pipeline any more, and let nobody wait for it."""
        with self._changed:
            self._forgotten.add(name)
            self._made.pop(name, None)
            self._waiting = [(each, call) for each, call in self._waiting if each != name]

    def _decided(self) -> bool:
        bounded = {each.name for each in self._pipelines if each.once}
        tried = self._made.keys() | self._errors.keys()
        return (bool(self._made) or self._all_tried()) and bounded <= tried

    def _all_tried(self) -> bool:
        return len(self._made.keys() | self._errors.keys()) == len(self._pipelines)

    def _prepare(self, pipeline: Pipeline) -> None:
        wait = RETRY_FIRST_SECONDS
        while not self._stop.is_set() and pipeline.name not in self._forgotten:
            try:
                with self._slots:
                    made = self._make(pipeline)
            except Exception as error:  # noqa: BLE001 -- whatever it is, the other pipelines go on
                self._failed(pipeline, error)
                self._stop.wait(wait)
                wait = min(2 * wait, RETRY_LONGEST_SECONDS)
            else:
                if pipeline.name not in self._forgotten:
                    self._ready(pipeline.name, made)
                return

    def _ready(self, name: str, made: Made) -> None:
        with self._changed:
            self._made[name] = made
            self._errors.pop(name, None)
            calls = [call for waits_for, call in self._waiting if waits_for == name]
            self._changed.notify_all()
        for call in calls:
            try:
                call(made)
            except Exception:  # noqa: BLE001 -- those who wait for it wait each for itself
                structlog.get_logger().exception("a pipeline was prepared, but not all could begin", pipeline=name)

    def _said(self, name: str, error: BaseException) -> str:
        """What went wrong; the parts of the only pipeline are not in the configuration, whose paths are right then."""
        if len({whole_of(pipeline.name) for pipeline in self._pipelines}) == 1:
            return error.message if isinstance(error, DdpmError) else str(error)
        return placed(error, whole_of(name))

    def _failed(self, pipeline: Pipeline, error: Exception) -> None:
        if self._stop.is_set() or pipeline.name in self._forgotten:
            return
        if not isinstance(error, DdpmError):
            structlog.get_logger().error("a pipeline could not be prepared", pipeline=pipeline.name, exc_info=error)
        with self._changed:
            self._errors[pipeline.name] = error
            self._changed.notify_all()
        if len(self._pipelines) > 1:
            state = State.RECOVERING if passes(error) else State.FAILED
            self._supervisor.unprepared(pipeline.name, state, self._said(pipeline.name, error))


def passes(error: BaseException) -> bool:
    """Whether what went wrong may pass by itself."""
    return not isinstance(error, DdpmError) or error.retryable


def placed(error: BaseException, name: str) -> str:
    """What went wrong with one of several pipelines, behind the place in the configuration that it is about."""
    if not isinstance(error, DdpmError):
        return f"pipelines.{name}: {error}"
    message = _PATH.sub(rf"pipelines.{name}.\1", error.message)
    place = f"pipelines.{name}"
    if place in message:
        return message
    about = _PATH.search(error.hint or "")
    return f"{place}.{about[1]}: {message}" if about else f"{place}: {message}"


def _all_of(said: Sequence[str], lasting: Sequence[BaseException]) -> BaseException:
    first = lasting[0]
    if not isinstance(first, DdpmError):
        return first
    kind = ConfigError if first.exit_code is ExitCode.CONFIG else MissingToolError
    return kind("\n".join(dict.fromkeys(said)), hint=first.hint)
