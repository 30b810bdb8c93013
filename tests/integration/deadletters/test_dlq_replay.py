"""`ddpm dlq replay` and the API's replay on real dead letters: what lands, what fails again, and what a kill leaves."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psycopg
import yaml

from ddpm.broker.dump import dump
from ddpm.broker.produce import Record
from harness.audit import headers
from harness.process import Ddpm, ddpm
from harness.waiting import eventually
from harness.world import World, json_records

# Nearly everything is poison here, and has to become a dead letter.
NO_BREAKER = {"breaker": "off"}
NUMBERED = {"columns": {"n": "integer"}}
MENDED = [{"mapping": 'root = this\nroot.n = this.n.string().trim_suffix("x").number()'}]


class Place:
    """A folder with a configuration, where commands are called."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder

    def run_over(self, records: list[Record], **sections: Any) -> None:
        """Run a pipeline over records, and end it."""
        self.world.create_topic()
        self.world.produce(records)
        with Ddpm(
            self.world.config(**({"postgres": NUMBERED, "dead_letter": NO_BREAKER} | sections)), self.folder
        ) as running:
            self.world.wait_consumed()
            assert running.stop() == 0

    def configure(self, **sections: Any) -> None:
        """Change the configuration."""
        config = self.world.config(**({"postgres": NUMBERED, "dead_letter": NO_BREAKER} | sections))
        (self.folder / "app-config.yaml").write_text(yaml.safe_dump(config))

    def dlq(self, *arguments: str, code: int = 0) -> str:
        done = ddpm("dlq", *arguments, "--config", "app-config.yaml", cwd=self.folder)
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def json(self, *arguments: str) -> Any:
        return json.loads(self.dlq(*arguments, "--json"))

    def open(self) -> int:
        found: int = self.json("list")[0]["open"]
        return found

    def rows(self) -> list[tuple[int, int, int]]:
        """Partition, offset and number of every row."""
        return sorted((row["partition"], row["offset"], row["n"]) for row in self.world.rows())

    def sources(self) -> set[int]:
        return {row["source"] for row in self.world.rows()}


def numbered(*numbers: object) -> list[Record]:
    return json_records([{"n": number} for number in numbers])


def test_what_a_mended_mapping_can_read_lands_once_under_its_own_identity(world: World, tmp_path: Path) -> None:
    place = Place(world, tmp_path)
    place.run_over(numbered(*range(20), *(f"{number}x" for number in range(20, 26))))
    assert len(place.rows()) == 20
    assert "6 dead letters of pipeline selected:" in place.dlq("replay", "--dry-run")
    assert place.open() == 6

    place.configure(processors=MENDED)
    assert place.dlq("replay", "--yes") == "6 dead letters of pipeline replayed: 6 landed, 0 failed again\n"
    wanted = sorted(
        (record.partition, record.offset, int(str(json.loads(record.value or b"")["n"]).removesuffix("x")))
        for record in world.raw()
    )
    assert place.rows() == wanted
    assert len(place.sources()) == 1, "they belong to the same incarnation of the topic"
    assert place.open() == 0
    (told,) = place.json("list", "--all", "--letters")
    assert Counter(each["handled"]["deed"] for each in told["letters"]) == {"replayed": 6}
    assert "no open dead letter of pipeline is selected" in place.dlq("replay", "--yes")
    assert len(world.dead()) == 6, "no letter was written again"


def test_what_fails_again_is_the_next_attempt_until_it_is_refused(world: World, tmp_path: Path) -> None:
    place = Place(world, tmp_path)
    place.run_over([*numbered("1x", "2x"), Record(value=b"{", key=b"k", headers=(("h", b"1"), ("h", b"2")))])
    told = place.json("replay", "--yes", "--reason", "22P02")
    assert (told["replayed"], told["failed_again"]) == (0, 2)
    (found,) = place.json("list", "--letters")
    assert sorted((each["attempt"], each["code"]) for each in found["letters"]) == [
        (1, "not_json"),
        (2, "22P02"),
        (2, "22P02"),
    ]
    assert (found["open"], found["failed_again"]) == (3, 2)
    place.dlq("replay", "--yes")
    place.dlq("replay", "--yes", "--reason", "not_json")
    refused = place.dlq("replay", "--yes", code=1)
    assert "none of the selected dead letters of pipeline may be replayed" in refused
    assert "--force" in refused
    assert place.json("replay", "--yes", "--force")["failed_again"] == 3
    (found,) = place.json("list", "--letters")
    assert {each["attempt"] for each in found["letters"]} == {4}
    letter = next(each for each in found["letters"] if each["code"] == "not_json")
    whole = place.json("show", letter["id"])
    assert [(each["name"], each["value"]["text"]) for each in whole["headers"]] == [("h", "1"), ("h", "2")]
    assert whole["origin"]["source"] > 0
    assert len(world.rows()) == 0


