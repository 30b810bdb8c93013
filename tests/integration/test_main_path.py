"""Records that try to be something else, and configurations beyond one table: what becomes of each."""

import json
import os
import signal
from pathlib import Path

import httpx2 as httpx
import pytest
import yaml

from ddpm.broker.dump import RawRecord, dump
from ddpm.broker.produce import Record
from ddpm.contract import Header
from harness.audit import Poison, Row, audit, headers
from harness.formats import Format, round_trip
from harness.process import Ddpm, ddpm
from harness.waiting import eventually
from harness.world import World, json_records

TOKEN = "a-token-that-nobody-may-see"
NUMBERED = {"columns": {"n": "integer"}}


def as_document(record: RawRecord) -> Row:
    document: Row = json.loads(record.value or b"")
    return document


def test_headers_cannot_forge_identity(world: World, tmp_path: Path) -> None:
    forged = (
        ("kafka_offset", b"0"),
        ("kafka_partition", b"7"),
        ("kafka_topic", b"other"),
        ("kafka_key", b"other"),
        ("__connect.errors.topic", b"other"),
        ("ddpm_key", b"other"),
        ("tag", b"first"),
        ("tag", b"second"),
    )
    values = [b'{"n": %d}' % number for number in range(20)] + [b"poison"] * 5
    records = [Record(value=value, key=b"mine", headers=forged, partition=0) for value in values]

    def expected(record: RawRecord) -> Row | Poison:
        return Poison("not_json") if record.value == b"poison" else as_document(record)

    books = round_trip(world, Format({"postgres": NUMBERED}, records, expected), tmp_path)
    assert (books.rows, books.dead) == (20, 5)
    letter = world.dead()[0]
    # The engine writes each header once; of one that was repeated the last value stays.
    assert headers(letter)["tag"] == b"second", "the record's own headers travel along"


def test_an_empty_key_is_not_a_missing_one(world: World, tmp_path: Path) -> None:
    keys = (b"", None, b"k")
    records = [Record(value=b"poison", key=key, partition=0) for key in keys]

    def expected(_: RawRecord) -> Row | Poison:
        return Poison("not_json")

    round_trip(world, Format({"postgres": NUMBERED}, records, expected), tmp_path)
    assert tuple(letter.key for letter in world.dead()) == keys


def test_a_mapping_can_change_neither_identity_nor_dead_letter(world: World, tmp_path: Path) -> None:
    mapping = 'meta = deleted()\nroot.n = this.n + 1000\nroot = if this.n == 3 { throw("no threes") }'
    records = json_records([{"n": number} for number in range(30)])

    def expected(record: RawRecord) -> Row | Poison:
        number = json.loads(record.value or b"")["n"]
        return Poison("processor_failed") if number == 3 else {"n": number + 1000}

    sample = Format({"postgres": NUMBERED, "processors": [{"mapping": mapping}]}, records, expected)
    books = round_trip(world, sample, tmp_path)
    assert books.dead == 1
    assert b"no threes" in headers(world.dead()[0])["__connect.errors.exception.message"]


def test_a_filter_keeps_what_its_condition_is_true_for(world: World, tmp_path: Path) -> None:
    world.create_topic()
    world.produce([*json_records([{"n": number} for number in range(30)]), Record(value=b"poison")])
    steps = [{"filter": "this.n % 2 == 0 # the even ones"}]
    with Ddpm(world.config(postgres=NUMBERED, processors=steps), tmp_path) as running:
        world.wait_consumed()
        assert running.stop() == 0
    assert sorted(row["n"] for row in world.rows()) == list(range(0, 30, 2))
    assert len(world.dead()) == 1


