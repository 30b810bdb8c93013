"""Records that are fed again: the same rows under the same identity, and dead letters that count their attempts."""

import json
from pathlib import Path

import pytest
import yaml

from ddpm.catalogue.parsers import OPTIONS
from ddpm.config import load
from ddpm.config.model import Config
from ddpm.engine.progress import Silent
from ddpm.errors import ConfigError
from ddpm.orchestrator.provision import provision
from ddpm.orchestrator.refeed import Again, Fed, refeed
from harness.audit import headers
from harness.process import Ddpm
from harness.world import World, json_records

COLUMNS = {"n": "integer", "note": "text"}


def configuration(world: World, folder: Path, **sections: object) -> Config:
    path = folder / "again.yaml"
    path.write_text(yaml.safe_dump(world.config(postgres={"columns": COLUMNS}, **sections)))
    return load(path, {}, parsers=OPTIONS).config


def feed(config: Config, records: list[Again], **options: object) -> Fed:
    (pipeline,) = config.pipelines
    return refeed(config, pipeline, provision(pipeline), records, progress=Silent(), **options)  # type: ignore[arg-type]


def again(world: World) -> list[Again]:
    """Everything in the topic."""
    return [
        Again(each.topic, each.partition, each.offset, each.value, each.key, each.headers, each.timestamp, attempt=2)
        for each in world.raw()
    ]


def test_records_that_are_fed_again_keep_their_identity(world: World, tmp_path: Path) -> None:
    world.create_topic()
    world.produce(json_records([{"n": n if n % 10 else f"poison {n}"} for n in range(1000)]))
    with Ddpm(world.config(postgres={"columns": COLUMNS}), tmp_path) as running:
        running.wait_healthy()
        world.wait_consumed()
        assert running.stop() == 0
    before = world.rows()
    assert len(before) == 900

    # The same configuration: what is in the table stays as it is, and what is poison is still poison.
    told: list[int] = []
    assert feed(configuration(world, tmp_path), again(world), on_fed=told.append) == Fed(1000, 0, 900, 100)
    assert told[-1] == 1000
    assert sorted(map(repr, world.rows())) == sorted(map(repr, before))
    attempts = [headers(letter).get("ddpm.errors.attempt") for letter in world.dead()]
    assert (attempts.count(None), attempts.count(b"2")) == (100, 100)

    # A mended mapping: the rest is written, each row under its own identity.
    mended = configuration(
        world, tmp_path, processors=[{"mapping": 'root = this\nroot.n = this.n.string().replace_all("poison ", "")'}]
    )
    assert feed(mended, again(world)) == Fed(1000, 100, 900, 0)
    places = {(row["partition"], row["offset"]): row["n"] for row in world.rows()}
    for record in world.raw():
        written = json.loads(record.value or b"")["n"]
        assert places[record.partition, record.offset] == int(str(written).removeprefix("poison "))
    assert world.count() == 1000


def test_a_template_with_an_input_of_its_own_cannot_be_fed(world: World, tmp_path: Path) -> None:
    world.create_topic()
    (tmp_path / "own.yaml").write_text("input:\n  stdin: {}\noutput:\n  {{ output | yaml(2) }}\n")
    config = configuration(world, tmp_path, pipeline_template=str(tmp_path / "own.yaml"))
    with pytest.raises(ConfigError, match="nothing can be fed to it"):
        feed(config, [])
