"""A table with a partition for each month, filled by the real engine."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2 as httpx
import yaml

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from ddpm.store.months import Month, partition_name
from harness.audit import Poison, Row, audit
from harness.process import Ddpm, ddpm
from harness.waiting import eventually
from harness.world import World

COLUMNS = {"n": "integer"}
PARTITION = {"column": "recorded_at", "past": 3, "ahead": 2}


def expected(record: RawRecord) -> Row | Poison:
    if record.value == b"poison":
        return Poison("not_json")
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return {"recorded_at": at, "n": json.loads(record.value or b"")["n"]}


def in_month(month: Month, count: int, first: int) -> list[Record]:
    start = int(month.start * 1000)
    return [Record(b'{"n": %d}' % n, timestamp=start + n, partition=n % 3) for n in range(first, first + count)]


def standing(world: World) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in world.rows("tableoid::regclass::text AS name"):
        counts[row["name"]] = counts.get(row["name"], 0) + 1
    return counts


def test_rows_stand_in_their_months_and_redelivery_changes_nothing(world: World, tmp_path: Path) -> None:
    present = Month.at(time.time())
    # Records of old would expire at once.
    world.create_topic(**{"message.timestamp.after.max.ms": str(2**63 - 1), "retention.ms": "-1"})
    wanted: dict[str, int] = {}
    for place, distance in enumerate((0, -1, -3, 2, -4, 3, -300)):
        month = present.plus(distance)
        world.produce(in_month(month, 100 + place, 1_000 * place))
        kept = -3 <= distance <= 2
        name = partition_name(world.table, month) if kept else f"{world.table}_default"
        wanted[name] = wanted.get(name, 0) + 100 + place
    world.produce([Record(b"poison", partition=0)])
    total = sum(wanted.values()) + 1
    for group in ("first", "second"):
        config = world.config(
            postgres={"columns": COLUMNS, "partition": PARTITION}, kafka={"consumer_group": f"{group}-{world.tag}"}
        )
        with Ddpm(config, tmp_path) as running:
            running.wait_healthy()
            eventually(lambda: read_by_engine(running) >= total, f"{total} records were read")
            assert running.stop() == 0
        assert standing(world) == wanted
    books = audit(world, expected, crashed=True)
    assert (books.rows, books.dead) == (total - 1, 1)


def read_by_engine(running: Ddpm) -> float:
    lines = [line for line in running.metrics().splitlines() if line.startswith("ddpm_engine_input_records_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_a_month_that_is_missing_is_made_while_records_come_in(world: World, tmp_path: Path) -> None:
    present = Month.at(time.time())
    missing = partition_name(world.table, present.plus(1))
    world.create_topic(**{"message.timestamp.after.max.ms": str(2**63 - 1)})
    config = world.config(postgres={"columns": COLUMNS, "partition": PARTITION | {"retention": 3}})
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        old = present.plus(-9)
        world.execute(
            f'drop table "{missing}"',
            f'create table "{partition_name(world.table, old)}" partition of "{world.table}" '
            f"for values from ('{old.text}') to ('{old.plus(1).text}')",
        )
        produced = 0
        while running.log.count(f'"partition": "{missing}"') < 2:  # it was made at the start as well
            world.produce(in_month(present.plus(1), 500, produced))
            produced += 500
            assert produced < 500_000, running.log
        world.produce(in_month(present.plus(1), 500, produced))
        world.wait_consumed()
        assert standing(world) == {missing: produced + 500}
        assert told(running, f"the month {missing} was made, with ")
        assert told(running, f"the month {partition_name(world.table, old)} was dropped")
        assert running.stop() == 0
    assert audit(world, expected).dead == 0


def test_a_window_is_read_again_into_its_months(world: World, tmp_path: Path) -> None:
    world.create_topic()
    begin_ms = (int(time.time()) - 3_600) * 1_000
    world.produce(Record(b'{"n": %d}' % n, partition=n % 3, timestamp=begin_ms + n * 1_000) for n in range(60))

    def config(group: str, factor: int) -> dict[str, Any]:
        steps = [{"mapping": f"root.n = this.n * {factor}"}]
        kafka = {"consumer_group": f"{group}-{world.tag}"}
        return world.config(postgres={"columns": COLUMNS, "partition": PARTITION}, processors=steps, kafka=kafka)

    for group, factor in (("first", 2), ("second", 5)):
        with Ddpm(config(group, factor), tmp_path) as running:
            running.wait_healthy()
            eventually(lambda: read_by_engine(running) >= 60, "all was read")
            assert running.stop() == 0
        if group == "first":
            (tmp_path / "app-config.yaml").write_text(yaml.safe_dump(config(group, 3)))
            since, until = (f"{datetime.fromtimestamp(begin_ms / 1000 + n, UTC):%Y-%m-%dT%H:%M:%SZ}" for n in (20, 40))
            replayed = ddpm(
                "replay", "--from", since, "--to", until, "--yes", "--config", "app-config.yaml", cwd=tmp_path
            )
            assert replayed.returncode == 0, replayed.stderr
        # What the second group reads again is in the table already, replaced or not.
        wanted = [n * 3 if 20 <= n < 40 else n * 2 for n in range(60)]
        assert sorted(row["n"] for row in world.rows()) == sorted(wanted)


def told(running: Ddpm, text: str) -> bool:
    """Whether an event says so; those that were before come first."""
    with httpx.stream("GET", f"{running.url}/v1/events", trust_env=False, timeout=10) as answer:
        return any(text in line for line in answer.iter_lines())


def test_a_table_that_is_not_partitioned_yet_is_named_before_anything_runs(world: World, tmp_path: Path) -> None:
    world.execute(
        f'create table "{world.table}" (source int, partition int, "offset" bigint, n int, '
        'primary key (source, partition, "offset"))'
    )
    path = tmp_path / "app-config.yaml"
    path.write_text(yaml.safe_dump(world.config(postgres={"columns": COLUMNS, "partition": PARTITION})))
    ended = ddpm("run", "--config", str(path), cwd=tmp_path)
    assert ended.returncode == 3
    assert "is a plain table" in ended.stderr
    assert "RENAME TO" in ended.stderr