def test_a_unique_key_of_the_users_own_is_not_swallowed(world: World, tmp_path: Path) -> None:
    world.execute(
        f'create table "{world.table}" (source int not null, partition int not null, "offset" bigint not null,'
        ' n integer unique, primary key (source, partition, "offset"))'
    )
    records = [Record(value=b'{"n": %d}' % (number % 50), partition=0) for number in range(60)]
    seen: set[int] = set()

    def expected(record: RawRecord) -> Row | Poison:
        number = json.loads(record.value or b"")["n"]
        if number in seen:
            return Poison("23505")
        seen.add(number)
        return {"n": number}

    books = round_trip(world, Format({"postgres": NUMBERED}, records, expected), tmp_path)
    assert (books.rows, books.dead) == (50, 10)


def test_ten_thousand_levels_are_one_dead_letter_and_harm_nobody(world: World, tmp_path: Path) -> None:
    deep = b"[" * 10_000 + b"]" * 10_000
    values = [b'{"n": 1}', deep, b'{"n": 2}'] * 5
    sample = Format(
        {"postgres": NUMBERED},
        [Record(value=value, partition=0) for value in values],
        lambda record: Poison() if record.value == deep else as_document(record),
    )
    books = round_trip(world, sample, tmp_path)
    assert (books.rows, books.dead) == (10, 5)


def test_absurd_timestamps_are_no_poison(world: World, tmp_path: Path) -> None:
    times = [0, 1, 253_402_300_800_000, 9_000_000_000_000_000, 2**57 - 1]
    world.create_topic(**{"message.timestamp.after.max.ms": str(2**63 - 1)})
    world.produce([Record(value=b"{}", timestamp=moment, partition=0) for moment in times])
    with Ddpm(world.config(), tmp_path) as running:
        world.wait_consumed()
        assert running.stop() == 0
    assert world.dead() == []
    shown = {row["offset"]: row["timestamp"] for row in world.rows('"offset", "timestamp"::text')}
    assert shown[0].startswith("1970-01-01")
    assert shown[2].startswith("10000-01-01")
    assert shown[4] == "infinity"


@pytest.mark.parametrize("fan_out", ["separate", "together"])
def test_several_sinks_all_have_every_document(world: World, tmp_path: Path, fan_out: str) -> None:
    copy = f"copy-{world.tag}"
    world.create_topic()
    headers_sent = (("tag", b"mine"),)
    good = [Record(b'{"n": %d}' % number, key=b"k\xff%d" % number, headers=headers_sent) for number in range(100)]
    world.produce([*good, Record(value=b"poison")])
    sinks = ["postgres", {"kafka": {"topic": copy}}, "stdout"]
    names = ["postgres", "kafka", "stdout"] if fan_out == "separate" else []
    with Ddpm(world.config(postgres=NUMBERED, sinks=sinks, fan_out=fan_out), tmp_path) as running:
        world.wait_consumed(*names)
        assert running.stop() == 0
        printed = [json.loads(line)["n"] for line in running.out.splitlines()]
    copies = list(dump([world.bootstrap], [copy]))
    copied = [json.loads(record.value or b"")["n"] for record in copies]
    assert {record.key for record in copies} == {record.key for record in good}
    assert {record.headers for record in copies} == {headers_sent}
    assert sorted(row["n"] for row in world.rows()) == sorted(printed) == sorted(copied) == list(range(100))
    # Each has dead letters of its own; what none of them got together is one.
    letters = [dict(letter.headers) for letter in world.dead()]
    assert sorted(letter.get(Header.SINK) or b"" for letter in letters) == sorted(
        name.encode() for name in names or [""]
    )
    assert {letter[Header.PIPELINE] for letter in letters} == {b"pipeline"}


def test_a_second_run_reads_on_where_the_first_stopped(world: World, tmp_path: Path) -> None:
    world.create_topic()
    for begin in (0, 50):
        world.produce(json_records([{"n": number} for number in range(begin, begin + 50)]))
        with Ddpm(world.config(postgres=NUMBERED), tmp_path) as running:
            world.wait_consumed()
            assert running.stop() == 0
    assert audit(world, as_document).rows == 100


