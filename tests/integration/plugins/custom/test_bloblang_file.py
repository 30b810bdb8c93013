"""A parser of one's own: a Bloblang file, wherever it lies, on records that it can and cannot read."""

from pathlib import Path

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from harness.audit import Poison, Row
from harness.formats import Format, round_trip
from harness.process import Ddpm
from harness.world import World

PAIRS = """\
let pairs = content().string().split(" ").map_each(pair -> pair.split("="))
root = $pairs.fold({}, item -> item.tally.assign({(item.value.0): item.value.1}))
root.id = root.id.number()
"""
POISON = {b"no pairs": "processor_failed", b"id=x name=y": "processor_failed", b"id=1 name=\x00": "22021"}


def expected(record: RawRecord) -> Row | Poison:
    if record.value in POISON:
        return Poison(POISON[record.value])
    pairs = dict(pair.split("=") for pair in (record.value or b"").decode().split(" "))
    return {"id": int(pairs["id"]), "name": pairs["name"]}


def test_pairs(world: World, tmp_path: Path) -> None:
    # A name that would be code if it were pasted.
    folder = tmp_path / 'my "parsers" ${HOME} \\'
    folder.mkdir()
    (folder / "pairs.blobl").write_text(PAIRS)
    values = [*(f"id={number} name=näme-{number}".encode() for number in range(100)), *POISON]
    sections = {
        "source": {"parser": "pairs", "plugin_path": str(folder / "pairs.blobl").replace("$", "$$")},
        "postgres": {"columns": {"id": "bigint", "name": "text"}},
    }
    records = [Record(value=value, partition=index % 3) for index, value in enumerate(values)]
    books = round_trip(world, Format(sections, records, expected), tmp_path)
    assert (books.rows, books.dead) == (100, len(POISON))


def test_a_mistake_in_the_file_is_answered_before_anything_is_read(world: World, tmp_path: Path) -> None:
    (tmp_path / "broken.blobl").write_text("root = this\nroot.a = this.nope()\n")
    config = world.config(source={"parser": "mine", "plugin_path": "broken.blobl"})
    with Ddpm(config, tmp_path) as running:
        assert running.popen.wait(60) != 0
    assert 'broken.blobl:2:15: error[mapping] there is no method "nope"' in running.log
    assert "engine started" not in running.log
