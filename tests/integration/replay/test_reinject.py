"""An engine that is fed records: they end where they would have ended when they were consumed."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from ddpm.components.parsers import OPTIONS
from ddpm.components.registry import pipeline_type
from ddpm.config import load
from ddpm.errors import ConfigError, EngineError
from ddpm.orchestrator.prepare import default_template
from ddpm.orchestrator.provisioning.provision import provision
from ddpm.orchestrator.redrive.reinject import Fed, FedRecord, Feeding, reinject
from harness.audit import Poison, Row, audit, headers
from harness.waiting import eventually
from harness.world import World, json_records

NUMBERED = {"columns": {"n": "integer"}}
EVIL_HEADERS = (("kafka_offset", b"0"), ("tag", b"\xff"), ("tag", b"second"))


def expected(record: RawRecord) -> Row | Poison:
    try:
        document = json.loads(record.value or b"")
    except ValueError:
        return Poison()
    return document if isinstance(document["n"], int) else Poison("22P02")


def feeding(world: World, folder: Path, **sections: Any) -> Feeding:
    path = folder / "app-config.yaml"
    path.write_text(yaml.safe_dump(world.config(**sections)))
    config = load(path, os.environ, model=pipeline_type(), parsers=OPTIONS).config
    (pipeline,) = config.pipelines
    return Feeding(config, pipeline, world.engine, provision(pipeline).sources)


def fed(records: list[RawRecord]) -> Iterator[FedRecord]:
    return (FedRecord(record) for record in records)


def engines_of(world: World) -> list[psutil.Process]:
    """Engines that this test started: tests of other files may feed some of their own at the same time."""
    return [each for each in psutil.Process().children(recursive=True) if runs(each, str(world.engine))]


def runs(process: psutil.Process, binary: str) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):  # it ended between the two questions
        return process.cmdline()[:1] == [binary]
    return False


def test_fed_records_end_where_consumed_ones_do_and_once(world: World, tmp_path: Path) -> None:
    at = feeding(world, tmp_path, postgres=NUMBERED)
    odd = [
        Record(value=b"\xff\x00", key=b"k\xfe", headers=EVIL_HEADERS, partition=0),
        Record(value=None, key=b"k", partition=1),
        Record(value=b"", partition=2, timestamp=0),
        Record(value=b'{"n": "x"}', partition=2),
    ]
    world.produce([*json_records([{"n": number} for number in range(5000)]), *odd])
    told: list[Fed] = []
    ended = reinject(at, fed(world.raw()), told.append)
    assert ended == Fed(fed=5004, acknowledged=5004, rows=5000, dead_letters=4)
    assert told[-1] == ended
    books = audit(world, expected)
    assert (books.rows, books.dead) == (5000, 4)
    poison = next(letter for letter in world.dead() if letter.value == b"\xff\x00")
    assert headers(poison)["tag"] == b"second"
    assert "ddpm.errors.attempt" not in headers(poison)

    again = reinject(at, fed(world.raw()))
    assert (again.rows, again.duplicates) == (0, 5000)
    assert audit(world, expected, crashed=True).rows == 5000
    assert engines_of(world) == []


def test_a_record_of_an_earlier_incarnation_keeps_its_source_and_its_attempt(world: World, tmp_path: Path) -> None:
    at = feeding(world, tmp_path, postgres=NUMBERED)
    world.produce([Record(value=b'{"n": 1}', partition=0), Record(value=b"poison", partition=0)])
    records = [FedRecord(record, source=4711, attempt=3) for record in world.raw()]
    assert reinject(at, records).dead_letters == 1
    assert [row["source"] for row in world.rows()] == [4711]
    (letter,) = world.dead()
    assert headers(letter)["ddpm.errors.attempt"] == b"3"
    assert headers(letter)["ddpm.errors.source"] == b"4711"


def test_a_rate_is_kept(world: World, tmp_path: Path) -> None:
    at = feeding(world, tmp_path, postgres=NUMBERED)
    world.produce(json_records([{"n": number} for number in range(30)]))
    told: list[Fed] = []
    assert reinject(at, fed(world.raw()), told.append, rate=10).rows == 30
    assert any(0 < each.rows < 30 for each in told), "records do not wait for a full buffer"


def test_what_goes_wrong_while_records_are_taken_ends_the_engine(world: World, tmp_path: Path) -> None:
    at = feeding(world, tmp_path, postgres=NUMBERED)
    world.produce(json_records([{"n": number} for number in range(10)]))

    def broken() -> Iterator[FedRecord]:
        yield from fed(world.raw())
        raise EngineError("enough")

    with pytest.raises(EngineError, match="enough"):
        reinject(at, broken())
    assert engines_of(world) == []


def test_an_engine_that_is_killed_is_told(world: World, tmp_path: Path) -> None:
    at = feeding(world, tmp_path, postgres=NUMBERED)
    world.produce(json_records([{"n": number} for number in range(10)]))

    def killing() -> Iterator[FedRecord]:
        yield from fed(world.raw())
        for engine in eventually(lambda: engines_of(world), "the engine runs"):
            engine.kill()

    with pytest.raises(EngineError, match="of 10 records were done"):
        reinject(at, killing())


def test_a_template_with_an_input_of_its_own_is_not_fed(world: World, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(
        default_template().read_text().replace("{{ input | yaml(2) }}", "generate: {mapping: 'root = 1'}")
    )
    at = feeding(world, tmp_path, postgres=NUMBERED, pipeline_template=str(template))
    with pytest.raises(ConfigError, match="has its own input"):
        reinject(at, [])