def test_a_group_that_was_reset_changes_nothing(world: World, tmp_path: Path) -> None:
    world.create_topic()
    world.produce(json_records([{"n": number} for number in range(500)]))
    for group in ("first", "second"):
        config = world.config(postgres=NUMBERED, kafka={"consumer_group": f"{group}-{world.tag}"})
        with Ddpm(config, tmp_path) as running:
            running.wait_healthy()
            eventually(lambda: read_by_engine(running) >= 500, "all was read")
            assert running.stop() == 0
    assert audit(world, as_document).rows == 500


def read_by_engine(running: Ddpm) -> float:
    lines = [line for line in running.metrics().splitlines() if line.startswith("ddpm_engine_input_records_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_two_pipelines_of_one_file_run_side_by_side(world: World, tmp_path: Path) -> None:
    config = world.config(postgres=NUMBERED)
    config["pipelines"] = {
        "all": {},
        "big": {
            "postgres": {"table": f"big_{world.tag}"},
            "processors": [{"filter": "this.n >= 90"}],
            "dead_letter": {"topic": f"dead-big-{world.tag}"},
        },
    }
    world.create_topic()
    world.produce(json_records([{"n": number} for number in range(100)]))
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        eventually(lambda: world.count() == 100, "the first table is filled")
        eventually(lambda: len(world.rows(table=f"big_{world.tag}")) == 10, "the second table is filled")
        names = {pipeline["name"] for pipeline in running.health()[1]["pipelines"]}
        assert names == {"all", "big"}
        assert running.stop() == 0


def test_integration_test_mode_stops_by_itself(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app-config.yaml"
    path.write_text(yaml.safe_dump(world.config(postgres=NUMBERED)))
    world.create_topic()
    world.produce(json_records([{"n": 1}]))
    env = {"INTEGRATION_TEST_MODE": "true", "INTEGRATION_TEST_TIMEOUT": "5", "CONFIG_PATH": str(path)}
    ended = ddpm("run", cwd=tmp_path, env=env)
    assert ended.returncode == 0, ended.stderr
    assert world.count() == 1


def test_a_second_signal_does_not_wait_for_the_drain(world: World, tmp_path: Path) -> None:
    world.create_topic()
    world.produce(json_records([{"n": 1}]))
    with Ddpm(world.config(postgres=NUMBERED), tmp_path) as running:
        running.wait_healthy()
        os.kill(running.engine_pid, signal.SIGSTOP)
        running.popen.send_signal(signal.SIGINT)
        eventually(lambda: "draining" in running.log, "it drains")
        assert running.stop(signal.SIGINT, timeout=15) == 130


def test_no_secret_is_in_any_file_or_log(world: World, tmp_path: Path) -> None:
    password = world.dsn.partition("://")[2].partition("@")[0].partition(":")[2]
    world.create_topic()
    world.produce([*json_records([{"n": 1}]), Record(value=b"poison")])
    config = world.config(postgres=NUMBERED, logger={"level": "TRACE"}, server={"token": TOKEN})
    with Ddpm(config, tmp_path) as running:
        world.wait_consumed()
        killed = running.engine_pid
        command = Path(f"/proc/{killed}/cmdline").read_bytes()
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: running.engine_pid != killed, "another engine runs")
        seen = [running.metrics(), json.dumps(running.health()[1]), command.decode()]
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        for path in ("pipelines", "pipelines/pipeline", "logs?lines=2000"):
            answer = httpx.get(f"{running.url}/v1/{path}", headers=bearer, trust_env=False)
            assert answer.is_success
            seen.append(answer.text)
        assert running.stop() == 0
    generated = tmp_path / ".ddpm" / "generated" / "pipeline.yaml"
    assert generated.stat().st_mode & 0o777 == 0o600
    letters = [str(letter.headers) for letter in world.dead()]
    state = (tmp_path / ".ddpm" / "state" / "pipeline.json").read_text()
    for text in (*seen, *letters, running.log, running.out, generated.read_text(), state):
        assert password not in text
        assert TOKEN not in text
