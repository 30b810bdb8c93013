"""One round trip of a format: its sample records through the real ddpm, then the auditor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddpm.broker.produce import Record
from harness.audit import Books, Expected, audit
from harness.process import Ddpm
from harness.world import World

SAMPLES = Path(__file__).parents[2] / "cmd" / "engine" / "internal" / "formats" / "testdata"


@dataclass(frozen=True)
class Format:
    """A format as its test describes it.

    Attributes:
        sections: What its configuration says besides the world's addresses.
        records: Sample records, poison among them.
        expected: What must become of a record.

    """

    sections: Mapping[str, Any]
    records: Sequence[Record]
    expected: Expected


def round_trip(world: World, sample: Format, folder: Path) -> Books:
    """Produce the sample, run ddpm until all of it is consumed, stop it, and audit."""
    world.create_topic()
    assert world.produce(sample.records) == len(sample.records)
    with Ddpm(world.config(**sample.sections), folder) as ddpm:
        ddpm.wait_healthy()
        world.wait_consumed()
        assert ddpm.stop() == 0
    return audit(world, sample.expected)
