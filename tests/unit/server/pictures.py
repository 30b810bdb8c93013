"""Statuses of the tests' making, and a supervisor that has nothing but them."""

from dataclasses import replace
from typing import Any

from ddpm.config.model import Privacy
from ddpm.deadletters.replay import Reinject
from ddpm.deadletters.service import DeadLetterService
from ddpm.observability.recent import RecentLog
from ddpm.privacy import PrivacyFilter
from ddpm.server.api import Sources
from ddpm.server.views import DeadLetterView, Description, ProcessorView, SinkView, SourceView
from ddpm.supervisor.events import EventLog
from ddpm.supervisor.pipeline import Vitals
from ddpm.supervisor.states import DesiredState, State
from ddpm.supervisor.status import (
    Exit,
    History,
    OpenLetters,
    PartitionStatus,
    Probe,
    Rates,
    ReplicaStatus,
    Scaling,
    Status,
    Totals,
    Trouble,
)
from unit.deadletters.letters import FakeStore, letter

ORDERS = Status(
    name="orders",
    state=State.RUNNING,
    reason="input and outputs are connected",
    since=1_700_000_000.0,
    wish=DesiredState.RUN,
    restarts=2,
    next_retry=None,
    last_error=Trouble(1_700_000_000.0, "engine exited with code 1"),
    last_exit=Exit(0, 1_700_000_000.0, None, "SIGKILL", "engine was ended by signal 9", ("error: oh",), "abc"),
    config_hash="abc",
    scaling=Scaling(1, 1, 3, "lag", "lag 0 s, target 30 s"),
    replicas=(
        ReplicaStatus(0, State.RUNNING, "connected", 1_700_000_000.0, 2, True, 41, None, "http://127.0.0.1:5001", None),
    ),
    probes=(
        Probe("engine 0", "engine", True, "", 1_700_000_000.0),
        Probe("kafka", "broker", True, "", 1_700_000_000.0),
        Probe("postgres", "sink", True, "", None),
    ),
    partitions=(PartitionStatus("orders", 0, 10, 12, 2, 0.5), PartitionStatus("orders", 1, None, 3, 3, 1.5)),
    rates=Rates(5.0, 4.0, 1.0),
    totals=Totals(50, 40, 10, 0),
    history=History(5.0, (0.0, 5.0), (1.0, 4.0), (0.0, 1.0)),
    dead_letters=OpenLetters(2, 1_763_000_000.0, 1, 0, 3),
)
RETURNS = replace(ORDERS, name="returns", restarts=0, last_error=None, last_exit=None, partitions=None)

DESCRIPTION = Description(
    source=SourceView(parser="json", brokers=("localhost:9092",), topics=("orders",), consumer_group="orders"),
    processors=(ProcessorView(kind="mapping"),),
    sinks=(SinkView(kind="postgres", name="orders"),),
    dead_letter=DeadLetterView(topic="failed-messages"),
    config="input: {}",
)


SEES_ALL = PrivacyFilter(Privacy())


class FakeSupervisor:
    """Takes requests as a supervisor does, and remembers them."""

    def __init__(self, *statuses: Status) -> None:
        self.pictures = {status.name: status for status in statuses}
        self.events = EventLog()
        self.alive = True
        self.draining = False
        self.config_changed: str | None = None
        self.asked: list[tuple[Any, ...]] = []

    def statuses(self) -> tuple[Status, ...]:
        return tuple(self.pictures.values())

    def status(self, name: str) -> Status:
        return self.pictures[name]

    def vitals(self, _name: str) -> Vitals:
        return Vitals((), (), True, 0.0)

    def __getattr__(self, request: str) -> Any:
        if request not in ("restart", "pause", "resume", "drain_one", "scale"):
            raise AttributeError(request)
        return lambda *arguments: self.asked.append((request, *arguments))


def dead_letter_service(
    store: FakeStore, *pipelines: str, reinject: Reinject = lambda letters, _told: None
) -> DeadLetterService:
    """The dead letters of pipelines on one pretended store; `reinject` takes those that are replayed."""
    service = DeadLetterService()
    stores = dict.fromkeys(pipelines, store)
    service.open(stores, dict.fromkeys(pipelines, reinject), dict.fromkeys(pipelines, SEES_ALL))  # type: ignore[arg-type]
    return service


def sources(supervisor: FakeSupervisor, *, closing: bool = False, letters: DeadLetterService | None = None) -> Sources:
    """Where an application has its answers from, with nothing real behind it."""
    about = dict.fromkeys(supervisor.pictures, DESCRIPTION)
    store = FakeStore(letter(0, pipeline="orders"), letter(1, pipeline="orders"))
    dead = letters or dead_letter_service(store, *supervisor.pictures)
    return Sources(supervisor, about, RecentLog(), lambda: closing, dead, lambda: supervisor.config_changed)  # type: ignore[arg-type]
