"""A table follows its configuration while records flow, at a start and by reload; nothing is lost, twice or dead."""

import json
from pathlib import Path
from typing import Any

import psycopg
import yaml

from ddpm.broker.produce import produce
from harness.audit import audit
from harness.process import Ddpm, ddpm
from harness.shop import Shop
from harness.traffic import Traffic, expected
from harness.waiting import eventually
from harness.world import World, json_records

NARROW = {"n": "smallint", "padding": "varchar(400)"}
WIDE = {"n": "bigint", "padding": "text"}
ODD = 'mo"re; %'


def settings(world: World, columns: dict[str, Any], evolve: str, **postgres: Any) -> dict[str, Any]:
    return world.config(postgres={"columns": columns, "evolve": evolve, **postgres})


def events(running: Ddpm, folder: Path) -> list[str]:
    shown = ddpm("events", "--json", "--lines", "500", "--url", running.url, cwd=folder).stdout
    return [json.loads(line)["message"] for line in shown.splitlines()]


def changed(messages: list[str]) -> list[str]:
    return [each.partition("was changed: ")[2] for each in messages if "was changed: " in each]


def types(world: World) -> dict[str, str]:
    with psycopg.connect(world.dsn) as connection:
        rows = connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 3 AND NOT attisdropped",
            [world.table],
        ).fetchall()
    return dict(rows)


def test_a_start_and_a_reload_have_the_table_follow_under_traffic(world: World, tmp_path: Path) -> None:
    world.create_topic()

    def reload(*words: str) -> tuple[int, str]:
        ran = ddpm("reload", "--url", running.url, *words, cwd=tmp_path)
        return ran.returncode, ran.stdout + ran.stderr

    def write(columns: dict[str, Any], evolve: str = "widen") -> None:
        (tmp_path / "app-config.yaml").write_text(yaml.safe_dump(settings(world, columns, evolve)))

    with Traffic(world, per_second=500) as traffic:
        with Ddpm(settings(world, NARROW, "off"), tmp_path) as running:
            running.wait_healthy()
            traffic.wait_for(500)

            # Without the switch it is refused, and the switch is named.
            write(WIDE, "off")
            code, said = reload()
            assert (code, "set app.postgres.evolve to widen" in said) == (1, True)
            assert types(world) == {"n": "smallint", "padding": "character varying(400)"}

            write({**NARROW, ODD: {"type": "int", "from": "n"}}, "add")
            shown = ddpm("plan", "--url", running.url, cwd=tmp_path).stdout
            assert f"add the column {ODD} integer in the table public.{world.table} [in place]" in shown
            assert 'ADD COLUMN "mo""re; %" integer;' in shown
            assert reload()[0] == 0
            traffic.wait_for(500)

            write(WIDE | {ODD: {"type": "bigint", "from": "n"}})
            shown = ddpm("plan", "--url", running.url, cwd=tmp_path).stdout
            assert "[holds up writes]" in shown
            assert "less than 10 MB" in shown
            assert reload()[0] == 0
            assert "nothing would change" in ddpm("plan", "--url", running.url, cwd=tmp_path).stdout
            traffic.wait_for(500)
            made = events(running, tmp_path)
            assert {each.split(", which")[0] for each in changed(made)} == {
                f"add the column {ODD} integer",
                "widen the column n from smallint to bigint",
                "widen the column padding from character varying(400) to text",
                f"widen the column {ODD} from integer to bigint",
            }
            assert running.stop() == 0

        # A start does the same.
        more = {**WIDE, ODD: {"type": "bigint", "from": "n"}, "later": {"type": "text", "from": "nowhere"}}
        with Ddpm(settings(world, more, "add"), tmp_path) as running:
            running.wait_healthy()
            traffic.wait_for(500)
            assert len(changed(events(running, tmp_path))) == 5
            assert running.stop() == 0
        # The next one does nothing, and to a narrower configuration the table stays as wide as it is.
        with Ddpm(settings(world, NARROW, "widen"), tmp_path) as running:
            running.wait_healthy()
            traffic.finish()
            world.wait_consumed()
            assert len(changed(events(running, tmp_path))) == 5
            assert running.stop() == 0
    assert types(world) == {"n": "bigint", "padding": "text", ODD: "bigint", "later": "text"}
    world.execute(f'ALTER TABLE {world.table} DROP "later", DROP "mo""re; %"')
    books = audit(world, expected)
    assert set(books.reasons) == {"22P02"}


def test_engines_of_another_pipeline_go_on_writing_into_the_table(world: World, tmp_path: Path) -> None:
    shop = Shop(world, tmp_path)
    before = {"table": shop.table("both"), "columns": {"n": "integer"}, "evolve": "widen"}
    with Ddpm(shop.settings(one={"postgres": before}, other={"postgres": before}), tmp_path) as running:
        running.wait_healthy()
        shop.produce("other", 1)
        shop.wait_for("both", 1)
        shop.write(one={"postgres": before | {"columns": WIDE}}, other={"postgres": before})
        assert ddpm("reload", "--url", running.url, cwd=tmp_path).returncode == 0
        # A bad record among good ones is judged by the table as it is now.
        records = json_records([{"n": 2}, {"n": "bad"}, {"n": 3}], partitions=1)
        produce([world.bootstrap], shop.topic("other"), records)
        shop.produce("one", 2**40)
        shop.wait_for("both", 1, 2, 3, 2**40)
        eventually(lambda: len(world.dead()) == 1, "the bad one is dead")
        running.wait_healthy()
        assert running.stop() == 0
