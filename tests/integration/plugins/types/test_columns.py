"""What becomes of values in columns, through the whole of ddpm, and that `ddpm parse` says the same."""

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg import sql

from ddpm.broker.produce import Record
from harness.offline import ddpm
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World

DOCUMENT = {
    "note": "5",
    "any": "hello",
    "tags": ["a", None, 'say "hi"', ""],
    "marks": [[1, 2], [3, 4]],
    "parts": [{"a": 1}, "x"],
    "seen": 1_700_000_000_123,
    "ordered": "01.02.2026 10:00",
    "paid": True,
    "items": [{"sku": "s1"}],
    "user.name": "n",
}

# By column: its declaration, and the text that the row must have.
COLUMNS: dict[str, tuple[Any, str | None]] = {
    "note": ("jsonb", '"5"'),
    "any": ("json", '"hello"'),
    "tags": ("text[]", '{a,NULL,"say \\"hi\\"",""}'),
    "marks": ("int[2][2]", "{{1,2},{3,4}}"),
    "parts": ("jsonb[]", '{"{\\"a\\": 1}","\\"x\\""}'),
    "list": ({"type": "text", "from": "marks"}, "[[1,2],[3,4]]"),
    "seen": ({"type": "timestamptz", "format": "epoch_ms"}, "2023-11-14 22:13:20.123+00"),
    "ordered": ({"type": "timestamptz", "format": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"}, "2026-02-01 09:00:00+00"),
    "paid": ("text", "true"),
    "sku": ({"type": "text", "from": "items[0].sku"}, "s1"),
    "user.name": ("text", "n"),
    "typo": ({"type": "text", "from": "usr"}, None),
}
OF_THE_RECORD: dict[str, tuple[Any, str]] = {
    "key": ({"type": "text", "from": {"key": "text"}}, "K1"),
    "trace": ({"type": "text", "from": {"header": "traceparent"}}, "abc"),
    "mapped": ("text", "abc"),
    "at": ({"type": "timestamptz", "from": {"timestamp": True}}, "1970-01-01 00:00:05+00"),
    "o": ({"type": "bigint", "from": {"offset": True}}, "0"),
}


def test_values_are_what_was_sent_and_parse_says_the_same(world: World, tmp_path: Path) -> None:
    one = World(world.bootstrap, world.dsn, world.engine, partitions=1)
    columns = {name: declared for name, (declared, _) in (COLUMNS | OF_THE_RECORD).items()}
    config = one.config(
        postgres={"table": f'public."{one.table}.dotted"', "columns": columns},
        processors=[{"mapping": 'root = this\nroot.mapped = @traceparent | "none"'}],
    )
    payload = json.dumps(DOCUMENT).encode()
    record = Record(payload, key=b"K1", headers=(("traceparent", b"abc"),), timestamp=5_000)
    one.create_topic()
    one.produce([record] * 1_000)
    with Ddpm(config, tmp_path) as running:
        running.wait_healthy()
        one.wait_consumed()
        note = "the column typo is NULL in every row: no document has a value for it"
        eventually(lambda: note in json.dumps(running.health()[1]), "the note in the health")
        assert re.search(r'ddpm_engine_postgres_column_never_found\{.*column="typo".*\} 1', running.metrics())
        assert running.stop() == 0
        assert "its keys are any, items, mapped, marks" in running.log
    assert not one.dead()

    (tmp_path / "offline.yaml").write_text(yaml.safe_dump(config))
    told = ddpm("parse", "--json", "--config", "offline.yaml", "-", cwd=tmp_path, stdin=payload)
    (document,) = json.loads(told.stdout)["documents"]
    previewed = {cell["column"]: cell for cell in document["columns"]}
    target = sql.Identifier("public", f"{one.table}.dotted")
    with psycopg.connect(one.dsn) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, (_, wanted) in (COLUMNS | OF_THE_RECORD).items():
            stored = sql.SQL('SELECT {}::text FROM {} WHERE "offset" = 0').format(sql.Identifier(name), target)
            assert connection.execute(stored).fetchone() == (wanted,), name
        for name in COLUMNS:
            cell = previewed[name]
            same = sql.SQL("SELECT (%s::{})::text").format(sql.SQL(cell["type"]))
            assert connection.execute(same, [cell["value"]]).fetchone() == (COLUMNS[name][1],), name
