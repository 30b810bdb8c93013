"""`ddpm test` with the real engine and no server."""

from pathlib import Path

import pytest

from harness.offline import configure, ddpm

pytestmark = pytest.mark.usefixtures("engine_binary")

REPOSITORY = Path(__file__).parents[3]
CASES = """
cases:
  - name: a row with every digit
    input: {json: {id: 9007199254740993, total: 1.50, address: {city: Köln}}}
    rows: [{id: 9007199254740993, total: 1.50, city: Köln}]
  - name: nothing is owed
    input: {text: '{"total": 0}'}
    filtered: true
  - name: an id in words
    input: {text: '{"id": "abc", "total": 1}'}
    reason: {stage: sink, code: 22P02, column: id, message: '"abc"'}
"""


def test_the_shipped_cases_pass() -> None:
    ran = ddpm("test", "--config", "config/app-config.yaml", cwd=REPOSITORY)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith("config/flights.cases.yaml\n  ✓ a flight becomes a row of typed columns\n")
    assert ran.stdout.endswith("5 passed, 0 failed\n")


def test_cases_beside_the_configuration_and_the_difference_of_a_failed_one(tmp_path: Path) -> None:
    config = configure(tmp_path)
    cases = tmp_path / "orders.cases.yaml"
    cases.write_text(CASES)
    ran = ddpm("test", "--config", str(config), cwd=tmp_path)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "3 passed, 0 failed"), ran.stdout + ran.stderr
    cases.write_text(CASES.replace("total: 1.50, city", "total: 1.5, city"))
    ran = ddpm("test", "--config", str(config), cwd=tmp_path)
    assert ran.returncode == 1
    assert "  ✗ a row with every digit\n      row 1, total:\n      - 1.5\n      + 1.50\n" in ran.stdout
    assert ran.stdout.endswith("2 passed, 1 failed\n")


def test_a_file_of_many_rows_with_a_bad_one(tmp_path: Path) -> None:
    config = configure(tmp_path, source={"parser": "csv"}, processors=[])
    (tmp_path / "orders.csv").write_bytes(b"id,total\n1,2.50\n2\n3,4\n")
    (tmp_path / "mine.yaml").write_text(
        "cases:\n  - name: a file\n    input: {file: orders.csv}\n"
        "    rows: [{id: 1, total: 2.50}, {id: 3}]\n    reason: {code: wrong_column_count, index: 1}\n"
    )
    ran = ddpm("test", "mine.yaml", "--config", str(config), cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_bad_case_files_are_told_with_their_places_before_anything_runs(tmp_path: Path) -> None:
    config = configure(tmp_path)
    (tmp_path / "a.cases.yaml").write_text("cases:\n  - name: a\n    input: {text: x}\n    row: []\n")
    (tmp_path / "b.cases.yaml").write_text("cases:\n  - {name: b, input: {text: x}, filtered: 1}\n")
    ran = ddpm("test", "--config", str(config), cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "a.cases.yaml:4:5: error[unknown-field] cases[0].row: unknown field" in ran.stderr
    assert 'did you mean "rows"?' in ran.stderr
    assert "b.cases.yaml:2:43: error[invalid-value]" in ran.stderr
    (tmp_path / "empty").mkdir()
    ran = ddpm("test", "empty", "--config", str(config), cwd=tmp_path)
    assert ran.returncode == 2
    assert "no file *.cases.yaml in empty" in ran.stderr
