"""A ddpm that is the real HTTP application with a supervisor of the tests' making, and the command line to ask it."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

from fastapi import FastAPI
from typer.testing import CliRunner, Result

from ddpm.cli.main import app
from ddpm.errors import DdpmError
from ddpm.observability.recent import RecentLog
from ddpm.server.app import create
from ddpm.server.guard import AccessPolicy
from ddpm.server.serve import listen, serving
from ddpm.supervisor.states import DesiredState, State
from ddpm.supervisor.status import ReplicaStatus, Status
from unit.server.pictures import FakeSupervisor, sources


class Obedient(FakeSupervisor):
    """Does at once what it is asked, each engine under a new process id."""

    pids = iter(range(100, 10_000))

    def pause(self, name: str) -> None:
        self.change(name, State.PAUSED, "paused on request", wish=DesiredState.PAUSE, replicas=())

    def drain_one(self, name: str) -> None:
        self.change(name, State.STOPPED, "drain requested", wish=DesiredState.STOP, replicas=())

    def resume(self, name: str) -> None:
        self._run(name)

    def restart(self, name: str, _reason: str) -> None:
        self._run(name)

    def scale(self, name: str, replicas: int | None) -> None:
        mode: Any = "lag" if replicas is None else "manual"
        scaling = replace(self.pictures[name].scaling, desired=replicas or 1, mode=mode)
        self.pictures[name] = replace(self.pictures[name], scaling=scaling)
        if self.pictures[name].wish is DesiredState.RUN:
            self._run(name)

    def change(self, name: str, state: State, reason: str, **fields: Any) -> None:
        self.pictures[name] = replace(self.pictures[name], state=state, reason=reason, **fields)
        self.events.add(name, "state", reason, state.value)

    def _run(self, name: str) -> None:
        self.change(
            name,
            State.RUNNING,
            "input and outputs are connected",
            wish=DesiredState.RUN,
            replicas=tuple(self._engine(index) for index in range(self.pictures[name].scaling.desired)),
        )

    def _engine(self, index: int) -> ReplicaStatus:
        return ReplicaStatus(
            index,
            State.RUNNING,
            "connected",
            1_700_000_000.0,
            0,
            True,
            next(self.pids),
            None,
            "http://127.0.0.1:5001",
            None,
        )


class Deaf(FakeSupervisor):
    """Takes every request and does nothing."""


@dataclass
class FakeDdpm:
    """A served application, and what is behind it."""

    url: str
    supervisor: FakeSupervisor
    lines: RecentLog = field(repr=False)


@contextmanager
def running(
    *statuses: Status, kind: Callable[..., FakeSupervisor] = Obedient, token: str | None = None, port: int = 0
) -> Iterator[FakeDdpm]:
    """Serve an application on a loopback port."""
    supervisor = kind(*statuses)
    closing = threading.Event()
    behind = replace(sources(supervisor), closing=closing.is_set)
    assert isinstance(behind.lines, RecentLog)
    with served(create(behind, tuple, AccessPolicy(token=token)), closing, port) as url:
        yield FakeDdpm(url, supervisor, behind.lines)


@contextmanager
def served(application: FastAPI, closing: threading.Event | None = None, port: int = 0) -> Iterator[str]:
    """Serve any application on a loopback port; yields its URL."""
    with listen("127.0.0.1", port) as listener, serving(application, listener, closing or threading.Event()) as url:
        yield url


def call(*arguments: str, **env: str) -> Result:
    """Run a command in this process, in an environment that names no ddpm but the one given.

    An error on purpose is the result's exception, as it reaches `main`.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DDPM_")}
    clean.pop("CONFIG_PATH", None)
    with mock.patch.dict(os.environ, clean | env, clear=True):
        return CliRunner().invoke(app, arguments)


def error_of(result: Result) -> DdpmError:
    """The error on purpose that a command ended with."""
    assert isinstance(result.exception, DdpmError), (result.exception, result.output)
    return result.exception
