"""The source of docs/writing-a-source.md on a real Kafka, and what becomes of its records."""

import sqlite3
import subprocess
import sys
from pathlib import Path

from harness import outside
from harness.process import Ddpm
from harness.world import World

SOURCE = Path(outside.__file__).parent / "table_source.py"
COLUMNS = {"columns": {"id": "bigint", "customer": "text", "total": "numeric"}}


def add(database: Path, *rows: tuple[int, str, float]) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, customer TEXT, total REAL)")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)


def send(database: Path, configuration: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SOURCE), str(database), str(configuration)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_rows_of_a_table_become_records_and_none_is_lost_when_kafka_is_away(world: World, tmp_path: Path) -> None:
    world.create_topic()
    database, configuration = tmp_path / "shop.db", tmp_path / "app-config.yaml"
    add(database, (1, "ann", 9.5), (2, "bob", 3))
    with Ddpm(world.config(postgres=COLUMNS), tmp_path) as running:
        running.wait_healthy()
        assert send(database, configuration).returncode == 0
        add(database, (3, "ann", 1.25))
        right = configuration.read_text()
        configuration.write_text(right.replace(world.bootstrap, "127.0.0.1:1"))
        assert send(database, configuration).returncode != 0
        configuration.write_text(right)
        assert send(database, configuration).returncode == 0
        assert send(database, configuration).returncode == 0
        world.wait_consumed()
        assert running.stop() == 0
    assert sorted((row["id"], row["customer"], str(row["total"])) for row in world.rows()) == [
        (1, "ann", "9.5"),
        (2, "bob", "3.0"),
        (3, "ann", "1.25"),
    ]
