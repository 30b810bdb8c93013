"""`ddpm trace`: what became of a record, whatever it was."""

import json
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, TopicPartition

from ddpm.broker.produce import Record
from harness.offline import ddpm
from harness.process import Ddpm
from harness.world import World

COLUMNS = {"n": "bigint", "note": "text"}
ROW, DEAD, FILTERED, WAITING = range(4)


def told(folder: Path, place: str) -> dict[str, Any]:
    ran = ddpm("trace", place, "--json", "--config", str(folder / "app-config.yaml"), cwd=folder)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    """A pipeline that has read three records of one partition and has stopped before the fourth."""
    world.create_topic()
    values = [{"n": 2**53 + 1, "note": "\x1b[31mred"}, {"n": "poison"}, {"n": 1, "drop": True}]
    world.produce(Record(value=json.dumps(value).encode(), partition=1) for value in values)
    config = world.config(
        postgres={"columns": COLUMNS}, processors=[{"filter": "this.drop != true"}, {"mapping": "root = this"}]
    )
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        world.wait_consumed()
        assert running.stop() == 0
    world.produce([Record(value=b'{"n": 2}', partition=1)])
    return tmp_path


def test_every_fate_is_told(world: World, folder: Path) -> None:
    row = told(folder, f"{world.topic}:1:{ROW}")
    assert row["fate"] == "stored"
    (found,) = row["rows"]
    assert found["present"]
    assert found["columns"] == {
        "source": str(found["source"]),
        "partition": "1",
        "offset": "0",
        "n": str(2**53 + 1),
        "note": "\x1b[31mred",
    }

    dead = told(folder, f"{world.topic}:1:{DEAD}")
    assert (dead["fate"], dead["letters"][0]["code"], dead["rows"]) == ("dead letter", "22P02", [])

    filtered = told(folder, f"{world.topic}:1:{FILTERED}")
    assert filtered["fate"] == "filtered"
    assert "processors of the pipeline drop it" in filtered["said"]

    waiting = told(folder, f"{world.topic}:1:{WAITING}")
    assert (waiting["fate"], waiting["committed"], waiting["end"]) == ("in flight", 3, 4)
    assert told(folder, f"{world.topic}:1:4")["fate"] == "never written"

    world.execute(f'delete from "{world.table}"')
    assert told(folder, f"{world.topic}:1:{ROW}")["fate"] == "missing"
    admin = KafkaAdminClient(bootstrap_servers=world.bootstrap)
    admin.delete_records({TopicPartition(world.topic, 1): 3})
    admin.close()
    assert told(folder, f"{world.topic}:1:{ROW}")["fate"] == "expired"
    assert told(folder, f"{world.topic}:1:{DEAD}")["fate"] == "dead letter"


def test_people_see_it_without_what_acts_on_a_terminal(world: World, folder: Path) -> None:
    config = str(folder / "app-config.yaml")
    shown = ddpm("trace", f"{world.topic}:1:{ROW}", "--config", config, cwd=folder).stdout
    assert f"{world.topic}:1:{ROW}: stored" in shown
    assert str(2**53 + 1) in shown
    assert "\x1b" not in shown
    shown = ddpm("trace", f"{world.topic}:1:{DEAD}", "--config", config, cwd=folder).stdout
    assert "sink/22P02" in shown
    assert "ddpm dlq show 0:0" in shown
    for place, said in {
        "orders": "write TOPIC:PARTITION:OFFSET",
        f"{world.topic}:9:0": "it has the partitions 0 to 2",
        "other:0:0": f"topics that are read: {world.topic}",
    }.items():
        ran = ddpm("trace", place, "--config", config, cwd=folder)
        assert ran.returncode == 2
        assert said in ran.stderr
