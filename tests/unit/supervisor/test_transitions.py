"""Replicas change their states as the table says, whatever happens to them, and every line of it happens."""

import random
import re
from dataclasses import replace
from pathlib import Path

from ddpm.errors import ConfigError
from ddpm.supervisor.policy import ProbeView, Snapshot, decide
from ddpm.supervisor.replicas import TRANSITIONS, ReplicaSet
from ddpm.supervisor.states import DesiredState, State

DOCS = Path(__file__).parents[3] / "docs" / "operations.md"
WALKS, STEPS = 400, 60


class FakeEngine:
    """An engine that ends when it is told to, and when the dice say so."""

    pid, url, container = 1, "http://127.0.0.1:1", None

    def __init__(self) -> None:
        self.code: int | None = None
        self.deaf = False

    def exit_code(self) -> int | None:
        return self.code

    def trouble(self) -> str | None:
        return None

    def terminate(self) -> None:
        if not self.deaf:
            self.code = 0

    def kill(self) -> None:
        self.code = -9

    def ending(self) -> str | None:
        return None

    def last_lines(self) -> tuple[str, ...]:
        return ()


class Walk:
    """One pipeline of two replicas, to which one thing after the other happens."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.now = 0.0
        self.replicas = ReplicaSet(lambda: self.now)
        self.seen = Snapshot(DesiredState.RUN, False, 2, 5.0, (), (ProbeView("kafka", True, "", 0.0),))
        self.engines: list[FakeEngine] = []

    def launch(self, _: int) -> FakeEngine:
        match self.dice.randrange(8):
            case 0:
                raise ConfigError("no")
            case 1:
                raise OSError("the disk is full")
        self.engines.append(FakeEngine())
        return self.engines[-1]

    def happen(self) -> None:
        self.now += self.dice.choice((0.1, 1.0, 10.0, 400.0))
        engine = self.dice.choice(self.engines) if self.engines else FakeEngine()
        match self.dice.randrange(9):
            case 0:
                engine.code = self.dice.choice((0, 1, -11))
            case 1:
                engine.deaf = True
            case 2:
                self.seen = replace(self.seen, wish=self.dice.choice(list(DesiredState)))
            case 3:
                self.seen = replace(self.seen, kill_requested=not self.seen.kill_requested)
            case 4:
                self.seen = replace(self.seen, held=self.dice.choice((None, "the topic is made again")))
            case 5:
                self.seen = replace(self.seen, desired=self.dice.choice((1, 2)))
            case 6:
                self.replicas.restart("on request")
            case 7:
                self.replicas.retry_failed()
            case _:
                for replica in self.replicas.running():
                    replica.ready, replica.answered_at = True, self.now

    def tick(self) -> set[tuple[State, State]]:
        before = {each.index: each.state for each in self.replicas.in_order()}
        self.replicas.ended(external=False)
        views = tuple(each.view() for each in self.replicas.in_order())
        steps = decide(replace(self.seen, replicas=views), self.now)
        taken = set()
        for step in steps:
            self.replicas.carry_out(step, self.launch)
            after = next(each.state for each in self.replicas.in_order() if each.index == step.index)
            # A launch that fails for good passes through `starting`.
            for pair in ((before.get(step.index, step.state), step.state), (step.state, after)):
                taken |= {pair} if pair[0] is not pair[1] else set()
        return taken


def test_every_change_of_state_is_in_the_table_and_all_of_them_happen() -> None:
    dice = random.Random(4195)  # noqa: S311 -- the same walks each time
    taken: set[tuple[State, State]] = set()
    for _ in range(WALKS):
        walk = Walk(dice)
        for _ in range(STEPS):
            walk.happen()
            taken |= walk.tick()
    assert taken == {(before, after) for before, others in TRANSITIONS.items() for after in others}


def test_the_document_shows_the_table() -> None:
    shown = re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    table = {State(before): frozenset(map(State, re.findall(r"\w+", others))) for before, others in shown}
    assert table == TRANSITIONS
