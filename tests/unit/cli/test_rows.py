"""How the newest rows look: a table where there is room, else each row below the other."""

import io
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from ddpm.cli.rows import _drawn, _meant
from ddpm.store.newest import Newest
from unit.cli.fake_ddpm import call

MIXED = """
app:
  kafka: {brokers: [embedded], topics: [orders], consumer_group: orders}
  postgres: {url: "postgresql://u@127.0.0.1:1/d", table: orders}
"""
FOUND = Newest(("source", "id", "note"), (("1", "7", "a\x1b[31m" + "x" * 100), ("1", "6", None)), ())


def seen(picture: RenderableType, width: int) -> list[str]:
    drawn = io.StringIO()
    Console(file=drawn, width=width, color_system=None).print(picture)
    return [line.rstrip() for line in drawn.getvalue().splitlines()]


def test_a_terminal_gets_a_table_with_cut_values() -> None:
    heading, first, second = seen(_drawn(FOUND, 80), 80)
    assert heading.split() == ["source", "id", "note"]
    assert first == "1       7   a\\x1b[31m" + "x" * 22 + "…"
    assert second == "1       6   NULL"


def test_where_a_table_has_no_room_each_column_has_a_line() -> None:
    lines = seen(_drawn(FOUND, 30), 30)
    assert lines[:2] == ["source  1", "id      7"]
    assert lines[2].startswith("note    a\\x1b[31mxxx")
    assert all(len(line) <= 30 for line in lines)


def test_other_tools_get_a_line_a_row() -> None:
    assert len(seen(_drawn(FOUND, None), 100_000)) == 3


@pytest.mark.parametrize(
    ("words", "meant"),
    [([], (None, 10)), (["5"], (None, 5)), (["orders"], ("orders", 10)), (["orders", "50"], ("orders", 50))],
)
def test_a_name_and_a_number_may_both_be_omitted(words: list[str], meant: tuple[str | None, int]) -> None:
    assert _meant(words) == meant


@pytest.mark.parametrize("words", [["0"], ["10001"], ["a", "b"], ["a", "0"]])
def test_other_words_are_answered_with_what_can_be_written(words: list[str]) -> None:
    assert "a number of rows from 1 to 10000" in " ".join(call("rows", *words).output.replace("│", " ").split())


def test_rows_are_asked_of_the_database_alone(tmp_path: Path) -> None:
    (tmp_path / "mixed.yaml").write_text(MIXED)
    failed = call("rows", "--config", str(tmp_path / "mixed.yaml")).exception
    assert "Postgres at 127.0.0.1:1/d cannot be reached" in str(failed)
