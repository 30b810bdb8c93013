"""What connects is given `kafka.cluster`: addresses alone would be spoken to in plain text."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src" / "ddpm"
ROOMS = ("broker", "cli", "deadletters", "orchestrator", "server", "supervisor")
# Shows them to people.
SHOWN = {"orchestrator/run/describe.py"}


@pytest.mark.parametrize("room", ROOMS)
def test_no_client_is_given_addresses_alone(room: str) -> None:
    found = set()
    for path in (SOURCE / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                # kafka.brokers, pipeline.kafka.brokers
                case ast.Attribute(value=ast.Name("kafka") | ast.Attribute(attr="kafka"), attr="brokers"):
                    found.add(path.relative_to(SOURCE).as_posix())
                # tuple(brokers), which forgets how they are spoken to
                case ast.Call(func=ast.Name("tuple" | "list"), args=[ast.Name("brokers")]):
                    found.add(path.relative_to(SOURCE).as_posix())
    assert found - SHOWN == set()
