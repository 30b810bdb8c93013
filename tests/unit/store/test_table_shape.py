"""Whether a table still takes what a pipeline writes, from what the database says of it."""

from ddpm.store.shape import ColumnNow, WatchedTable, changes, trouble

TABLE = WatchedTable("public", "orders", ("source", "partition", "offset", "amount"))
WELL = {name: ColumnNow("bigint", required=True, writable=True) for name in TABLE.columns}


def test_a_table_that_takes_rows_is_no_trouble() -> None:
    own = {**WELL, "note": ColumnNow("text", required=False, writable=False)}
    assert trouble(TABLE, own) is None


def test_what_is_wrong_is_named() -> None:
    assert trouble(TABLE, {}) == "the table public.orders is not there any more"
    less = {name: column for name, column in WELL.items() if name != "amount"}
    assert trouble(TABLE, less) == "the table public.orders has no column amount any more"
    denied = {**WELL, "amount": ColumnNow("bigint", required=True, writable=False)}
    assert trouble(TABLE, denied) == "ddpm has no right to write the table public.orders any more"
    more = {**WELL, "note": ColumnNow("text", required=True, writable=True)}
    said = trouble(TABLE, more)
    assert said == "the table public.orders has a column note that every row must give, and ddpm does not write"


def test_a_missing_key_is_named_with_the_way_to_restore_it() -> None:
    table = WatchedTable("public", "orders", TABLE.columns, ("source", "partition", "offset"))
    assert trouble(table, WELL) is None
    said = trouble(table, WELL, keyed=False)
    assert said == (
        "the table public.orders has no unique key on exactly (source, partition, offset) any more, and nothing is "
        'written without it: ALTER TABLE public.orders ADD PRIMARY KEY ("source", "partition", "offset")'
    )


def test_changed_types_are_told_apart_from_trouble() -> None:
    now = {**WELL, "amount": ColumnNow("text", required=True, writable=True)}
    assert trouble(TABLE, now) is None
    assert changes(TABLE, WELL, now) == "amount was bigint and is text"
    assert changes(TABLE, WELL, WELL) is None
