"""`ddpm replay`: rows of a window are made again by a mended mapping, and nothing else of the table is touched."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource

from ddpm.broker.connection import admin
from ddpm.broker.produce import Record
from harness.offline import ddpm
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World

COLUMNS = {"n": "integer", "net": "integer"}
# One record a second, so that a window is easy to name; of today, or retention would take them.
BEGIN_MS = (int(time.time()) - 3_600) * 1_000
BUG = [{"mapping": "root = this\nroot.net = this.n * 2"}]
MENDED = [{"mapping": 'root = this\nroot.net = if this.n == 55 { throw("no") } else { this.n * 3 }'}]
COUNT = 120


def at(number: int) -> str:
    moment = BEGIN_MS // 1000 + number
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def configure(world: World, folder: Path, processors: list[dict[str, str]]) -> Path:
    path = folder / "app-config.yaml"
    path.write_text(yaml.safe_dump(world.config(postgres={"columns": COLUMNS}, processors=processors)))
    return path


def replay(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return ddpm("replay", *arguments, "--config", str(folder / "app-config.yaml"), cwd=folder)


def answer(ran: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    """A table that a buggy mapping has written, and a configuration in which it is mended."""
    world.create_topic()
    world.produce(
        Record(value=json.dumps({"n": n}).encode(), partition=n % 3, timestamp=BEGIN_MS + n * 1000)
        for n in range(COUNT)
    )
    with Ddpm(world.config(postgres={"columns": COLUMNS}, processors=BUG), tmp_path) as running:
        running.wait_healthy()
        world.wait_consumed()
        assert running.stop() == 0
    assert {row["n"]: row["net"] for row in world.rows("n, net")} == {n: n * 2 for n in range(COUNT)}
    configure(world, tmp_path, MENDED)
    return tmp_path


def nets(world: World) -> dict[int, int]:
    rows = world.rows("n, net")
    assert len(rows) == len({row["n"] for row in rows}), "a row is there twice"
    return {row["n"]: row["net"] for row in rows}


def expected(first: int, end: int) -> dict[int, int]:
    """What the table must hold when so much of it was made again; 55 is poison for the mended mapping."""
    return {n: n * 3 if first <= n < end else n * 2 for n in range(COUNT) if not (n == 55 and first <= n < end)}


def staging_tables(world: World) -> list[str]:
    return [
        row["name"]
        for row in world.rows("tablename as name", table="pg_tables")
        if row["name"].startswith(f"{world.table}__replay_")
    ]


def test_a_bug_in_a_mapping_is_mended_for_a_window(world: World, folder: Path) -> None:
    asked = answer(replay(folder, "--from", at(30), "--to", at(90), "--dry-run", "--json"))
    assert (asked["rows"], sum(each["end"] - each["first"] for each in asked["partitions"])) == (60, 60)
    assert nets(world) == expected(0, 0)

    done = answer(replay(folder, "--from", at(30), "--to", at(90), "--yes", "--json"))
    assert (done["deleted"], done["inserted"], done["vanished"]) == (60, 59, 1)
    assert done["staged"]["dead_letters"] == 1
    assert nets(world) == expected(30, 90)
    assert [json.loads(letter.value or b"") for letter in world.dead()] == [{"n": 55}]
    assert staging_tables(world) == []

    # Once more: the same rows, and the record that was dead already is not dead twice over.
    again = replay(folder, "--from", at(30), "--to", at(90), "--yes")
    assert "59 rows replaced by 59" in again.stdout
    assert nets(world) == expected(30, 90)


@pytest.fixture
def compacted(world: World, tmp_path: Path) -> Path:
    """A table with all records of a topic that keeps only the newest of each key by now."""
    world.create_topic()
    records = [
        Record(json.dumps({"n": n}).encode(), key=b"k" if n else b"first", partition=0, timestamp=BEGIN_MS + n * 1000)
        for n in range(COUNT)
    ]
    compaction = {"cleanup.policy": "compact", "segment.ms": "50", "min.cleanable.dirty.ratio": "0.01"}
    with Ddpm(world.config(postgres={"columns": COLUMNS}, processors=BUG), tmp_path) as running:
        running.wait_healthy()
        world.produce(records[:-1])
        world.wait_consumed()
        with admin([world.bootstrap]) as client:
            client.alter_configs([ConfigResource("TOPIC", world.topic, compaction)])
        world.produce(records[-1:])
        world.wait_consumed()
        assert running.stop() == 0
    eventually(lambda: len(world.raw()) <= COUNT // 2, "the topic is compacted", 90)
    return tmp_path


def test_rows_whose_records_kafka_has_no_more_stay_unless_somebody_asks_for_it(world: World, compacted: Path) -> None:
    before = nets(world)
    configure(world, compacted, MENDED)
    left = {int(json.loads(record.value or b"")["n"]) for record in world.raw()}
    gone = before.keys() - left
    assert min(left) == 0
    window = ("--from", at(0))
    asked = answer(replay(compacted, *window, "--dry-run", "--json"))
    assert (asked["rows"], asked["missing"]) == (len(left) + len(gone), len(gone))
    said = replay(compacted, *window, "--dry-run").stdout
    assert f"{len(left)} rows of the table would be replaced; {len(gone)} would stay" in said

    done = answer(replay(compacted, *window, "--yes", "--json"))
    assert (done["deleted"], done["inserted"], done["kept"]) == (len(left), len(left), len(gone))
    after = nets(world)
    assert after == before | {n: n * 3 for n in left}

    deleted = answer(replay(compacted, *window, "--delete-missing", "--yes", "--json"))
    assert (deleted["deleted"], deleted["inserted"], deleted["kept"]) == (len(left) + len(gone), len(left), 0)
    assert deleted["vanished"] == len(gone)
    assert nets(world) == {n: net for n, net in after.items() if n not in gone}


def test_the_two_steps_can_be_done_apart(world: World, folder: Path) -> None:
    staged = answer(replay(folder, "--from", at(0), "--to", at(50), "--skip-load", "--yes", "--json"))
    assert (staged["records"], staged["rows"]) == (50, 50)
    assert staging_tables(world) == [staged["table"]]
    assert nets(world) == expected(0, 0)

    done = replay(folder, "--skip-transform", "--runtag", staged["runtag"], "--yes")
    assert done.returncode == 0, done.stderr
    assert "50 rows replaced by 50" in done.stdout
    assert nets(world) == expected(0, 50)
    assert staging_tables(world) == []
    once_more = replay(folder, "--skip-transform", "--runtag", staged["runtag"], "--yes")
    assert (once_more.returncode, "was loaded already" in once_more.stderr) == (2, True)


def test_a_window_that_kafka_does_not_keep_any_more_is_refused(world: World, folder: Path) -> None:
    admin = KafkaAdminClient(bootstrap_servers=world.bootstrap)
    admin.delete_records({TopicPartition(world.topic, 1): 20})
    admin.close()
    refused = replay(folder, "--from", at(0), "--to", at(90), "--yes")
    assert refused.returncode == 2
    assert f"{world.topic}, partition 1: keeps records since {at(61)}" in refused.stderr
    assert f"--from {at(61)}" in refused.stderr
    assert nets(world) == expected(0, 0)
    assert replay(folder, "--from", at(61), "--to", at(90), "--yes").returncode == 0
    assert nets(world) == expected(61, 90)


def test_a_replay_that_is_killed_is_repeated(world: World, folder: Path) -> None:
    slow = [*MENDED, {"mapping": "root = this"}]
    configure(world, folder, slow)
    template = Path(__file__).parents[3] / "pipelines" / "benthos" / "pipeline.yaml"
    sleep = '{"sleep": {"duration": "0.1s"}}'
    steps = f'{{{{ {{"threads": 1, "processors": origin + [{sleep}] + parser + processors}} | yaml(2) }}}}'
    (folder / "slow.yaml").write_text(template.read_text().replace("{{ pipeline | yaml(2) }}", steps))
    config = world.config(
        postgres={"columns": COLUMNS},
        processors=slow,
        pipeline_template=str(folder / "slow.yaml"),
        batching={"count": 5},
    )
    (folder / "app-config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "ddpm", "replay", "--from", at(0), "--to", at(COUNT), "--yes"]
    half_way = subprocess.Popen(
        [*command, "--config", str(folder / "app-config.yaml")], cwd=folder, stderr=subprocess.DEVNULL
    )
    eventually(lambda: _staged_rows(world) > 10, "rows are staged")
    os.kill(half_way.pid, signal.SIGKILL)
    half_way.wait()
    assert nets(world) == expected(0, 0)

    configure(world, folder, MENDED)
    repeated = replay(folder, "--from", at(0), "--to", at(COUNT), "--yes")
    assert repeated.returncode == 0, repeated.stderr
    assert nets(world) == expected(0, COUNT)
    assert staging_tables(world) == []


def _staged_rows(world: World) -> int:
    return sum(len(world.rows("n", table=name)) for name in staging_tables(world))


def test_what_makes_no_sense_is_refused_with_a_way_out(world: World, folder: Path) -> None:
    for arguments, said in {
        (): "the window has no beginning",
        ("--from", "soon"): '"soon" is not a time',
        ("--from", at(90), "--to", at(30), "--yes"): "which is not after its beginning",
        ("--skip-transform",): "--skip-transform needs --runtag TAG",
        ("--skip-transform", "--runtag", "nope", "--yes"): 'has no replay "nope"',
        ("--from", at(0)): "there is no terminal on which to confirm this",
    }.items():
        ran = replay(folder, *arguments)
        assert ran.returncode == 2, arguments
        assert said in ran.stderr
    assert nets(world) == expected(0, 0)
