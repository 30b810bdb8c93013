"""Health has no blind spot: where rows are missing, or are not this pipeline's, it is not 200 and says so."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx2 as httpx

from harness.mutants import Mutate
from harness.process import Ddpm
from harness.process import ddpm as command
from harness.waiting import eventually
from harness.world import World, json_records

NUMBERED = {"columns": {"n": "integer"}}
# The audit's own patience, with room for a machine that is busy.
TOLD_WITHIN = 120.0


def audited(ddpm: Ddpm) -> dict[str, int]:
    """What the API says of the audit, over all partitions."""
    answer = httpx.get(f"{ddpm.url}/v1/pipelines/pipeline", timeout=10, trust_env=False).json()
    sums: dict[str, int] = {}
    for partition in answer["partitions"] or ():
        for name, value in (partition["audit"] or {}).items():
            sums[name] = sums.get(name, 0) + value
    return sums


def explained(sums: dict[str, int]) -> dict[str, int] | None:
    """The sums, once every document that was not filtered has become something."""
    became = sum(sums.get(name, 0) for name in ("rows", "redelivered", "unexpected", "dead"))
    return sums if sums.get("filtered") and sums["documents"] - sums["filtered"] == became else None


def gaps(ddpm: Ddpm) -> dict[str, int]:
    """`ddpm_audit_gap_records` of each partition."""
    lines = re.findall(r'^ddpm_audit_gap_records\{.*partition="(\d+)".*\} (\d+)', ddpm.metrics(), re.MULTILINE)
    return {partition: int(records) for partition, records in lines}


def culprits(ddpm: Ddpm) -> str:
    code, body = ddpm.health()
    return "" if code == 200 else " ".join(body["culprits"])


@contextmanager
def trickle(world: World, count: int = 1) -> Iterator[Any]:
    """Returns what writes the next few records, each time it is called."""
    written = 0

    def more() -> None:
        nonlocal written
        world.produce(json_records([{"n": written + number} for number in range(count)], world.partitions))
        written += count

    yield more


def test_rows_that_a_trigger_swallows_are_told_and_come_in_when_it_is_gone(world: World, tmp_path: Path) -> None:
    with Ddpm(world.config(postgres=NUMBERED), tmp_path) as ddpm:
        ddpm.wait_healthy()
        world.execute(
            f"create function swallow_{world.tag}() returns trigger language plpgsql as "
            "$$begin if new.n % 10 = 3 then return null; end if; return new; end$$",
            f'create trigger swallow before insert on "{world.table}" '
            f"for each row execute function swallow_{world.tag}()",
        )
        world.produce(json_records([{"n": number} for number in range(1000)]))
        eventually(lambda: "a trigger of the table" in culprits(ddpm), "the trigger is told", TOLD_WITHIN)
        world.execute(f'drop trigger swallow on "{world.table}"')
        world.wait_consumed()
        assert world.count() == 1000
        eventually(lambda: ddpm.health()[0] == 200 and audited(ddpm).get("rows") == 1000, "all is there", TOLD_WITHIN)
        assert set(gaps(ddpm).values()) == {0}
        assert ddpm.stop() == 0


def test_rows_that_the_engine_loses_are_told_until_a_person_asks_for_a_restart(
    world: World, mutate: Mutate, tmp_path: Path
) -> None:
    # Of partition 1 every tenth record is acknowledged, and written nowhere.
    reads = "\tdoc, refused := e.read(s, rows, index, o)\n"
    loses = "\tif o.Partition == 1 && o.Offset%10 == 3 {\n\t\treturn nil\n\t}\n"
    careless = replace(world, engine=mutate(("internal/sinks/postgrescopy/encode.go", reads, loses + reads)))
    with Ddpm(careless.config(postgres=NUMBERED), tmp_path) as ddpm:
        ddpm.wait_healthy()
        command_line = partial(command, cwd=tmp_path, env={"DDPM_URL": ddpm.url})
        world.produce(json_records([{"n": number} for number in range(3000)], world.partitions))
        world.wait_consumed()
        assert (world.count(), world.dead()) == (2900, [])

        lost = re.compile(r"at least (\d+) documents of (\S+) are committed, and neither rows nor dead letters")
        found = eventually(lambda: lost.search(culprits(ddpm)), "the loss is told", TOLD_WITHIN)
        assert found[2] == f"{world.topic}/1"
        assert 1 <= int(found[1]) <= 100
        assert ddpm.health()[0] == 503
        assert "other partitions" not in culprits(ddpm)
        eventually(lambda: gaps(ddpm) == {"0": 0, "1": 100, "2": 0}, "the metric counts all of them", TOLD_WITHIN)
        assert audited(ddpm)["missing"] == 100
        assert "degraded" in command_line("status").stdout
        events = [json.loads(line) for line in command_line("events", "--json").stdout.splitlines()]
        (alarm,) = [event["message"] for event in events if event["kind"] == "alarm"]
        assert found[0] in alarm
        assert world.lag() == 0

        assert command_line("restart").stdout.startswith("pipeline is running")
        eventually(lambda: ddpm.health()[0] == 200, "what a person has seen is no trouble any more", TOLD_WITHIN)
        assert set(gaps(ddpm).values()) == {0}
        assert (world.lag(), world.count()) == (0, 2900), "what was lost is not read again"
        assert ddpm.stop() == 0


def test_two_pipelines_that_write_one_table_are_told(world: World, tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    other = world.config(postgres=NUMBERED, kafka={"consumer_group": f"{world.group}-other"})
    with Ddpm(world.config(postgres=NUMBERED), folders[0]) as first:
        first.wait_healthy()
        with Ddpm(other, folders[1]) as second, trickle(world) as more:
            second.wait_healthy()

            def told() -> bool:
                more()
                return any("were not written, because the table has rows" in culprits(each) for each in (first, second))

            eventually(told, "one of them says that the other's rows stand for its own", TOLD_WITHIN)
            assert second.stop() == 0
        assert first.stop() == 0


def test_what_is_explained_is_counted_and_no_alarm(world: World, tmp_path: Path) -> None:
    """Filters, poison, tombstones, many documents a record, two sinks, two replicas."""
    lines = [{"n": number} for number in range(3000)]
    packed = [b"\n".join(json.dumps(line).encode() for line in lines[at : at + 10]) for at in range(0, 3000, 10)]
    sections = {
        "source": {"parser": "ndjson"},
        "postgres": NUMBERED,
        "processors": [{"filter": "this.n % 3 != 0"}],
        "sinks": ["postgres", "stdout"],
        "fan_out": "together",
        "replicas": 2,
    }
    with Ddpm(world.config(**sections), tmp_path) as ddpm:
        ddpm.wait_healthy()
        records = [replace(record, value=packed[at]) for at, record in enumerate(json_records([{}] * len(packed)))]
        records += [replace(record, value=value) for value in (b"poison", None) for record in json_records([{}] * 3)]
        world.produce(records)
        world.wait_consumed()
        # Replicas that join while records flow make others read some again.
        sums = eventually(lambda: explained(audited(ddpm)), "what was read is what it became", TOLD_WITHIN)
        assert sums["rows"] == 2000
        assert (sums["unexpected"], sums["missing"]) == (0, 0)
        if not sums["redelivered"]:
            assert (sums["read"], sums["documents"], sums["filtered"], sums["dead"]) == (306, 3006, 1000, 6)
        assert culprits(ddpm) == ""
        assert ddpm.stop() == 0
