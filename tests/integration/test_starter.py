"""The starter of `ddpm init`: its cases pass, its sample records become the rows that one expects."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from ddpm.broker.produce import Record
from harness.process import Ddpm, ddpm
from harness.world import World


def test_the_sample_records_of_the_starter_become_rows(world: World, tmp_path: Path) -> None:
    assert ddpm("init", cwd=tmp_path).returncode == 0
    starter = yaml.safe_load((tmp_path / "app-config.yaml").read_text())["app"]
    columns, processors = starter["postgres"]["columns"], starter["processors"]
    lines = (tmp_path / "orders.ndjson").read_bytes().splitlines()
    config = world.config(postgres={"columns": columns}, processors=processors)
    world.create_topic()
    world.produce(Record(value=line, partition=0) for line in lines)
    (tmp_path / "run").mkdir()
    with Ddpm(config, tmp_path / "run") as running:
        running.wait_healthy()
        world.wait_consumed()
        shown = ddpm("rows", "2", "--json", "--config", str(running.config_path), cwd=tmp_path)
        table = ddpm("rows", "1", "--config", str(running.config_path), cwd=tmp_path)
        assert running.stop() == 0

    documents = [json.loads(line, parse_float=Decimal) for line in lines]
    good = [each for each in documents if each["status"] != "test" and each["total"] != "a lot"]
    rows = {row["id"]: row for row in world.rows()}
    assert sorted(rows) == [each["id"] for each in good]
    for each in good:
        row = rows[each["id"]]
        assert row["currency"] == each["currency"].upper()
        assert (row["customer"], row["city"]) == (each["customer"]["name"], each["customer"]["city"])
        assert (row["total"], row["status"]) == (Decimal(each["total"]), each["status"])
    (letter,) = world.dead()
    assert letter.value == next(line for line, each in zip(lines, documents, strict=True) if each["total"] == "a lot")

    assert [json.loads(line)["id"] for line in shown.stdout.splitlines()] == [1021, 1020]
    heading, line = table.stdout.splitlines()
    assert heading.split()[:3] == ["source", "partition", "offset"]
    assert set(heading.split()[3:]) == set(columns)
    assert "Dina Weiss" in line


@pytest.mark.usefixtures("engine_binary")
def test_the_cases_of_the_starter_pass(tmp_path: Path) -> None:
    assert ddpm("init", cwd=tmp_path).returncode == 0
    tested = ddpm("test", cwd=tmp_path)
    assert (tested.returncode, tested.stdout.splitlines()[-1]) == (0, "4 passed, 0 failed")
