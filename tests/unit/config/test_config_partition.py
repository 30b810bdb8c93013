import pytest

from ddpm.config.model import MonthlyPartitions
from unit.config.folder import Folder

HEAD = """app:
  kafka: {brokers: ["localhost:9092"], topics: [t], consumer_group: g}
  postgres:
    url: postgresql://localhost/db
"""


@pytest.mark.parametrize(
    ("given", "past"), [({}, 12), ({"retention": 3}, 3), ({"retention": 3, "past": 0}, 0), ({"past": 60}, 60)]
)
def test_by_itself_every_month_that_is_kept_has_a_partition(given: dict[str, int], past: int) -> None:
    assert MonthlyPartitions.model_validate(given).months_past == past


@pytest.mark.parametrize(
    ("postgres", "path", "message"),
    [
        ("table: t\n    partition: {column: at}", "partition.column", "omit `column`"),
        ("table: t\n    partition: {past: 13, retention: 12}", "partition.past", "made and dropped at once"),
        ("table: t\n    columns: {timestamp: text}\n    partition: {}", "partition", "needs a column of another name"),
        ("table: t\n    partition: {column: offset}", "partition.column", "is an identity column"),
        (f"table: {'t' * 56}\n    partition: {{}}", "table", "may have 55 bytes"),
        ("table: t\n    partition: {by: week}", "partition.by", "month"),
        ("table: t\n    partition: {ahead: 0}", "partition.ahead", "1"),
        ("table: t\n    partition: {retain: 3}", "partition.retain", "unknown field"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(folder: Folder, postgres: str, path: str, message: str) -> None:
    problem = folder.error(f"{HEAD}    {postgres}\n")
    assert problem.path == f"app.postgres.{path}"
    assert message in problem.message
