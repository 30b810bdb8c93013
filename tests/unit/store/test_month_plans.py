from datetime import UTC, datetime

import pytest

from ddpm.store.months import Month, Partition, Span, default_name, partition_name

PRESENT = Month.at(datetime(2026, 1, 31, 23, 59, tzinfo=UTC).timestamp())


def partition(month: Month, name: str | None = None) -> Partition:
    return Partition("public", name or partition_name("t", month), lower=month.start, upper=month.plus(1).start)


def test_a_month_is_one_of_utc_and_years_turn() -> None:
    assert str(PRESENT) == "2026-01"
    assert str(PRESENT.plus(-1)) == "2025-12"
    assert PRESENT.plus(11).text == "2026-12-01 00:00:00+00"
    assert PRESENT.plus(-600).text == "1976-01-01 00:00:00+00"
    assert Month.at(PRESENT.plus(1).start - 1) == PRESENT


def test_names_sort_by_time() -> None:
    assert partition_name("orders", PRESENT) == "orders_2026_01"
    assert default_name("orders") == "orders_default"


def test_missing_months_begin_with_the_present_one() -> None:
    missing = Span(past=2, ahead=1).missing([], PRESENT)
    assert [str(month) for month in missing] == ["2026-01", "2025-12", "2026-02", "2025-11"]


def test_months_that_somebody_elses_partition_reaches_into_are_left_alone() -> None:
    begun = Partition("public", "y", lower=PRESENT.start + 86_400, upper=PRESENT.plus(2).start)
    before = Partition("public", "old", upper=PRESENT.plus(-1).start)
    found = [Partition("public", "t_default", default=True), begun, before]
    missing = Span(past=3, ahead=2).missing(found, PRESENT)
    assert [str(month) for month in missing] == ["2025-12", "2026-03"]


@pytest.mark.parametrize(("retention", "dropped"), [(None, []), (2, ["t_2025_09", "t_2025_10"]), (5, [])])
def test_months_older_than_the_retention_are_over(retention: int | None, dropped: list[str]) -> None:
    found = [partition(PRESENT.plus(-distance)) for distance in range(5)]
    assert [each.name for each in Span(1, 1, retention).over(found, "t", PRESENT)] == dropped


def test_only_what_ddpm_made_is_over() -> None:
    old = PRESENT.plus(-30)
    year = Partition("public", partition_name("t", old), lower=old.start, upper=old.plus(12).start)
    rest = Partition("public", "rest", upper=old.start)
    found = [year, rest, partition(old, "mine"), Partition("public", "t_default", default=True)]
    assert Span(1, 1, 1).over(found, "t", PRESENT) == []
