"""What a table is given so that it fits: columns, wider types, nothing else, and all of it or nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpm.config.model import Evolve
from ddpm.store.evolution import ColumnChange, changes, kept_wide, statement
from ddpm.store.schema import Column, FoundColumn, FoundTable, Key, compare, identity_columns

IDENTITY = identity_columns(indexed=False)
TYPES = ("smallint", "integer", "bigint", "numeric(12,2)", "character varying(3)", "text", "jsonb")


def table(*columns: FoundColumn) -> FoundTable:
    own = [FoundColumn(name, "bigint" if name == "offset" else "integer", not_null=True) for name in IDENTITY]
    return FoundTable("public", "orders", (*own, *columns), (Key("orders_pkey", IDENTITY, primary=True),))


def wanted(found: FoundTable, evolve: Evolve, *columns: Column, partitioned_by: tuple[str, ...] = ()) -> list[str]:
    return [each.words for each in changes(found, columns, IDENTITY, partitioned_by, evolve)]


def test_new_columns_are_added_and_types_stay() -> None:
    found = table(FoundColumn("n", "integer"), FoundColumn("theirs", "text"))
    columns = Column("n", "integer"), Column("more", "text")
    assert wanted(found, Evolve.OFF, *columns) == []
    assert wanted(found, Evolve.ADD, *columns) == ["add the column more text"]
    assert wanted(found, Evolve.WIDEN, *columns) == ["add the column more text"]


def test_types_are_widened_only_when_that_is_allowed() -> None:
    found = table(FoundColumn("n", "integer"))
    columns = Column("n", "bigint"), Column("more", "text")
    assert wanted(found, Evolve.ADD, *columns) == [], "it would not fit afterwards"
    assert wanted(found, Evolve.WIDEN, *columns) == [
        "widen the column n from integer to bigint",
        "add the column more text",
    ]


@pytest.mark.parametrize(
    "obstacle",
    [
        FoundColumn("n", "text"),
        FoundColumn("n", "integer", generated="expression"),
        FoundColumn("n", "bigint", generated="identity"),
        FoundColumn("must", "text", not_null=True),
    ],
)
def test_a_table_that_would_not_fit_afterwards_is_left_alone(obstacle: FoundColumn) -> None:
    found = table(obstacle)
    assert wanted(found, Evolve.WIDEN, Column("n", "bigint"), Column("more", "text")) == []


def test_a_table_without_its_key_and_one_that_lacks_the_column_of_its_months_are_left_alone() -> None:
    keyless = FoundTable("public", "orders", table().columns, ())
    assert wanted(keyless, Evolve.WIDEN, Column("more", "text")) == []
    month = Column("at", "timestamp with time zone", not_null=True)
    assert wanted(table(), Evolve.WIDEN, month, partitioned_by=("at",)) == []


def test_a_wider_type_that_is_there_already_is_kept() -> None:
    found = table(FoundColumn("n", "bigint"))
    narrow = Column("n", "integer")
    assert kept_wide(found, [narrow]) == (Column("n", "bigint"),)
    assert wanted(found, Evolve.WIDEN, narrow) == []
    assert wanted(found, Evolve.WIDEN, narrow, Column("more", "text")) == ["add the column more text"]
    assert wanted(found, Evolve.ADD, narrow, Column("more", "text")) == []


def test_one_statement_does_all_of_it_and_names_are_quoted() -> None:
    made = [
        ColumnChange('a"; DROP TABLE x; --', "text"),
        ColumnChange("50% {off}", "text", "character varying(3)", ("pg_catalog", "C")),
    ]
    assert statement("my schema", 'or"ders', made).as_string(None) == (
        'ALTER TABLE "my schema"."or""ders" ADD COLUMN "a""; DROP TABLE x; --" text, '
        'ALTER COLUMN "50% {off}" TYPE text COLLATE "pg_catalog"."C"'
    )


@given(
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from(TYPES)),
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from(TYPES), min_size=1),
    st.sampled_from(Evolve),
)
def test_what_was_changed_fits_and_is_changed_no_more(
    have: dict[str, str], want: dict[str, str], evolve: Evolve
) -> None:
    found = table(*(FoundColumn(name, type_) for name, type_ in have.items()))
    columns = [Column(name, type_) for name, type_ in want.items()]
    made = changes(found, columns, IDENTITY, (), evolve)
    types = have | {each.name: each.type for each in made}
    now = table(*(FoundColumn(name, type_) for name, type_ in types.items()))
    assert changes(now, columns, IDENTITY, (), evolve) == ()
    if made:
        assert compare(now, kept_wide(now, columns) if evolve is Evolve.WIDEN else columns, IDENTITY) is None