def test_a_replay_that_is_killed_and_repeated_changes_nothing_twice(world: World, tmp_path: Path) -> None:
    place = Place(world, tmp_path)
    place.run_over(numbered(*(f"{number}x" if number % 3 else f"{number}y" for number in range(900))))
    assert place.open() == 900
    place.configure(processors=MENDED)
    command = [sys.executable, "-m", "ddpm", "dlq", "replay", "--yes", "--rate", "100", "--config", "app-config.yaml"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as killed:
        eventually(lambda: len(world.rows()) > 100, "it is on its way")
        killed.send_signal(signal.SIGKILL)
    landed = len(world.rows())
    assert 100 < landed < 600, "it was killed half-way"
    assert place.open() == 900, "nothing was marked before all was acknowledged"

    told = place.json("replay", "--yes")
    assert (told["replayed"], told["failed_again"]) == (600, 300)
    wanted = sorted(
        (record.partition, record.offset, int(number.removesuffix("x")))
        for record in world.raw()
        if not (number := json.loads(record.value or b"")["n"]).endswith("y")
    )
    assert place.rows() == wanted, "every row once"
    (found,) = place.json("list", "--letters", "--limit", "1000")
    assert (found["open"], len(found["letters"])) == (300, 300), "every letter once"
    origins = Counter((each["origin"]["partition"], each["origin"]["offset"]) for each in found["letters"])
    assert set(origins.values()) == {1}


def test_one_document_of_a_record_with_many_finds_its_place(world: World, tmp_path: Path) -> None:
    place = Place(world, tmp_path)
    many = Record(value=b'{"n": 1}\n{"n": "2x"}\n{"n": 3}\n{"n": "4x"}', partition=0)
    place.run_over([many], source={"parser": "ndjson"})
    assert sorted((row["index"], row["n"]) for row in world.rows()) == [(0, 1), (2, 3)]
    place.configure(source={"parser": "ndjson"}, processors=MENDED)
    assert place.dlq("replay", "--yes") == "2 dead letters of pipeline replayed: 2 landed, 0 failed again\n"
    assert sorted((row["index"], row["n"]) for row in world.rows()) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert place.open() == 0


def test_a_pipeline_without_a_table_remembers_its_replays_too(world: World, tmp_path: Path) -> None:
    place = Place(world, tmp_path)
    target = f"clean-{world.tag}"
    sinks = [{"kafka": {"topic": target}}]
    strict = [{"mapping": "root.n = this.n.number()"}]
    bad = Record(value=b'{"n": "7x"}', key=b"k", headers=(("trace", b"t"),), partition=1)
    place.run_over([*numbered(1, 2), bad], sinks=sinks, processors=strict)
    place.configure(sinks=sinks, processors=MENDED)
    assert place.json("replay", "--yes")["replayed"] == 1
    assert place.open() == 0
    written = list(dump([world.bootstrap], [target]))
    assert sorted(json.loads(record.value or b"")["n"] for record in written) == [1, 2, 7]
    (replayed,) = [record for record in written if record.key == b"k"]
    assert headers(replayed)["trace"] == b"t"


def test_a_replay_over_the_api_while_the_pipeline_runs(world: World, tmp_path: Path) -> None:
    world.execute(
        f'create table "{world.table}" (source int not null, partition int not null, "offset" bigint not null,'
        ' n integer constraint small check (n < 100), primary key (source, partition, "offset"))'
    )
    with Ddpm(world.config(postgres=NUMBERED), tmp_path) as running:
        running.wait_healthy()
        world.produce(numbered(*range(95, 105)))
        address = f"{running.url.removesuffix('/health')}/v1/pipelines/pipeline/dead-letters"

        def told() -> dict[str, Any]:
            found: dict[str, Any] = httpx.get(address, trust_env=False, timeout=30).json()
            return found

        eventually(lambda: told()["open"] == 5, "the letters are there")
        begun = httpx.post(f"{address}/replay", json={}, trust_env=False, timeout=30)
        assert begun.status_code == 202, begun.text
        ended = eventually(lambda: told()["replay"]["ended"] and told(), "it ends")
        assert (ended["replay"]["failed_again"], ended["open"]) == (5, 5), ended["replay"]
        world.execute(f'alter table "{world.table}" drop constraint small')
        httpx.post(f"{address}/replay", json={"reasons": ["23514"]}, trust_env=False, timeout=30)
        eventually(lambda: told()["replay"]["landed"] == 5, "they land")
        eventually(lambda: told()["open"] == 0, "none is open")
        assert sorted(row["n"] for row in world.rows()) == list(range(95, 105))
        assert running.stop() == 0


def test_a_ddpm_that_ends_while_a_replay_waits_leaves_the_letters_open(world: World, tmp_path: Path) -> None:
    with Ddpm(world.config(postgres=NUMBERED), tmp_path) as running:
        running.wait_healthy()
        world.produce(numbered("1x"))
        address = f"{running.url.removesuffix('/health')}/v1/pipelines/pipeline/dead-letters"

        def told() -> dict[str, Any]:
            found: dict[str, Any] = httpx.get(address, trust_env=False, timeout=30).json()
            return found

        eventually(lambda: told()["open"] == 1, "the letter is there")
        with psycopg.connect(world.dsn) as locking:
            locking.execute(f'lock table "{world.table}" in access exclusive mode')
            httpx.post(f"{address}/replay", json={}, trust_env=False, timeout=30)
            eventually(lambda: told()["replay"]["state"] == "running", "it has begun")
            assert running.stop() == 0
    place = Place(world, tmp_path)
    assert place.open() == 1
    assert place.json("replay", "--yes")["failed_again"] == 1
