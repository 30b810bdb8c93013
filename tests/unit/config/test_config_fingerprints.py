"""Which pipelines differ between two configurations."""

from collections.abc import Callable

import pytest

from ddpm.config.model import Config
from ddpm.orchestrator.run.comparing import Changes, Fingerprint, compare, fingerprints
from unit.config.folder import Folder

TEXT = """\
app:
  kafka: {brokers: ["b:1"], topics: [orders], consumer_group: g}
  postgres: {url: "postgresql://u:secret@h/d", table: orders}
  processors: [{mapping: 'root = file("lookup.txt").string()'}]
"""


def prints(config: Config) -> dict[str, Fingerprint]:
    return fingerprints(config)


def says(keys: str, in_place: str = "") -> Fingerprint:
    return Fingerprint(keys, in_place, "", "", ())


def test_names_are_told_apart() -> None:
    one, other = says("1"), says("2")
    found = compare({"a": one, "b": one, "c": one}, {"d": one, "c": other, "a": one})
    assert found == Changes(added=("d",), changed=("c",), removed=("b",), unchanged=("a",))
    assert (str(found), found.fresh) == ("added: d; changed: c; removed: b", ("d", "c"))
    nothing = compare({"a": one}, {"a": one})
    assert not nothing
    assert str(nothing) == "nothing has changed"


def test_what_an_engine_knows_nothing_of_is_changed_in_place() -> None:
    found = compare({"a": says("1", "1"), "b": says("1")}, {"a": says("1", "2"), "b": says("2")})
    assert (found.changed, found.in_place, found.started) == (("a", "b"), ("a",), ("b",))


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("table: orders", "table: others"),
        lambda text: text.replace("u:secret", "u:rotated"),
        lambda text: text.replace("lookup.txt", "other.txt"),
        lambda text: text + "  replicas: 2\n",
        lambda text: text + "  engine: {drain: 5s}\n",
    ],
)
def test_what_a_pipeline_says_counts(folder: Folder, edit: Callable[[str], str]) -> None:
    folder.write("1", "lookup.txt")
    folder.write("1", "other.txt")
    before = prints(folder.load(TEXT).config)
    assert prints(folder.load(edit(TEXT)).config) != before


def test_what_a_file_says_that_a_step_reads_counts(folder: Folder) -> None:
    folder.write("1", "lookup.txt")
    before = prints(folder.load(TEXT).config)
    folder.write("2", "lookup.txt")
    assert prints(folder.load(TEXT).config) != before


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: f"# a remark\n\n{text}",
        lambda text: text + "  server: {port: 1234}\n",
        lambda text: text + "  metrics: {push_gateway: 'http://h:1'}\n",
        lambda text: text + "  batching: {count: 4000}\n",
    ],
)
def test_where_it_stands_and_what_concerns_the_process_does_not(folder: Folder, edit: Callable[[str], str]) -> None:
    folder.write("1", "lookup.txt")
    before = prints(folder.load(TEXT).config)
    assert prints(folder.load(edit(TEXT)).config) == before
