"""`app.postgres` and `sinks: [- postgres: {…}]` are two ways to write one thing."""

import pytest

from ddpm.config.model import Pipeline, Secret
from unit.config.folder import MINIMAL, Folder

KAFKA = 'kafka: {brokers: ["b:1"], topics: [orders], consumer_group: g}'
INLINE = f"""\
app:
  {KAFKA}
  fan_out: together
  sinks:
    - postgres: {{url: "postgresql://u:s3cret@db/x", table: orders, columns: {{id: bigint}}}}
    - kafka: {{topic: copy}}
"""
SECTION = f"""\
app:
  {KAFKA}
  postgres: {{url: "postgresql://u:s3cret@db/x", table: orders, columns: {{id: bigint}}}}
  fan_out: together
  sinks: [postgres, {{kafka: {{topic: copy}}}}]
"""


def pipeline(folder: Folder, text: str) -> Pipeline:
    (found,) = folder.load(text).config.pipelines
    return found


def test_both_forms_are_the_same(folder: Folder) -> None:
    inline, section = pipeline(folder, INLINE), pipeline(folder, SECTION)
    assert inline == section
    assert inline.table == section.table
    assert [sink.kind for sink in inline.sinks] == ["postgres", "kafka"]
    assert len(inline.configured) == 2


def test_what_both_say_the_sinks_own_keys_say_last(folder: Folder) -> None:
    text = MINIMAL + "  sinks: [{postgres: {table: mine}}]\n"
    table = pipeline(folder, text).table
    assert table is not None
    assert (table.url, table.table) == ("embedded", "mine")


def test_an_entry_of_pipelines_may_write_either(folder: Folder) -> None:
    entries = """\
pipelines:
  a: {postgres: {table: one}}
  b: {sinks: [{postgres: {table: two}}]}
"""
    pipelines = folder.load(INLINE + entries).config.pipelines
    assert [(one.table and one.table.table, one.table and one.table.columns is not None) for one in pipelines] == [
        ("one", True),
        ("two", True),
    ]
    assert [len(one.sinks) for one in pipelines] == [2, 1]


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ("table: orders", "tabel: orders", "app.sinks[0].postgres.tabel", "unknown field"),
        ("table: orders", "table: [a]", "app.sinks[0].postgres.table", "expected text, got a list"),
        ("bigint", "numbr(", "app.sinks[0].postgres.columns.id", None),
        (
            "db/x",
            "db/x?sslmode=verify-full&sslrootcert=/nowhere",
            "app.sinks[0].postgres.url",
            "the file /nowhere, which sslrootcert",
        ),
    ],
)
def test_mistakes_are_shown_where_they_stand(
    folder: Folder, old: str, new: str, path: str, message: str | None
) -> None:
    problem = next(each for each in folder.errors(INLINE.replace(old, new)) if each.path.startswith(path))
    assert message is None or problem.message.startswith(message)
    assert "s3cret" not in str(problem)


def test_its_password_is_as_secret_there(folder: Folder) -> None:
    result = folder.load(INLINE)
    assert result.config.secrets == ("s3cret",)
    assert "s3cret" not in repr(result.config)


def test_a_secret_is_masked_however_it_is_shown() -> None:
    url, token = Secret("postgresql://u:s3cret@db/x"), Secret("abcdefghijklmnop")
    assert f"{url} {url!s} {url!r} {[url]}".count("***") == 4
    assert "s3cret" not in f"{url} {url!s} {url!r} {[url]}"
    assert f"{token}" == "***"
    assert url.revealed == "postgresql://u:s3cret@db/x"
    assert type(url.revealed) is str
    assert (url.words, token.words) == (("s3cret",), ("abcdefghijklmnop",))
    assert (f"{Secret('embedded')}", Secret("embedded").words) == ("embedded", ())
