"""A parser of one's own in Python: good records are rows, and whatever the function does costs its record alone."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from harness.audit import Outcome, Poison, audit
from harness.formats import Format, round_trip
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World

WILD = """\
import os, pathlib, time
from ddpm.plugins import Poison
from helper_of_wild import VALUES

print("loaded with", "DDPM_POSTGRES_DSN" in os.environ)
kept = []

def parse(payload, meta):
    print("seen at", meta.topic, meta.offset)
    match payload:
        case b"raise": raise ValueError("no good")
        case b"wrong": return {"id": 1}
        case b"crash": os.kill(os.getpid(), 11)
        case b"hang":
            pathlib.Path(__file__).with_name("hangs").touch()
            time.sleep(3600)
        case b"greedy": kept.append(bytearray(10**10))
        case b"rows": return [{"id": 1, "name": VALUES[0]}, {"id": "x"}, Poison("too old"), 5, {"id": 2}]
        case b"nothing": return []
    kept.append(bytearray(2_000_000))
    return ({"id": int(word), "name": meta.key.decode()} for word in payload.split())
"""
CODES = {
    b"raise": "plugin_failed",
    b"wrong": "plugin_wrong_type",
    b"crash": "plugin_crashed",
    b"hang": "plugin_timed_out",
    b"greedy": "plugin_out_of_memory",
}
COLUMNS = {"id": "bigint", "name": "text"}

PAIRS = """\
import json
from pydantic import BaseModel

class Parser:
    class Options(BaseModel):
        separator: str

    many = True

    def __init__(self, options):
        self.options = options

    def processors(self):
        words = f"content().string().split({json.dumps(self.options.separator)})"
        return [
            {"mapping": f'root = {words}.map_each(word -> {{"id": word.number()}})'},
            {"unarchive": {"format": "json_array"}},
        ]
"""


def expected(record: RawRecord) -> Outcome | list[Outcome]:
    value = record.value or b""
    if value in CODES:
        return Poison(CODES[value])
    if value == b"rows":
        refused: list[Outcome] = [Poison("22P02"), Poison("plugin_refused"), Poison("plugin_wrong_type")]
        return [{"id": 1, "name": "näme"}, *refused, {"id": 2, "name": None}]
    return [] if value == b"nothing" else [{"id": int(word), "name": "kéy"} for word in value.split()]


def sections(folder: Path, **workers: Any) -> dict[str, Any]:
    plugins = folder / "my parsers"
    plugins.mkdir()
    (plugins / "wild.py").write_text(WILD)
    (plugins / "helper_of_wild.py").write_text("VALUES = ['näme']\n")
    source = {"parser": "wild", "plugin_path": "my parsers", "workers": {"tries": 2, **workers}}
    return {"source": source, "postgres": {"columns": COLUMNS}}


def test_whatever_a_function_does_costs_its_record_alone(world: World, tmp_path: Path) -> None:
    values = [*(f"{number} {number + 2**60}".encode() for number in range(400)), b"rows", b"nothing", *CODES, b"7"]
    records = [Record(value=value, key="kéy".encode(), partition=index % 3) for index, value in enumerate(values)]
    sample = Format(sections(tmp_path, timeout="1s", memory="256MiB"), records, expected)
    books = round_trip(world, sample, tmp_path)
    assert (books.rows, books.dead) == (2 * 400 + 2 + 1, len(CODES) + 3)
    log = (tmp_path / "ddpm.log").read_text()
    assert "the plugin says: loaded with False" in log
    assert f"the plugin says: seen at {world.topic}" in log


def test_an_engine_killed_while_a_function_hangs_leaves_no_worker_and_loses_nothing(
    world: World, tmp_path: Path
) -> None:
    world.create_topic()
    world.produce([Record(value=value, key="kéy".encode(), partition=0) for value in (b"1", b"hang", b"2")])
    with Ddpm(world.config(**sections(tmp_path, timeout="4s", count=2)), tmp_path) as ddpm:
        eventually((tmp_path / "my parsers" / "hangs").exists, "the function hangs")
        workers = workers_of(ddpm.engine_pid)
        assert workers
        os.kill(ddpm.engine_pid, signal.SIGKILL)
        eventually(lambda: not any(worker.is_running() for worker in workers), "the workers have ended")
        world.wait_consumed()
        workers = workers_of(ddpm.engine_pid)
        assert workers
        assert ddpm.stop() == 0
        eventually(lambda: not any(worker.is_running() for worker in workers), "the workers have ended")
    books = audit(world, expected, crashed=True)
    assert (books.rows, books.dead) == (2, 1)


def test_records_that_hang_for_longer_than_a_stall_are_given_up_all_the_same(world: World, tmp_path: Path) -> None:
    world.create_topic()
    world.produce([Record(value=value, partition=0) for value in [b"hang"] * 9 + [b"7"]])
    config = world.config(**sections(tmp_path, timeout="1s", count=1), engine={"stall_timeout": "5s"})
    with Ddpm(config, tmp_path) as ddpm:
        reason = "parser: a record ends or holds up the plugin, and is tried again"
        eventually(lambda: reason in str(ddpm.health()), "the health names it")
        world.wait_consumed()
        ddpm.wait_healthy()
        assert ddpm.stop() == 0
        assert "stalled" not in ddpm.log
    assert (world.count(), len(world.dead())) == (1, 9)


def workers_of(engine: int) -> list[psutil.Process]:
    try:
        return psutil.Process(engine).children()
    except psutil.NoSuchProcess:
        return []


def test_a_class_gives_the_engine_its_processors(world: World, tmp_path: Path) -> None:
    (tmp_path / "splits.py").write_text(PAIRS)

    def wanted(record: RawRecord) -> Outcome | list[Outcome]:
        words = (record.value or b"").split(b"${HOME}")
        return Poison("processor_failed") if b"x" in words else [{"id": int(word)} for word in words]

    values = [*(f"{number}${{HOME}}{number + 1}".encode() for number in range(100)), b"x"]
    source = {"parser": "numbers", "plugin_path": "splits.py", "options": {"separator": "$${HOME}"}}
    sample = Format(
        {"source": source, "postgres": {"columns": {"id": "bigint"}}}, [Record(value=value) for value in values], wanted
    )
    books = round_trip(world, sample, tmp_path)
    assert (books.rows, books.dead) == (200, 1)
