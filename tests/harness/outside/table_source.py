"""Rows of a table in SQLite become records: each run sends what was added since the last one.

python table_source.py DATABASE CONFIGURATION
"""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path


def main(database: Path, configuration: Path) -> None:
    position = database.with_suffix(".position")
    last = int(position.read_text()) if position.exists() else 0
    with sqlite3.connect(database) as connection:
        found = connection.execute("SELECT id, customer, total FROM orders WHERE id > ? ORDER BY id", [last])
        rows = [dict(zip(("id", "customer", "total"), row, strict=True)) for row in found]
    if not rows:
        return
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    # It ends with 0 when Kafka has acknowledged every record. Records of one customer keep their order.
    produce = [sys.executable, "-m", "ddpm", "produce", "--config", str(configuration), "--key", "customer"]
    subprocess.run(produce, input=lines, text=True, check=True)
    # In this order: a crash in between sends these rows once more, and loses none.
    position.write_text(str(rows[-1]["id"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
